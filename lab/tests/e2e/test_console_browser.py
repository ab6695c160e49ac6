"""The console in a real browser: what its scripts do, and what its forms send."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lab.tests.support import chromium, labs
from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import ROOT
from tests.support.objects import nad, named, nic, policy, vmi
from tests.support.patience import PATIENCE, await_true
from weft.kube import resources
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab
LAB = "browsed"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PAGES = (
    *("/", "/topology", "/topology/physical", "/networks", "/networks/blue", "/policies"),
    *("/policies/default/+", "/matrix?network=blue", "/explain?a=a&b=one", "/flows?network=blue"),
    *("/machines", "/machines/default/one", "/machines/default/one/serial"),
    *("/machines/default/one/screen", "/nodes", "/events", "/nowhere"),
)


@contextmanager
def console(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A console of the lab: its process, and the link that it has printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "weft.cli.main", "console", "--lab", LAB, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().removeprefix("Open ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@dataclass
class Visit:
    """A tab of a browser that was let in. `complaints`: what the browser says against a page."""

    context: BrowserContext
    base: str
    kubectl: Kubectl
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.goto(self.base + path)
        return page

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and "/nowhere" not in message.location["url"]:
            self.complaints.append(f"{message.page.url}: {message.text}")


def machine(name: str, *nics: Any, **more: Any) -> dict[str, Any]:
    spec = vmi(name, *nics, **more)["spec"]
    made = named(resources.VMS, name)
    return {**made, "spec": {"runStrategy": "Always", "template": {"spec": spec}}}


def enter(browser: Browser, link: str) -> tuple[BrowserContext, str]:
    """A new profile that the link lets in, and the address of the console."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto(link)
    page.wait_for_url(re.compile(r":\d+/$"))
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.close()
    return context, link.partition("/enter")[0]


@pytest.fixture(scope="module")
def kubectl(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Pods a and b and the machine one on blue; one has a screen, and two no network of weft's."""
    state = tmp_path_factory.mktemp("state")
    with labs.running(LAB, 2, state, toolchain) as (house, kubeconfig):
        kubectl = Kubectl(house, kubeconfig)
        pods = nic("default", masquerade={})
        kubectl.apply(
            nad("blue", "10.9.0.0/24"),
            machine("one", pods, nic("blue", "blue"), devices={"autoattachGraphicsDevice": True}),
            machine("two", pods),
        )
        kubectl.run_pods(pod("a", "node1", "blue"), pod("b", "node2", "blue", labels={"app": "b"}))
        for each in ("one", "two"):
            kubectl("wait", f"vmi/{each}", "--for=condition=AgentConnected", "--timeout=120s")
        yield kubectl


@pytest.fixture(scope="module")
def browser(kubectl: Kubectl) -> Iterator[Browser]:
    """Begun after the lab and ended before it: Playwright runs an event loop in this thread."""
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium.running() as found:
        yield found


@pytest.fixture(scope="module")
def entered(browser: Browser, kubectl: Kubectl) -> Iterator[Visit]:
    with console() as (_, link):
        context, base = enter(browser, link)
        yield Visit(context, base, kubectl)
        context.close()


@pytest.fixture
def visit(entered: Visit) -> Iterator[Visit]:
    """Pages of a test; the browser has no complaint about any."""
    entered.complaints.clear()
    yield entered
    for page in entered.context.pages:
        page.close()
    assert entered.complaints == []


def test_no_page_breaks_its_own_rules(visit: Visit) -> None:
    for path in PAGES:
        page = visit.open(path)
        expect(page.locator("main")).to_be_visible()
        page.close()
    page = visit.open("/")
    expect(page.locator(".tile", has_text="Networks")).to_contain_text("2 of 2")
    # The browser would tell: what a page may not do is reported.
    page.evaluate("document.body.setAttribute('onclick', 'alert(1)')")
    await_true(lambda: page.title() and visit.complaints, "a report of the browser")
    assert "Content Security Policy" in visit.complaints.pop()


def test_a_page_changes_while_it_is_open(visit: Visit) -> None:
    page = visit.open("/networks")
    expect(page.get_by_role("link", name="blue")).to_be_visible()
    page.evaluate("globalThis.isSamePage = true")
    visit.kubectl.apply(nad("green", "10.10.0.0/24"))
    expect(page.get_by_role("link", name="green")).to_be_visible()
    visit.kubectl("delete", "net-attach-def", "green")
    expect(page.get_by_role("link", name="green")).to_have_count(0)
    assert page.evaluate("globalThis.isSamePage"), "without loading it again"


def test_a_click_on_the_topology_leads_to_the_network(visit: Visit) -> None:
    page = visit.open("/topology")
    drawing = page.locator(".picture svg")
    width = drawing.evaluate("svg => svg.viewBox.baseVal.width")
    page.get_by_role("button", name="larger").click()
    expect(drawing).to_have_css("width", f"{width * 1.25:g}px")
    page.get_by_role("button", name="smaller").click()
    expect(drawing).to_have_css("width", f"{width:g}px")
    page.locator("svg a[href$='/networks/blue']").first.click()
    expect(page.get_by_role("heading", name="Network blue")).to_be_visible()
    expect(
        page.get_by_role("row").filter(has_text="default").filter(has_text="net1")
    ).not_to_have_count(0)


def test_a_machine_is_stopped_after_a_question(visit: Visit) -> None:
    page = visit.open("/machines/default/two")
    asked: list[str] = []

    def dismiss(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", dismiss)
    page.get_by_role("button", name="Stop").click()
    assert asked == ["Stop default/two?"]
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".notice.ok")).to_have_text("It shuts down.")
    expect(page.locator(".facts .verdict")).to_have_text("Stopped")
    expect(page.get_by_role("button", name="Start")).to_be_visible()


def test_a_guest_is_typed_to(visit: Visit) -> None:
    page = visit.open("/machines/default/one/serial")
    shown = page.locator(".xterm-rows")
    expect(page.locator("#state")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(shown).to_contain_text("#")
    page.keyboard.type("echo $((41 + 1))-answer")
    page.keyboard.press("Enter")
    expect(shown).to_contain_text("42-answer")


COLOURS = """canvas => {
    const {width, height} = canvas;
    if (!width || !height) return 0;
    const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
    return new Set(new Uint32Array(data.buffer)).size;
}"""


def test_a_screen_is_drawn(visit: Visit) -> None:
    page = visit.open("/machines/default/one/screen")
    canvas = page.locator("#display canvas")
    expect(canvas).to_be_visible()
    await_true(lambda: canvas.evaluate(COLOURS) > 1, "a picture of the screen")


def test_a_way_is_explained(visit: Visit) -> None:
    page = visit.open("/explain")
    page.get_by_label("From").fill("a")
    page.get_by_label("To").fill("one")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".job strong")).to_contain_text("default/a reaches default/one")


def test_a_policy_is_written_in_the_editor(visit: Visit) -> None:
    made = policy("closed", networks="default/blue", app="b", policyTypes=["Ingress"], ingress=[])
    page = visit.open("/policies/default/+")
    page.get_by_label("Manifest").fill(str(made))  # YAML's flow style
    page.get_by_role("button", name="See what it would do").click()
    lost = page.locator("section", has=page.get_by_role("heading", name="What it would do"))
    expect(lost).to_contain_text("These lose reach")
    expect(lost.locator("tbody tr").filter(has_text="default/a").first).to_contain_text("b")
    assert "closed" not in visit.kubectl("get", "multi-networkpolicies", "-o", "name")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Policy default/closed")).to_be_visible()
    assert "closed" in visit.kubectl("get", "multi-networkpolicies", "-o", "name")

    page = visit.open("/matrix?network=blue")
    page.get_by_role("button", name="Try every pair").click()
    expect(page.locator(".job .notice")).to_be_visible()
    expect(page.locator(".job .notice")).to_contain_text("of 6 pairs")

    page = visit.open("/policies/default/closed")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Policies")).to_be_visible()
    assert "closed" not in visit.kubectl("get", "multi-networkpolicies", "-o", "name")


def test_text_of_others_stays_text(visit: Visit) -> None:
    about = {"kind": "Pod", "namespace": "default", "name": MARKUP}
    event = {**named(resources.EVENTS, "hostile"), "involvedObject": about}
    visit.kubectl.apply({**event, "reason": MARKUP, "message": MARKUP, "type": "Warning"})
    for path in ("/events", "/", f"/events?about={MARKUP}", f"/explain?a={MARKUP}&b=a"):
        page = visit.open(path)
        page.on("dialog", lambda dialog: visit.complaints.append(dialog.message))
        where = page.get_by_text(MARKUP).first
        expect(where).to_be_visible() if path.startswith(("/events", "/?")) else None
        expect(page.locator("main img, main script")).to_have_count(0)


def test_the_keyboard_suffices(visit: Visit) -> None:
    page = visit.open("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the page")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".tile a").first).to_be_focused()

    page = visit.open("/networks")
    stops = page.locator("body a, body input:not([type=hidden]), body button")
    for place in range(stops.count()):
        page.keyboard.press("Tab")
        expect(stops.nth(place)).to_be_focused()


def test_a_page_says_that_the_console_has_gone(browser: Browser, visit: Visit) -> None:
    with console() as (process, link):
        context, base = enter(browser, link)
        page = context.new_page()
        with page.expect_response(re.compile("/live/")):
            page.goto(base + "/nodes")
        expect(page.locator("#cut-off")).to_be_hidden()
        process.terminate()
        expect(page.locator("#cut-off")).to_be_visible()
        context.close()
