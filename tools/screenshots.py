"""Takes the pictures of the console in the documentation, from the lab of `weft demo`.

    weft demo --name pictures
    python -m tools.screenshots pictures

PNG files of 1280 by 800 pixels go to docs/images. Nothing in the lab is changed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from lab.tests.support import chromium

FOLDER = Path(__file__).parents[1] / "docs/images"
PATIENCE = 60_000  # milliseconds until a page shows what it is to show
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


def _topology(page: Page) -> None:
    expect(page.locator(".picture svg")).to_be_visible()


def _machine(page: Page) -> None:
    expect(page.locator(".facts .verdict")).to_have_text("Running")


def _policy(page: Page) -> None:
    page.get_by_label("Manifest").fill(POLICY)
    page.get_by_role("button", name="See what it would do").click()
    effect = page.get_by_role("heading", name="These lose reach")
    expect(effect).to_be_visible()
    page.get_by_role("heading", name=re.compile("lose reach")).scroll_into_view_if_needed()


def _matrix(page: Page) -> None:
    page.get_by_role("button", name="Try every pair").click()
    expect(page.locator(".job .matrix")).to_be_visible()


def _explain(page: Page) -> None:
    expect(page.locator(".job strong")).to_be_visible()


def _serial(page: Page) -> None:
    shown = page.locator(".xterm-rows")
    expect(page.locator("#terminal + .notice")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(shown).to_contain_text(re.compile(r"login:|\$"))
    if "login:" in shown.inner_text():
        page.keyboard.type(f"{USER}\n")
        expect(shown).to_contain_text("Password:")
        page.keyboard.type(f"{PASSWORD}\n")
    expect(shown).to_contain_text("$")
    page.keyboard.type("ip -4 address show eth1 && ping -c 2 10.100.200.1\n")
    expect(shown).to_contain_text("packet loss")


PICTURES: Mapping[str, tuple[str, Callable[[Page], None]]] = {
    "topology": ("/topology", _topology),
    "machine": (MACHINE, _machine),
    "policy": ("/policies/nico-demo-vm/+", _policy),
    "matrix": ("/matrix?network=ovn-k-1", _matrix),
    "explain": ("/explain?a=client&b=nico-demo-vm/web1", _explain),
    "serial": (f"{MACHINE}/serial", _serial),
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


def main() -> None:
    """Take all pictures in the lab that the command line names."""
    expect.set_options(timeout=PATIENCE)
    with _console(*sys.argv[1:]) as link, chromium.running() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.set_default_timeout(PATIENCE)
        page.goto(link)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        for name, (path, prepare) in PICTURES.items():
            page.goto(link.partition("/enter")[0] + path)
            prepare(page)
            file = FOLDER / f"console-{name}.png"
            page.screenshot(path=file, animations="disabled", caret="hide")
            print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
