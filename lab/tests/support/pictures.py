"""What the console's pictures show in a browser, and where clicks on them lead."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from lab.tests.support.lab_pods import pod
from lab.tests.support.visits import Visit

# Makes a console fold all workloads of a network but one: a lab has few.
FOLDING = """
from weft.console.pages import topology
from weft.observe.render import overview_picture
topology.MOST_CARDS = overview_picture.FEWEST = 1
"""


def check_unfolding(page: Page, base: str) -> None:
    """A click on what is folded shows all of the network blue, which has a, b and one."""
    page.goto(base + "/topology")
    expect(page.locator("svg .name").get_by_text("b", exact=True)).to_have_count(0)
    page.locator("svg a", has_text="and 2 more workloads").first.click()
    page.wait_for_url(re.compile(r"/topology\?network=blue#network-blue$"))
    for name in ("a", "b", "one"):
        expect(page.locator("svg .name").get_by_text(name, exact=True)).to_have_count(1)


def check_physical(visit: Visit) -> None:
    """It shows nodes, tunnels and pods, changes by itself, and clicks lead to what it shows."""
    page = visit.open("/topology/physical")
    picture = page.locator(".picture svg")
    for text in ("node1", "node2", "geneve", "default/a on blue", "default/one on blue"):
        expect(picture).to_contain_text(text)
    page.evaluate("globalThis.isSamePage = true")
    visit.kubectl.run_pods(pod("late", "node1", "blue"))
    expect(picture).to_contain_text("default/late on blue")
    visit.kubectl("delete", "pod", "late")
    expect(picture).not_to_contain_text("default/late")
    assert page.evaluate("globalThis.isSamePage"), "without loading it again"
    for text, address in (
        ("default/one on blue", "/machines/default/one$"),
        ("node2", "/nodes#node-node2$"),
        ("default/a on blue", r"/events\?namespace=default&about=a$"),
    ):
        page.locator("svg a", has_text=text).first.click()
        page.wait_for_url(re.compile(address))
        page.go_back()
