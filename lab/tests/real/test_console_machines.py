"""Virtual machines in the web console: actions and consoles, with a socket in QEMU's place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lab.tests.real import test_apiserver_machines as machines
from lab.tests.support.apihttp import Http
from tests.support import consoled
from tests.support.consoled import Browser
from weft.console import server, sockets

pytestmark = pytest.mark.real
http = machines.http
PAGE = "/machines/default/m"


@pytest.fixture
async def browser(http: Http) -> AsyncIterator[Browser]:
    """One that has entered a console of the API server."""
    connect = server.connector(str(http.server.kubeconfig))
    async with consoled.running(connect) as found:
        await found.enter()
        yield found


async def test_the_page_starts_and_stops_a_machine(http: Http, browser: Browser) -> None:
    await machines.made(http, runStrategy="Halted")
    form = {"form_token": await browser.form_token(PAGE)}
    assert (await browser.post(f"{PAGE}/-/start", {}))[0] == 403, "no form token"
    assert (await machines.vm_of(http))["spec"]["runStrategy"] == "Halted"
    status, text, _ = await browser.post(f"{PAGE}/-/start", form)
    assert (status, "It starts." in text) == (200, True)
    assert (await machines.vm_of(http))["spec"]["runStrategy"] == "Always"
    status, text, _ = await browser.post(f"{PAGE}/-/start", form)
    assert (status, "does not support manual start requests" in text) == (422, True)
    assert (await browser.post(f"{PAGE}/-/stop", form))[0] == 200
    assert (await machines.vm_of(http))["spec"]["runStrategy"] == "Halted"


def socket(browser: Browser, device: str, **headers: str) -> Any:
    origin = {"Origin": browser.base, "Sec-Fetch-Site": "same-origin"}
    url = f"{browser.base}/socket{PAGE}/{device}/-/bytes"
    return browser.session.ws_connect(url, headers={**origin, **headers})


@pytest.mark.parametrize(("device", "kind"), [("serial", "console"), ("screen", "vnc")])
async def test_a_device_is_joined_to_the_browser(
    http: Http,
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    kind: str,
) -> None:
    monkeypatch.setattr(sockets, "PATIENCE", 0.0)
    uid = await machines.with_node(http)
    async with machines.handled(tmp_path, uid, kind) as machine:
        async with socket(browser, device) as joined:
            reader, writer = await machine.served.get()
            writer.write(b"\x1b[2Jlogin: \xff")
            assert await joined.receive_bytes() == b"\x1b[2Jlogin: \xff"
            await joined.send_bytes(b"root\n")
            assert await reader.readexactly(5) == b"root\n"
            writer.close()  # the machine has ended
            end = await joined.receive()
            assert end.type is aiohttp.WSMsgType.CLOSE
            assert "somebody else has opened it" in str(end.extra), "it runs"
        async with socket(browser, device) as joined:
            reader, _ = await machine.served.get()
            await joined.close()
            assert await reader.read() == b"", "the device is free when the browser leaves"
        async with socket(browser, device) as joined:
            _, writer = await machine.served.get()
            await http("DELETE", f"{machines.KUBEVIRT}/virtualmachineinstances/m")
            writer.close()
            assert "the machine has stopped" in str((await joined.receive()).extra)


async def test_a_device_that_cannot_be_joined_says_why(http: Http, browser: Browser) -> None:
    async with socket(browser, "serial") as joined:
        end = await joined.receive()
    assert end.type is aiohttp.WSMsgType.CLOSE
    assert "there is no such running machine" in str(end.extra)


async def test_no_other_page_joins_a_device(http: Http, browser: Browser) -> None:
    await machines.with_node(http)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await socket(browser, "serial", **headers)
        assert refused.value.status == 403
