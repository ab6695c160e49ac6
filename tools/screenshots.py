"""Takes the pictures of the console in the documentation, from the lab of `weft demo`.

    weft demo --name pictures
    python -m tools.screenshots pictures [NAME ...]

PNG files go to docs/images, each as high as its page, or 800 pixels. What is in
screenshots.yaml is added to the lab.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect

from lab.tests.support import chromium
from weft_lab import state
from weft_lab.runtime import toolchain

FOLDER = Path(__file__).parents[1] / "docs/images"
SCENE = Path(__file__).with_suffix(".yaml")
PATIENCE = 120_000  # milliseconds until a page shows what it is to show
USER, PASSWORD = "cloud", "weft"
MACHINE = "/machines/nico-demo-vm/web1"
POLICY = """\
apiVersion: k8s.cni.cncf.io/v1beta2
kind: MultiNetworkPolicy
metadata:
  name: web-from-client
  namespace: nico-demo-vm
  annotations:
    k8s.v1.cni.cncf.io/policy-for: ovn-k-1
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: default}
"""
COLOURS = """canvas => {
    const {width, height} = canvas;
    const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
    return new Set(new Uint32Array(data.buffer)).size > 1;
}"""


def _text(text: str) -> Callable[[Page], None]:
    """The page has this text."""

    def shown(page: Page) -> None:
        expect(page.locator("#page")).to_contain_text(text)

    return shown


def _drawn(page: Page) -> None:
    expect(page.locator(".picture svg")).to_be_visible()


def _policy(page: Page) -> None:
    page.get_by_label("Manifest").fill(POLICY)
    page.get_by_role("button", name="See what it would do").click()
    effect = page.get_by_role("heading", name="These lose reach")
    expect(effect).to_be_visible()
    page.get_by_label("Manifest").evaluate("area => { area.style.maxHeight = '18em' }")


def _matrix(page: Page) -> None:
    page.get_by_role("button", name="Try every pair").click()
    expect(page.locator(".job .matrix")).to_be_visible()


def _explain(page: Page) -> None:
    expect(page.locator(".job strong")).to_be_visible()


def _flows(page: Page) -> None:
    for verdict in ("allowed", "denied"):
        expect(page.locator(".job .verdict", has_text=verdict).first).to_be_visible()


def _serial(page: Page) -> None:
    shown = page.locator(".xterm-rows")
    expect(page.locator("#state")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(shown).to_contain_text(re.compile(r"login:|\$"))
    if "login:" in shown.inner_text():
        page.keyboard.type(f"{USER}\n")
        expect(shown).to_contain_text("Password:")
        page.keyboard.type(f"{PASSWORD}\n")
    expect(shown).to_contain_text("$")
    page.keyboard.type("clear; ip -4 address show eth1 && ping -c 2 10.100.200.1\n")
    expect(shown).to_contain_text("packet loss")


def _screen(page: Page) -> None:
    canvas = page.locator("#display canvas")
    expect(canvas).to_be_visible()
    page.wait_for_function(f"() => ({COLOURS})(document.querySelector('#display canvas'))")


@dataclass(frozen=True, slots=True)
class Picture:
    """A page, and when it shows what it is to show."""

    path: str
    prepare: Callable[[Page], None]
    width: int = 1280
    height: int = 800  # at most
    scheme: Literal["light", "dark"] = "light"


PICTURES: Mapping[str, Picture] = {
    "overview": Picture("/", _text("archive")),
    "topology": Picture("/topology", _drawn),
    "underlay": Picture("/topology/physical", _drawn),
    "networks": Picture("/networks", _text("storage")),
    "network": Picture("/networks/storage", _text("backup")),
    "policies": Picture("/policies", _text("db-from-cart")),
    "policy": Picture("/policies/nico-demo-vm/+", _policy),
    "matrix": Picture("/matrix?network=storage", _matrix),
    "explain": Picture("/explain?a=shop/backup&b=shop/db", _explain),
    "flows": Picture("/flows?network=storage", _flows),
    "machines": Picture("/machines", _text("till")),
    "machine": Picture(MACHINE, _text("Running")),
    "serial": Picture(f"{MACHINE}/serial", _serial),
    "screen": Picture("/machines/shop/till/screen", _screen),
    "nodes": Picture("/nodes", _text("all answer")),
    "events": Picture("/events?namespace=shop", _text("AddedInterface"), height=560),
    "overview-dark": Picture("/", _text("archive"), scheme="dark"),
    "topology-dark": Picture("/topology", _drawn, scheme="dark"),
    "machine-narrow": Picture(MACHINE, _text("Running"), width=390),
}


@contextmanager
def _console(lab: str) -> Iterator[str]:
    """The link of a console that runs as long as the scope lasts."""
    argv = [sys.executable, "-m", "weft", "console", "--lab", lab]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("Open ").strip()
        finally:
            process.terminate()


def _set_scene(lab: str) -> None:
    kubectl = toolchain.ensure().program("kubectl")
    environment = {**os.environ, "KUBECONFIG": str(state.Folder.of(lab).kubeconfig)}
    patience = f"--timeout={PATIENCE // 1000}s"
    for argv in (
        ("apply", "-f", str(SCENE)),
        ("wait", "-n", "shop", "pod", "--all", "--for=condition=Ready", patience),
        ("wait", "-n", "shop", "vmi/till", "--for=condition=AgentConnected", patience),
    ):
        subprocess.run([kubectl, *argv], env=environment, check=True, stdout=sys.stderr)


def _take(browser: Browser, base: str, cookies: list[object], name: str) -> None:
    picture = PICTURES[name]
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.scheme
    )
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(base + picture.path)
    picture.prepare(page)
    bottom = page.locator("main").evaluate("main => main.getBoundingClientRect().bottom")
    file = FOLDER / f"console-{name}.png"
    clip = {"x": 0, "y": 0, "width": picture.width, "height": min(picture.height, round(bottom))}
    page.screenshot(path=file, animations="disabled", caret="hide", clip=clip)  # type: ignore[arg-type]
    context.close()
    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Take all pictures, or those that are named, in the lab that the command line names."""
    lab, *chosen = sys.argv[1:]
    expect.set_options(timeout=PATIENCE)
    _set_scene(lab)
    with _console(lab) as link, chromium.running() as browser:
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        cookies: list[object] = list(context.cookies())
        context.close()
        for name in chosen or PICTURES:
            _take(browser, link.partition("/enter")[0], cookies, name)


if __name__ == "__main__":
    main()
