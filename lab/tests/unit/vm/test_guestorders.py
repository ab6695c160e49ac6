"""What a guest's handler refuses before it asks the guest, and what it makes good after it did."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.memory_api import MemoryApi
from tests.support.patience import PATIENCE
from weft.kube import events
from weft.model import ObjectKey
from weft_lab.vm import guestorders

KEY = ObjectKey("default", "m")
VMI = {
    "metadata": {"namespace": "default", "name": "m", "uid": "u"},
    "status": {"phase": "Running", "conditions": []},
}
UNREADABLE = "failed to unmarshal unfreeze timeout"


async def refused(tmp_path: Path, body: Any) -> tuple[int, str]:
    recorder = events.Recorder(MemoryApi(), "virt-handler")
    orders = guestorders.Orders(recorder, lambda key: VMI, lambda uid: None)
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
    """An agent that freezes, and is gone before it says so; and once more when it is to thaw."""

    def __init__(self) -> None:
        self.state, self.asked = "thawed", list[str]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            request = orjson.loads(line.lstrip(b"\xff"))
            command = request["execute"]
            self.asked.append(command)
            if command == "guest-fsfreeze-freeze":
                self.state = "frozen"
                break
            if command == "guest-fsfreeze-thaw":
                if self.asked.count(command) == 1:
                    break
                self.state = "thawed"
            found = request["arguments"]["id"] if "arguments" in request else self.state
            writer.write(orjson.dumps({"return": found}) + b"\n")
        writer.close()


async def test_what_is_frozen_late_is_thawed_however_often_it_takes(tmp_path: Path) -> None:
    guest, changed = Guest(), asyncio.Event()
    connected = {"type": "AgentConnected", "status": "True"}
    vmi = {**VMI, "status": {"phase": "Running", "nodeName": "one", "conditions": [connected]}}
    recorder = events.Recorder(MemoryApi(), "virt-handler")
    orders = guestorders.Orders(recorder, lambda key: vmi, lambda uid: changed.set())
    async with await asyncio.start_unix_server(guest.serve, tmp_path / "agent.sock"):
        with pytest.raises(guestorders.Refused, match="closed the connection"):
            await orders.carry_out("freeze", KEY, "u", tmp_path, {"unfreezeTimeout": "0s"})
        assert guest.state == "frozen"
        async with asyncio.timeout(PATIENCE):
            await changed.wait()
    assert guest.state == "thawed"
    assert guest.asked.count("guest-fsfreeze-thaw") == 2
