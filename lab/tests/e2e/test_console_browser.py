"""The console in a real browser: what its scripts do, and what its forms send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from lab.tests.support import chromium, labs, pagechecks, pictures, visits
from lab.tests.support.lab_pods import Kubectl, pinging, pod
from lab.tests.support.visits import Visit, console, enter, machine
from tests.support.objects import nad, named, nic, policy
from tests.support.patience import PATIENCE, await_true
from tests.support.relay import Relay
from weft.kube import resources
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab
LAB = "browsed"
Lab = tuple[labs.LabHouse, str]  # and its kubeconfig
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def lab(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    state = tmp_path_factory.mktemp("state")
    with labs.running(LAB, 2, state, toolchain) as found:
        yield found


@pytest.fixture(scope="module")
def kubectl(lab: Lab) -> Kubectl:
    """Pods a and b and the machine one on blue; one has a screen, and two no network of weft's."""
    kubectl = Kubectl(*lab)
    pods = nic("default", masquerade={})
    kubectl.apply(
        nad("blue", "10.9.0.0/24"),
        machine("one", pods, nic("blue", "blue"), devices={"autoattachGraphicsDevice": True}),
        machine("two", pods),
    )
    kubectl.run_pods(pod("a", "node1", "blue"), pod("b", "node2", "blue", labels={"app": "b"}))
    for each in ("one", "two"):
        kubectl("wait", f"vmi/{each}", "--for=condition=AgentConnected", "--timeout=120s")
    return kubectl


@pytest.fixture(scope="module")
def browser(kubectl: Kubectl) -> Iterator[Browser]:
    """Begun after the lab and ended before it: Playwright runs an event loop in this thread."""
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium.running() as found:
        yield found


@pytest.fixture(scope="module")
def entered(browser: Browser, kubectl: Kubectl) -> Iterator[Visit]:
    with console("--lab", LAB) as (_, link):
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


def test_each_page_fits_can_be_read_and_needs_no_pointer(visit: Visit) -> None:
    for path in visits.PAGES:
        page = visit.open_whole(path)
        assert pagechecks.unnamed(page) == [], path
        if not path.endswith(visits.GUESTS):
            page.locator("main").focus()  # what is above is the same on all pages
            assert pagechecks.unreached(page, "main") == [], path
        assert pagechecks.fits(page) == [], path
        assert pagechecks.faint_in_each_scheme(page) == [], path
        page.close()
    page = visit.open("/networks")
    assert pagechecks.unreached(page, "body") == []
    page.evaluate(pagechecks.SPOILT)
    assert "INPUT" in str(pagechecks.fits(page))
    assert "no label" in str(pagechecks.unnamed(page))
    assert pagechecks.unreached(page, "body")
    assert pagechecks.faint_in_each_scheme(page)
    for path in visits.GUESTS:
        page = visit.open(f"/machines/default/one{path}")
        expect(page.locator("#state")).to_be_hidden()
        expect(page.locator(".device :focus")).to_have_count(1)
        page.keyboard.press("Control+]")
        expect(page.get_by_role("link", name="Virtual machine default/one")).to_be_focused()


def test_a_card_is_still_a_row_and_what_scrolls_is_moved_by_keyboard(visit: Visit) -> None:
    page = visit.open("/nodes")
    expect(page.locator("table.named")).to_have_count(1)
    wide = pagechecks.roles(page)
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("tbody tr").first).to_have_attribute("role", "row")
    for role in ("table", "row", "columnheader", "rowheader", "cell"):
        assert pagechecks.roles(page)[role] == wide[role] > 0, role
    page = visit.open("/matrix?network=blue")
    grid = page.locator(".scroll:has(.matrix)")
    expect(grid).not_to_have_attribute("tabindex", "0")
    page.set_viewport_size({"width": 120, "height": 800})
    region = page.get_by_role("region", name="What policies allow").locator("[tabindex]")
    expect(region).to_have_attribute("aria-label", "What policies allow")

    def is_moved() -> bool:
        """It is pressed again: the page may have made its table anew, which has no focus then."""
        region.focus()
        page.keyboard.press("ArrowRight")
        return bool(region.evaluate("each => each.scrollLeft"))

    await_true(is_moved, "the table is moved")


def test_no_page_breaks_its_own_rules(visit: Visit) -> None:
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


def test_a_folded_group_unfolds_by_a_click(browser: Browser, kubectl: Kubectl) -> None:
    with console("--lab", LAB, before=pictures.FOLDING) as (_, link):
        context, base = enter(browser, link)
        pictures.check_unfolding(context.new_page(), base)
        context.close()


def test_the_physical_topology_changes_while_it_is_open_and_leads_on(visit: Visit) -> None:
    pictures.check_physical(visit)


def test_flows_show_who_talks_now(visit: Visit, lab: Lab) -> None:
    with pinging(lab[0], "a", visit.kubectl.address("b", "net1")):
        page = visit.open("/flows")
        page.get_by_label("Network").select_option("blue")
        page.get_by_label("Pod or machine").fill("a")
        page.get_by_role("button", name="Look").click()
        row = page.get_by_role("row").filter(has_text="default/a").filter(has_text="default/b")
        expect(row.first).to_contain_text("allowed")
        expect(row.first).to_contain_text("ICMP")
        expect(row.first).to_contain_text("node1")


def test_a_machine_is_stopped_after_a_question(visit: Visit) -> None:
    page = visit.open("/machines/default/two")
    asked: list[str] = []

    def dismiss(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", dismiss)
    page.get_by_role("button", name="Stop").click()
    assert asked == ["Stop default/two?"]
    serial = visit.open("/machines/default/two/serial")
    expect(serial.locator("#state")).to_be_hidden()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".notice.ok")).to_have_text("It shuts down.")
    expect(page.locator(".facts .verdict")).to_have_text("Stopped")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    expect(serial.locator("#state")).to_contain_text("the machine has stopped")
    expect(serial.get_by_role("button", name="Connect again")).to_be_visible()
    visits.check_start_restart_and_move(page, visit.kubectl, "two")


def test_a_guest_is_typed_to(visit: Visit) -> None:
    page = visit.open("/machines/default/one/serial")
    shown = page.locator(".xterm-rows")
    expect(page.locator("#state")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(shown).to_contain_text("#")
    page.keyboard.type("echo $((41 + 1))-answer")
    page.keyboard.press("Enter")
    expect(shown).to_contain_text("42-answer")


def test_a_screen_is_drawn(visit: Visit) -> None:
    page = visit.open("/machines/default/one/screen")
    canvas = page.locator("#display canvas")
    expect(canvas).to_be_visible()
    await_true(lambda: canvas.evaluate(visits.COLOURS) > 1, "a picture of the screen")


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
    expect(page.locator(".notice.ok")).to_have_text("closed is created.")
    assert "closed" in visit.kubectl("get", "multi-networkpolicies", "-o", "name")

    page = visit.open("/matrix?network=blue")
    page.get_by_role("button", name="Try every pair").click()
    expect(page.locator(".job .notice")).to_be_visible()
    expect(page.locator(".job .notice")).to_contain_text("of 6 pairs")

    page = visit.open("/policies/default/closed")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Policies")).to_be_visible()
    expect(page.locator(".notice.ok")).to_have_text("default/closed is deleted.")
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


def test_two_viewers_see_what_each_may(browser: Browser, kubectl: Kubectl) -> None:
    kinds = "virtualmachines.kubevirt.io,virtualmachineinstances.kubevirt.io,pods"
    kubectl("create", "namespace", "shop")
    kubectl("create", "clusterrole", "looks", "--verb=get,list,watch", f"--resource={kinds}")
    for name, kind in (("alice", "clusterrolebinding"), ("bob", "rolebinding")):
        kubectl("create", "serviceaccount", name, "-n", "shop")
        whose = ("-n", "shop", "--clusterrole=looks", f"--serviceaccount=shop:{name}")
        kubectl("create", kind, name, *whose)
    with console("--lab", LAB, "--login") as (_, link):
        alice, bob = (
            visits.log_in(browser, link, kubectl("create", "token", each, "-n", "shop").strip())
            for each in ("alice", "bob")
        )
        base, pages = link.removesuffix("/login"), []
        for one, path in (
            (alice, "/machines"),
            (bob, "/machines"),
            (bob, "/machines?namespace=shop"),
        ):
            pages.append(one.new_page())
            pages[-1].goto(base + path)
        everything, nothing, shop = pages
        expect(everything.get_by_role("link", name="one", exact=True)).to_be_visible()
        expect(nothing.locator(".denied")).not_to_have_count(0)
        kubectl.apply(machine("till", namespace="shop", strategy="Halted"))
        for page in (everything, shop):  # while both are open
            expect(page.get_by_role("link", name="till")).to_be_visible()
        for page in (nothing, shop):
            expect(page.get_by_role("link", name="one", exact=True)).to_have_count(0)
        shop.goto(base + "/machines/default/one?namespace=default")
        expect(shop.locator("main")).to_contain_text("cannot")
        expect(shop.get_by_role("button", name="Stop")).to_have_count(0)
        everything.goto(base + "/machines/shop/till")
        everything.get_by_role("button", name="Start").click()
        expect(everything.locator(".notice.fail")).to_contain_text("cannot update")
        serial = alice.new_page()
        serial.goto(base + "/machines/default/one/serial")
        expect(serial.locator("#state")).to_contain_text("you lack the right")
        everything.get_by_role("button", name="Log out").click()
        expect(everything.get_by_label("Bearer token")).to_be_visible()
        serial.get_by_role("button", name="Connect again").click()
        expect(serial.locator("#state")).to_contain_text("The session has ended")
        for each in (alice, bob):
            each.close()


def test_a_lost_api_server_is_said_until_it_is_back(
    browser: Browser, lab: Lab, kubectl: Kubectl, tmp_path: Path
) -> None:
    text, relay, copy = Path(lab[1]).read_text(), Relay(), tmp_path / "kubeconfig"
    found = re.search(r"https://[\d.]+:\d+", text)
    assert found
    with visits.line(relay, found[0]) as line:
        copy.write_text(text.replace(found[0], f"https://127.0.0.1:{relay.port}"))
        with console("--kubeconfig", str(copy)) as (_, link):
            context, base = enter(browser, link)
            page = context.new_page()
            page.goto(base + "/networks")
            expect(page.get_by_role("link", name="blue")).to_be_visible()
            page.evaluate("globalThis.isSamePage = true")
            line.cut()
            notice = page.locator("#live .notice.warn")
            expect(notice).to_contain_text("Networks may be out of date: no answer")
            expect(page.get_by_role("link", name="blue")).to_be_visible()
            kubectl.apply(nad("later", "10.11.0.0/24"))
            line.mend(found[0])
            expect(page.get_by_role("link", name="later")).to_be_visible()
            expect(notice).to_have_count(0)
            assert page.evaluate("globalThis.isSamePage"), "without loading it again"
            context.close()
    kubectl("delete", "net-attach-def", "later")


def test_what_was_cut_is_connected_again(browser: Browser, visit: Visit) -> None:
    proxy = visits.Proxy()
    with console("--lab", LAB) as (_, link), visits.line(proxy, link) as line:
        way = {"server": f"socks5://127.0.0.1:{proxy.port}", "bypass": "<-loopback>"}
        context, base = enter(browser, link, proxy=way)
        page, serial = context.new_page(), context.new_page()
        serial.goto(base + "/machines/default/one/serial")
        expect(serial.locator("#state")).to_be_hidden()
        page.goto(base + "/networks")
        expect(page.get_by_role("link", name="blue")).to_be_visible()
        line.cut()
        expect(page.locator("#cut-off")).to_be_visible()
        expect(serial.locator("#state")).to_contain_text("Connecting again")
        visit.kubectl.apply(nad("mended", "10.12.0.0/24"))
        line.mend(link)
        expect(page.get_by_role("link", name="mended")).to_be_visible()
        expect(page.locator("#cut-off")).to_be_hidden()
        expect(serial.locator("#state")).to_be_hidden()
        serial.bring_to_front()
        serial.keyboard.type("echo $((41 + 2))-again\n")
        expect(serial.locator(".xterm-rows")).to_contain_text("43-again")
        context.close()
    visit.kubectl("delete", "net-attach-def", "mended")


def test_a_page_says_that_the_console_has_gone(browser: Browser, visit: Visit) -> None:
    with console("--lab", LAB) as (process, link):
        context, base = enter(browser, link)
        page = context.new_page()
        with page.expect_response(re.compile("/live/")):
            page.goto(base + "/nodes")
        expect(page.locator("#cut-off")).to_be_hidden()
        process.terminate()
        expect(page.locator("#cut-off")).to_be_visible()
        context.close()
