"""What the console's pictures show in a browser, and where clicks on them lead."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

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
