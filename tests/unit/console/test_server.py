"""Settings that a console refuses before it listens."""

from __future__ import annotations

import socket

import pytest

from tests.support.memory_api import MemoryApi
from weft import errors
from weft.console import server


def settings(
    address: str = "127.0.0.1",
    *,
    port: int = 0,
    is_login: bool = False,
    certificate: str = "",
    key: str = "",
) -> server.Settings:
    return server.Settings(
        connect=lambda token: MemoryApi(),
        address=address,
        port=port,
        is_login=is_login,
        certificate=certificate,
        key=key,
    )


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (settings("0.0.0.0"), "everybody would have your rights"),
        (settings("::"), "everybody would have your rights"),
        (settings("192.0.2.1", is_login=True), "sent in the clear"),
        (settings("localhost"), "must be an address"),
        (settings(certificate="a.crt"), "--tls-key"),
        (settings(key="a.key"), "--tls-certificate"),
    ],
)
def test_what_would_let_others_in_is_refused(refused: server.Settings, why: str) -> None:
    with pytest.raises(errors.InvalidInput, match=why):
        server.check(refused)


def test_loopback_and_a_certificate_are_fine() -> None:
    server.check(settings())
    server.check(settings("::1"))
    server.check(settings("127.0.0.1", is_login=True))
    server.check(settings("0.0.0.0", is_login=True, certificate="a.crt", key="a.key"))


async def test_a_certificate_that_is_not_there_is_named() -> None:
    given = settings(is_login=True, certificate="/no/such.crt", key="/no/such.key")
    with pytest.raises(errors.InvalidInput, match=r"/no/such\.crt"):
        await server.serve(given, print)


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.Unavailable, match=f"127.0.0.1:{port}") as caught:
            await server.serve(settings(port=port), print)
        assert "--port" in caught.value.hint
