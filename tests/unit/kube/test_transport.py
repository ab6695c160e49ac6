"""What stands in the way of a request before it is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.patience import PATIENCE
from weft.kube import config, errors, transport


async def test_a_token_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    token = tmp_path / "token"
    endpoint = config.Endpoint("http://127.0.0.1:1", token_file=str(token))
    async with transport.Transport(endpoint) as door:
        for method in ("GET", "POST"):
            with pytest.raises(errors.Unauthorized, match=f"{token}: No such file") as caught:
                await door.request(method, "/version")
            assert "kubeconfig" in caught.value.hint
        with pytest.raises(errors.Unauthorized):
            async with door.stream("/api/v1/pods", {}, idle_timeout=1.0):
                pass


@pytest.mark.parametrize(("content", "why"), [(b" \n", "is empty"), (b"\xff", "is not text")])
async def test_a_token_file_without_a_token_is_named_and_nobody_is_anonymous(
    tmp_path: Path, content: bytes, why: str
) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    endpoint = config.Endpoint("http://127.0.0.1:1", token_file=str(token))
    async with transport.Transport(endpoint) as door:
        with pytest.raises(errors.Unauthorized, match=why) as caught:
            await door.request("GET", "/version")
        assert str(token) in str(caught.value)


async def test_a_websocket_ends_though_the_server_sends_on_and_never_agrees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a guest does that writes all the time to its serial console."""
    monkeypatch.setattr(transport, "_CLOSING", 0.2)
    gone = asyncio.Event()

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("plain",), autoclose=False)
        await socket.prepare(request)
        try:
            while True:
                await socket.send_bytes(b"x" * 4096)
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    app = web.Application()
    app.router.add_get("/talk", talk)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with (
            asyncio.timeout(PATIENCE),
            transport.Transport(config.Endpoint(f"http://{host}:{port}")) as door,
        ):
            async with door.websocket("/talk", protocol="plain", longest=1 << 16) as socket:
                assert (await socket.receive()).data
            await gone.wait()
    finally:
        await runner.cleanup()
