"""What others do to a zone's rows, and what its writer makes of it: real databases, no northd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.barezone import SWITCH, Bare, bare
from tests.support.ovsdb import Server
from weft import rows
from weft.ovn import ports, tables

pytestmark = pytest.mark.real

PORT = ports.PORT


@pytest.fixture
async def zone(ovsdb: Callable[[str], Server]) -> AsyncIterator[Bare]:
    async with bare(ovsdb) as made:
        yield made


async def test_a_reference_that_the_server_drops_unseen_is_written_again(zone: Bare) -> None:
    """Somebody deletes what a new port refers to just before the port comes."""
    with zone.stopped():
        everything = {"op": "delete", "table": "DHCP_Options", "where": []}
        theirs = zone.stranger.request("transact", [tables.NORTHBOUND, everything])
        port = zone.pod("new", 12)
        await zone.sent()
    await theirs
    await zone.until(lambda: zone.nb.get(PORT, port) is not None)
    await zone.settled()
    options = zone.nb.uuid("DHCP_Options", "dhcp4/blue")
    assert options is not None
    assert zone.row(PORT, port)["dhcpv4_options"] == options
    assert zone.writer.figures.rebuilds == 1


async def test_a_row_is_deleted_though_the_server_changed_it_as_it_came(zone: Bare) -> None:
    """A pod that goes as soon as its row was written: nothing of it stays."""
    with zone.stopped():
        everything = {"op": "delete", "table": "DHCP_Options", "where": []}
        theirs = zone.stranger.request("transact", [tables.NORTHBOUND, everything])
        row = rows.Row(
            PORT,
            "direct",
            {"name": "direct", "dhcpv4_options": rows.Ref("DHCP_Options", "dhcp4/blue")},
            rows.Ref("Logical_Switch", SWITCH),
            "ports",
        )
        writing = asyncio.ensure_future(zone.nb.apply([row]))
        await zone.sent()
    await theirs
    await writing
    await zone.nb.apply((), [(PORT, "direct")])
    assert zone.nb.get(PORT, "direct") is None
    left = await zone.stranger.transact(
        tables.NORTHBOUND,
        [{"op": "select", "table": PORT, "where": [["name", "==", "direct"]], "columns": ["name"]}],
    )
    assert left == [{"rows": []}]
