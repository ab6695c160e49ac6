"""What a guest's handler refuses before it asks the guest, and what it makes good after it did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from tests.support.realised import alongside
from weft.kube import cache, events, resources
from weft.kube.client import Object
from weft.model import ObjectKey
from weft_lab.vm import guestorders, guestthaws, launcher

KEY = ObjectKey("default", "m")
VMI = {
    "metadata": {"namespace": "default", "name": "m", "uid": "u"},
    "status": {"phase": "Running", "conditions": []},
}
Order = Callable[..., Awaitable[None]]
UNREADABLE = "failed to unmarshal unfreeze timeout"


async def refused(tmp_path: Path, body: Any) -> tuple[int, str]:
    api = MemoryApi()
    recorder, vmis = events.Recorder(api, "virt-handler"), cache.Cache(api, resources.VMIS)
    thaws = guestthaws.Thaws(api, "one", vmis, lambda uid: None)
    orders = guestorders.Orders(recorder, lambda key: VMI, lambda uid: None, thaws)
    with pytest.raises(guestorders.Refused) as why:
        await orders.carry_out("freeze", KEY, "u", tmp_path, body)
    return why.value.code, str(why.value)


@pytest.mark.parametrize(
    "given",
    ["", "5", "-5s", "1s ", "s", "10 minutes", "9" * 60 + "h", "9" * 400 + "h", [], {}],
    ids=str,
)
async def test_a_timeout_that_is_no_duration_is_refused(tmp_path: Path, given: Any) -> None:
    assert await refused(tmp_path, {"unfreezeTimeout": given}) == (400, UNREADABLE)


@pytest.mark.parametrize("given", ["0", "0s", "1m30s", "1.5h", "250ms"])
async def test_a_duration_is_taken(tmp_path: Path, given: str) -> None:
    code, why = await refused(tmp_path, {"unfreezeTimeout": given})
    assert (code, why) == (400, "Guest agent is not responding: QEMU guest agent is not connected")


async def test_a_timeout_without_end_is_not_read(tmp_path: Path) -> None:
    began = time.process_time()
    assert await refused(tmp_path, {"unfreezeTimeout": "9" * 60_000}) == (400, UNREADABLE)
    assert time.process_time() - began < 1
    bodies: tuple[Any, ...] = (None, [], {}, {"unfreezeTimeout": None})
    for body in bodies:
        assert (await refused(tmp_path, body))[1].startswith("Unfreeze timeout")


class Guest:
    """An agent. `fails`: of which commands the first is carried out, and not answered."""

    def __init__(self, *fails: str) -> None:
        self.state, self.asked, self.fails = "thawed", list[str](), fails
        self.refuses = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            request = orjson.loads(line.lstrip(b"\xff"))
            command = request["execute"]
            self.asked.append(command)
            is_lost = command in self.fails and self.asked.count(command) == 1
            if command == "guest-fsfreeze-freeze":
                self.state = "frozen"
            if command == "guest-fsfreeze-thaw" and not is_lost:
                self.state = "thawed"
            if is_lost:
                break
            found = request.get("arguments", {}).get("id", self.state)
            answer: Object = {"return": found}
            if command == "guest-shutdown":
                answer = {"error": {"desc": self.refuses}}
            writer.write(orjson.dumps(answer) + b"\n")
        writer.close()


def annotated(vmi: Object) -> str:
    return str((vmi["metadata"].get("annotations") or {}).get(guestthaws.ANNOTATION) or "")


@dataclass
class Scene:
    """A guest and its instance in an API; `vmis` are those that the last handler has seen."""

    api: MemoryApi
    guest: Guest
    vmis: cache.Cache
    run: Path
    changed: asyncio.Event
    group: AsyncExitStack

    @property
    def annotated(self) -> str:
        return annotated(self.api.of(resources.VMIS, "default/m"))

    async def handler(self, node: str) -> tuple[Order, AsyncExitStack]:
        """That of a node, until the stack is closed."""
        self.vmis = vmis = cache.Cache(self.api, resources.VMIS)
        thaws = guestthaws.Thaws(self.api, node, vmis, lambda uid: self.changed.set(), self.run)
        recorder = events.Recorder(self.api, "virt-handler")
        orders = guestorders.Orders(recorder, vmis.get, lambda uid: self.changed.set(), thaws)
        stack = await self.group.enter_async_context(AsyncExitStack())
        for part in (vmis.run(), thaws.run()):
            await stack.enter_async_context(alongside(part))
        await vmis.synced()

        async def order(verb: str, timeout: str = "") -> None:
            body = {"unfreezeTimeout": timeout} if timeout else None
            await orders.carry_out(verb, KEY, "u", launcher.folder(*KEY, self.run), body)
            self.changed.clear()

        return order, stack

    def let_time_pass(self) -> None:
        past = {"metadata": {"annotations": {guestthaws.ANNOTATION: "2026-01-01T00:00:00Z"}}}
        self.api.change(resources.VMIS, "default/m", past)

    async def until_changed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.changed.wait()

    async def shows(self, done: Callable[[Object], bool]) -> None:
        await self.vmis.wait_for(KEY, done, PATIENCE)


@asynccontextmanager
async def scene(tmp_path: Path, *fails: str) -> AsyncIterator[Scene]:
    api, guest = MemoryApi(), Guest(*fails)
    connected = {"type": "AgentConnected", "status": "True"}
    status = {"phase": "Running", "nodeName": "one", "conditions": [connected]}
    api.put(resources.VMIS, {**VMI, "status": status})
    place = launcher.folder(*KEY, tmp_path)
    place.mkdir(parents=True)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            await asyncio.start_unix_server(guest.serve, place / "agent.sock")
        )
        yield Scene(api, guest, cache.Cache(api, resources.VMIS), tmp_path, asyncio.Event(), stack)


async def test_what_is_frozen_late_is_thawed_however_often_it_takes(tmp_path: Path) -> None:
    async with scene(tmp_path, "guest-fsfreeze-freeze", "guest-fsfreeze-thaw") as seen:
        order, _ = await seen.handler("one")
        with pytest.raises(guestorders.Refused, match="closed the connection"):
            await order("freeze", "0s")
        assert seen.guest.state == "frozen"
        await seen.until_changed()
        assert seen.guest.state == "thawed"
        assert seen.guest.asked.count("guest-fsfreeze-thaw") == 2


@pytest.mark.parametrize("again", ["0s", "2h"])
async def test_who_freezes_what_is_frozen_changes_nothing(tmp_path: Path, again: str) -> None:
    """As on KubeVirt: it is thawed when the first wanted."""
    async with scene(tmp_path) as seen:
        order, _ = await seen.handler("one")
        await order("freeze", "1h")
        first = seen.annotated
        await order("freeze", again)
        assert first == seen.annotated != ""
        assert seen.guest.asked.count("guest-fsfreeze-freeze") == 1
        seen.let_time_pass()
        await seen.until_changed()
        assert seen.guest.state == "thawed"
        await seen.shows(lambda vmi: not annotated(vmi))


@pytest.mark.parametrize("node", ["two", "one"], ids=["that moves", "whose handler is restarted"])
async def test_a_machine_is_thawed_in_time(tmp_path: Path, node: str) -> None:
    async with scene(tmp_path) as seen:
        order, one = await seen.handler("one")
        await order("freeze", "1h")
        if node == "two":
            await seen.handler("two")
            seen.api.change(resources.VMIS, "default/m", {"status": {"nodeName": node}})
            await seen.shows(lambda vmi: vmi["status"]["nodeName"] == node)
            assert seen.guest.state == "frozen"
            seen.let_time_pass()
        else:
            await one.aclose()
            seen.let_time_pass()
            assert seen.guest.state == "frozen"
            await seen.handler("one")
        await seen.until_changed()
        assert seen.guest.state == "thawed"


async def test_what_is_thawed_by_hand_is_not_thawed_again(tmp_path: Path) -> None:
    """What is frozen after that, for ever, stays so."""
    async with scene(tmp_path) as seen:
        order, _ = await seen.handler("one")
        await order("freeze", "1h")
        await order("unfreeze")
        assert (seen.guest.state, seen.annotated) == ("thawed", "")
        await order("freeze", "0s")
        assert (seen.guest.state, seen.annotated) == ("frozen", "")


class Monitor:
    """QEMU's, in a state; `asked` are the commands but those that ask."""

    def __init__(self, state: str) -> None:
        self.state, self.asked = state, list[str]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"QMP": {"version": {}, "capabilities": ["oob"]}}\n')
        while line := await reader.readline():
            command = orjson.loads(line)["execute"]
            if command not in ("qmp_capabilities", "query-status"):
                self.asked.append(command)
            found = {"status": self.state} if command == "query-status" else {}
            writer.write(orjson.dumps({"return": found}) + b"\n")
        writer.close()


@pytest.mark.parametrize(
    ("state", "migration", "is_reset"),
    [
        ("running", {}, True),
        ("paused", {}, True),
        ("postmigrate", {}, False),
        ("running", {"migrationUid": "m"}, False),
    ],
)
async def test_a_guest_that_moves_is_not_reset(
    tmp_path: Path, state: str, migration: Object, is_reset: bool
) -> None:
    """QEMU would forget that it was sent, and the guest could go on here."""
    async with scene(tmp_path) as seen:
        order, _ = await seen.handler("one")
        seen.api.change(resources.VMIS, "default/m", {"status": {"migrationState": migration}})
        await seen.shows(lambda vmi: "migrationState" in vmi["status"])
        monitor, path = Monitor(state), launcher.folder(*KEY, tmp_path) / "orders.sock"
        async with await asyncio.start_unix_server(monitor.serve, path):
            if is_reset:
                await order("reset")
            else:
                with pytest.raises(guestorders.Refused, match="currently during migration") as why:
                    await order("reset")
                assert why.value.code == 500
        assert monitor.asked == ["system_reset"] * is_reset


async def test_a_guest_says_why_it_does_not_reboot(tmp_path: Path) -> None:
    async with scene(tmp_path, "guest-shutdown") as seen:
        order, _ = await seen.handler("one")
        await order("softreboot")  # what goes down is silent
        assert seen.guest.asked[-1] == "guest-shutdown"
        seen.guest.refuses = "child process has failed to shutdown"
        with pytest.raises(guestorders.Refused, match="child process has failed") as why:
            await order("softreboot")
        assert why.value.code == 500
