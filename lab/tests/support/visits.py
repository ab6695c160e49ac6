"""A browser at the console of a lab: who is let in, and what the browser says against pages."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect

from lab.tests.support.lab_pods import Kubectl
from lab.tests.support.labs import ROOT
from tests.support.objects import named, vmi
from tests.support.patience import PATIENCE
from tests.support.relay import Relay
from weft.kube import resources


@contextmanager
def console(*options: str, before: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A console: its process, and the link that it has printed. `before`: Python that it runs
    first."""
    program = f"{before}\nfrom weft.cli.main import main\nmain()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "console", *options],
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


GUESTS = ("/serial", "/screen")  # whose guest is sent each key
PAGES = (
    *("/", "/topology", "/topology/physical", "/networks", "/networks/blue", "/policies"),
    *("/policies/default/+", "/matrix?network=blue", "/explain?a=a&b=one", "/flows?network=blue"),
    *("/machines", "/machines/default/one", "/machines/default/one/serial"),
    *("/machines/default/one/screen", "/nodes", "/events", "/nowhere"),
)
# What jobs show.
_SHOWN = {
    "/topology/physical": ".picture svg",
    "/explain": ".job table",
    "/flows": ".job .empty, .job table",
}


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

    def open_whole(self, path: str) -> Page:
        """A page with what its job shows, which comes later."""
        page = self.open(path)
        expect(page.locator(_SHOWN.get(path.partition("?")[0], "main")).first).to_be_visible()
        return page

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and "/nowhere" not in message.location["url"]:
            self.complaints.append(f"{message.page.url}: {message.text}")


def machine(
    name: str, *nics: Any, namespace: str = "default", strategy: str = "Always", **more: Any
) -> dict[str, Any]:
    spec = vmi(name, *nics, **more)["spec"]
    made = named(resources.VMS, name, namespace)
    return {**made, "spec": {"runStrategy": strategy, "template": {"spec": spec}}}


def check_start_restart_and_move(page: Page, kubectl: Kubectl, name: str) -> None:
    """The page of a stopped machine has buttons that do what they say."""
    said, status = page.locator(".notice.ok"), page.locator(".facts .verdict")
    node, pod = (page.locator(".facts dd").nth(at) for at in (1, 2))
    page.get_by_role("button", name="Start").click()
    expect(said).to_have_text("It starts.")
    expect(status).to_have_text("Running")
    before = pod.inner_text()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Restart").click()
    expect(said).to_have_text("It shuts down, and starts again.")
    expect(pod).not_to_have_text(re.compile(f"^({re.escape(before)}|-)$"))
    expect(status).to_have_text("Running")
    limit = f"--timeout={PATIENCE:g}s"
    kubectl("wait", f"vmi/{name}", "--for=jsonpath={.status.phase}=Running", limit)
    kubectl("wait", f"vmi/{name}", "--for=condition=LiveMigratable", limit)
    expect(node).to_have_text(re.compile("^node[12]$"))
    source = node.inner_text()
    page.get_by_role("button", name="Migrate").click()
    expect(said).to_have_text("It moves to another node.")
    expect(node).to_have_text({"node1": "node2", "node2": "node1"}[source])


def profile(browser: Browser, **options: Any) -> BrowserContext:
    """A new one, which waits long."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    context.set_default_timeout(PATIENCE * 1000)
    return context


def enter(browser: Browser, link: str, **options: Any) -> tuple[BrowserContext, str]:
    """A new profile that the link lets in, and the address of the console."""
    context = profile(browser, **options)
    page = context.new_page()
    page.goto(link)
    page.wait_for_url(re.compile(r":\d+/$"))
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.close()
    return context, link.partition("/enter")[0]


def log_in(browser: Browser, link: str, token: str) -> BrowserContext:
    """A new profile of who has this token."""
    context = profile(browser)
    page = context.new_page()
    page.goto(link)
    page.get_by_label("Bearer token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.close()
    return context


# A copy is read: a browser complains of a page's own canvas that is read again and again.
COLOURS = """canvas => {
    const {width, height} = canvas;
    if (!width || !height) return 0;
    const copy = new OffscreenCanvas(width, height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const {data} = copy.getImageData(0, 0, width, height);
    return new Set(new Uint32Array(data.buffer)).size;
}"""


class Proxy(Relay):
    """A SOCKS proxy (RFC 1928) that leads to its target, whatever it is asked for: so the browser
    keeps the console's own address."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            _, methods = await reader.readexactly(2)
            await reader.readexactly(methods)
            writer.write(b"\x05\x00")  # no authentication
            *_, kind = await reader.readexactly(4)
            length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
            await reader.readexactly(length + 2)
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
            return
        await super().serve(reader, writer)


@dataclass(frozen=True)
class Line:
    """A relay that runs in a thread of its own: Playwright's loop has this one."""

    relay: Relay
    loop: asyncio.AbstractEventLoop

    def cut(self) -> None:
        """End all connections, and take no new one."""
        self.loop.call_soon_threadsafe(self.relay.cut)

    def mend(self, url: str) -> None:
        self.loop.call_soon_threadsafe(self.relay.point_to, url)


@contextmanager
def line(relay: Relay, url: str) -> Iterator[Line]:
    """The relay before a server; `relay.port` is where to connect to."""
    loop, ready, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        relay.point_to(url)
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
        relay.port = server.sockets[0].getsockname()[1]
        ready.set()
        await ended.wait()
        server.close()
        await relay.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield Line(relay, loop)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(PATIENCE)
        loop.close()
