"""Whose socket is at the other end, in the lists that Linux keeps."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from weft.console import peers

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
ROWS = (
    "   0: 0100007F:20E4 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000   0 1 1\n"
    "   1: 0100007F:C350 0100007F:20E4 01 00000000:00000000 00:00000000 00000000  1001   0 2 1\n"
    "   2: 0100007F:20E4 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000   0 3 1\n"
)
ROW6 = (
    "   0: 00000000000000000000000001000000:C350 00000000000000000000000001000000:20E4 01 "
    "00000000:00000000 00:00000000 00000000  1002   0 4 1\n"
)
HERE = ("127.0.0.1", 8420)


@pytest.mark.skipif(sys.byteorder != "little", reason="the rows are of a little-endian machine")
def test_the_other_ends_owner_is_found_and_not_this_ends() -> None:
    assert peers.owner(HEAD + ROWS, ("127.0.0.1", 50000), HERE) == 1001
    assert peers.owner(HEAD + ROWS, HERE, ("127.0.0.1", 50000)) == 1000
    assert peers.owner(HEAD + ROW6, ("::1", 50000), ("::1", 8420)) == 1002
    assert peers.owner(HEAD + ROWS, ("127.0.0.1", 50001), HERE) is None
    assert peers.owner("", ("127.0.0.1", 50000), HERE) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_connection_of_ones_own_is_let_in(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peers.check(writer.transport)
            seen.put_nowait("")
        except peers.Refused as error:
            seen.put_nowait(str(error))
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for listed, uid in ((True, os.getuid()), (True, os.getuid() + 1), (False, 7)):
            monkeypatch.setattr(os, "getuid", lambda uid=uid: uid)
            monkeypatch.setattr(peers, "PROC", Path("/proc/net") if listed else tmp_path)
            _, writer = await asyncio.open_connection(host, port)
            why = await seen.get()
            is_own = not listed or uid == os.geteuid() or os.geteuid() == 0
            assert ("another user's" in why) is not is_own
            writer.close()


def test_a_connection_that_has_ended_is_nobodys() -> None:
    with pytest.raises(peers.Refused):
        peers.check(None)
