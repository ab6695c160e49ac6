"""What northd derived, deleted or altered behind its back: who has it written again?"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.real.test_zone import build, pings
from tests.support.patience import PATIENCE
from tests.support.realised import Cluster, Kept, alongside
from weft import names
from weft.control.zone import derived
from weft.ovn import tables
from weft.ovsdb import contents

pytestmark = pytest.mark.real

TWO = "default.blue_default_two"
GROUP = (
    *("pg-add", "theirs", TWO, "--"),
    *("create", "Address_Set", "name=theirs", 'addresses="10.1.0.12"'),
)


@asynccontextmanager
async def watched(kept: Kept) -> AsyncIterator[derived.Derived]:
    made = derived.Derived(kept.nb, kept.sb)
    async with alongside(made.run()):
        yield made


async def confirmed(kept: Kept, made: derived.Derived) -> None:
    """Returns when northd has confirmed what it derived, and what was done to it until now."""
    async with asyncio.timeout(PATIENCE):
        await kept.sb.transact([])  # what others wrote before is seen
        await made.confirmed()


async def quiet(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """northd and ovn-controller are done, and from now on no change explains another's."""
    await kept.synced()
    monkeypatch.setattr(derived, "FOLLOWS", 0.0)


def recompute_after(monkeypatch: pytest.MonkeyPatch, *, after: float) -> None:
    """A doubt alone asks for a recompute after so many seconds; infinite: never."""
    monkeypatch.setattr(derived, "QUIET", after)
    monkeypatch.setattr(derived, "RESTLESS", after)
    monkeypatch.setattr(derived, "SELDOM", 0.0)


def follows_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, a change explains another's."""
    monkeypatch.setattr(derived, "FOLLOWS", math.inf)


async def derived_rows(kept: Kept) -> dict[str, list[str]]:
    """All that northd derived, without the UUIDs."""
    found = {}
    for table in tables.DERIVED:
        columns = ",".join(c for c in table.columns if c not in tables.BINDING)
        listing = await asyncio.to_thread(
            kept.zone.run, "ovn-sbctl", "-f", "csv", "--no-headings", f"--columns={columns}",
            "list", table.name,
        )  # fmt: skip
        found[table.name] = sorted(re.sub(r"[0-9a-f-]{36}", "U", listing).splitlines())
    return found


VANDALISM = (
    ("--all", "destroy", "Logical_Flow"),
    ("set", "Logical_Flow", "actions=next;", "actions=drop;"),
    ("create", "Logical_Flow", "pipeline=ingress", "table_id=0", "priority=65000", "match=1",
     "actions=drop;"),
    ("set", "Port_Binding", TWO, 'mac="0a:58:00:00:00:66"'),
    ("set", "Port_Binding", TWO, "tunnel_key=30000"),
    ("set", "Port_Binding", TWO, "tag=77"),
    ("destroy", "Port_Binding", TWO),
    ("clear", "Multicast_Group", "name=_MC_flood", "ports"),
    ("--all", "destroy", "Multicast_Group"),
    ("clear", "Address_Set", "theirs", "addresses"),
    ("destroy", "Address_Set", "theirs"),
    ("--all", "destroy", "Port_Group"),
    ("create", "Port_Group", "name=strange"),
)  # fmt: skip


def exact(kept: Kept, command: tuple[str, ...]) -> tuple[str, ...]:
    """With the UUID of the first row that meets a condition in its place."""
    verb, table, which, *rest = command
    if not rest or verb not in ("set", "clear") or "=" not in which:
        return command
    found = kept.zone.run("ovn-sbctl", "--bare", "--columns=_uuid", "find", table, which)
    return verb, table, found.split()[0], *rest


async def test_what_another_does_to_it_is_undone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    recompute_after(monkeypatch, after=math.inf)
    scene = await build(cluster)
    a = scene.a
    assert await pings(scene.guests["one"], "10.1.0.12")
    await asyncio.to_thread(a.zone.run, "ovn-nbctl", "--", *GROUP)
    async with watched(a) as made:
        await confirmed(a, made)
        await quiet(a, monkeypatch)
        before = await derived_rows(a)
        assert before["Port_Group"]
        for command in VANDALISM:
            await asyncio.to_thread(a.zone.run, "ovn-sbctl", *exact(a, command))
            await confirmed(a, made)
            assert await derived_rows(a) == before, command
        assert await pings(scene.guests["one"], "10.1.0.12")


FLOWS = ("--all", "destroy", "Logical_Flow")


def strike_late(kept: Kept, monkeypatch: pytest.MonkeyPatch, *command: str) -> asyncio.Event:
    """Once northd has computed all anew, and before Derived knows: then it is done.

    No recompute that began before can undo it: northd is idle. The event tells that it was done.
    """
    transact = kept.sb.transact
    struck = asyncio.Event()

    async def late(operations: Iterable[Any]) -> list[Any]:
        asked = list(operations)
        if not asked and not struck.is_set():
            await kept.synced()
            await asyncio.to_thread(kept.zone.run, "ovn-sbctl", *command)
            struck.set()
        return await transact(asked)

    monkeypatch.setattr(kept.sb, "transact", late)
    return struck


@pytest.mark.parametrize(
    "late", [FLOWS, ("--all", "destroy", "Port_Group")], ids=["flows", "groups"]
)
async def test_what_another_does_while_northd_repairs_is_undone_before_it_is_confirmed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, late: tuple[str, ...]
) -> None:
    recompute_after(monkeypatch, after=math.inf)
    scene = await build(cluster)
    a = scene.a
    await asyncio.to_thread(a.zone.run, "ovn-nbctl", "--", *GROUP)
    async with watched(a) as made:
        await confirmed(a, made)
        await quiet(a, monkeypatch)
        before = await derived_rows(a)
        struck = strike_late(a, monkeypatch, *late)
        await asyncio.to_thread(a.zone.run, "ovn-sbctl", *FLOWS)
        async with asyncio.timeout(PATIENCE):
            await struck.wait()
            await made.confirmed()
        assert await derived_rows(a) == before


async def test_what_another_does_during_a_recompute_for_doubt_is_undone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    recompute_after(monkeypatch, after=0.0)
    follows_for_ever(monkeypatch)
    scene = await build(cluster)
    a = scene.a
    async with watched(a) as made:
        await confirmed(a, made)
        await a.synced()
        before = await derived_rows(a)
        struck = strike_late(a, monkeypatch, *FLOWS)
        back = asyncio.Event()
        a.sb.observe(lambda seen: back.set() if struck.is_set() and restored(seen) else None)
        await asyncio.to_thread(a.zone.run, "ovn-sbctl", "create", "Port_Group", "name=strange")
        async with asyncio.timeout(PATIENCE):
            await back.wait()
        assert await derived_rows(a) == before
        assert made.trouble == ""


async def test_a_recompute_that_finds_all_as_it_was_asks_for_no_other(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though northd writes and deletes what it derives from weft's own group meanwhile."""
    recompute_after(monkeypatch, after=math.inf)
    scene = await build(cluster)
    async with watched(scene.a) as made:
        await confirmed(scene.a, made)
        await quiet(scene.a, monkeypatch)
        done = made.recomputes
        made.reset()
        await confirmed(scene.a, made)
        assert made.recomputes == done + 1


async def test_what_happened_while_nobody_looked_is_undone_at_the_start(
    cluster: Cluster,
) -> None:
    scene = await build(cluster)
    a = scene.a
    before = await derived_rows(a)
    await asyncio.to_thread(a.zone.run, "ovn-sbctl", "--all", "destroy", "Logical_Flow")
    async with watched(a) as made:
        await confirmed(a, made)
        assert await derived_rows(a) == before
        assert made.trouble == ""


async def test_a_northd_that_does_not_run_is_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived, "ANSWER", 0.2)
    scene = await build(cluster)
    a = scene.a
    await asyncio.to_thread(a.zone.stop, "ovn-northd")
    told = asyncio.Event()
    monkeypatch.setattr(derived.log, "warning", lambda *_: told.set())
    async with watched(a) as made, asyncio.timeout(PATIENCE):
        await told.wait()
        assert "northd has not answered since " in made.trouble
        assert f"(it leaves {names.TOUCHED} in SB_Global.options)" in made.trouble
        await asyncio.to_thread(a.zone.start, "ovn-northd")
        await made.confirmed()
        assert made.trouble == ""


async def test_changes_of_what_it_derives_from_explain_what_it_writes(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod that goes takes flows along: nobody else's doing, and looked at when all is quiet."""
    recompute_after(monkeypatch, after=math.inf)
    follows_for_ever(monkeypatch)
    scene = await build(cluster)
    received: list[contents.ObservedChange] = []
    scene.a.sb.observe(received.extend)
    async with watched(scene.a) as made:
        await confirmed(scene.a, made)
        done = made.recomputes
        await cluster.gone("three")
        await scene.a.synced()
        await scene.a.sb.wait_for(
            "Port_Binding", "default.blue_default_three", lambda row: row is None, PATIENCE
        )
        assert [each for each in received if each.kind == "delete" and each.table == "Logical_Flow"]
        assert (made.trouble, made.recomputes) == ("", done)


async def test_what_another_does_beside_a_pod_that_comes_is_undone_when_all_is_quiet(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pod explains what changes, so that nobody is suspected; it is looked at all the same."""
    follows_for_ever(monkeypatch)
    scene = await build(cluster)
    async with watched(scene.a) as made:
        await confirmed(scene.a, made)
        await cluster.pod("late", scene.b, "default/blue", 20, "10.1.0.20/24")
        await scene.a.synced()
        before = await derived_rows(scene.a)
        flows = asyncio.Event()
        scene.a.sb.observe(lambda seen: flows.set() if restored(seen) else None)
        await asyncio.to_thread(scene.a.zone.run, "ovn-sbctl", *FLOWS)
        assert made.trouble == ""
        async with asyncio.timeout(PATIENCE):
            await flows.wait()
        assert await derived_rows(scene.a) == before


def restored(seen: list[contents.ObservedChange]) -> bool:
    return any(each.table == "Logical_Flow" and each.kind == "insert" for each in seen)
