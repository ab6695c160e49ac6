"""What a migration's source says of the end that it brings about; a socket stands in for QEMU."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.memory_api import MemoryApi
from tests.support.objects import nic, vmi
from weft.kube import events
from weft.kube.resources import VMIS
from weft_lab.vm import migrationsource

LOST = "the connection to the target node's handler was lost"
STATE = {
    "migrationUid": "m1",
    "startTimestamp": "2026-02-01T00:00:00Z",
    "targetNodeAddress": "127.0.0.1",
    "targetDirectMigrationNodePorts": {"1": 0},  # nobody listens there
}


@dataclass
class Qemu:
    """Sends memory until it is told to cancel. `known`: the reason that the API had by then."""

    api: MemoryApi
    known: list[str] = field(default_factory=list)
    status: str = "active"
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            command = json.loads(line)["execute"]
            answer: dict[str, Any] = {}
            if command == "query-migrate":
                answer = {"status": self.status}
            elif command == "query-status":
                answer = {"status": "running"}
            elif command == "migrate_cancel":
                state = self.api.of(VMIS, "default/db")["status"]["migrationState"]
                self.known.append(state.get("failureReason", ""))
                self.status = "cancelled"
            writer.write(json.dumps({"return": answer}).encode() + b"\n")
        writer.close()
        self.over.set()


@pytest.mark.parametrize("spoilt", ["", "before"])
async def test_the_reason_is_known_before_the_target_ends_by_it(
    tmp_path: Path, spoilt: str
) -> None:
    """The target ends with the migration. Who sees that first keeps the reason. It ends also where
    the API does not answer."""
    api, made = MemoryApi(), vmi("db", nic("lan", "blue"))
    made["metadata"]["uid"] = "u1"
    made["status"] = {"phase": "Running", "nodeName": "node1", "migrationState": STATE}
    api.put(VMIS, made)
    facts = {"uid": "u1", "macs": {}, "migration": "", "copied": []}
    (tmp_path / "vm.json").write_text(json.dumps(facts))
    lost: list[str] = []

    def spoil(verb: str, kind: Any, key: str) -> str:
        if (verb, kind) == ("patch", VMIS) and not lost:
            lost.append(key)
            return spoilt
        return ""

    api.spoil = spoil
    qemu = Qemu(api)
    async with await asyncio.start_unix_server(qemu.serve, tmp_path / "migration.sock"):
        await migrationsource.Source(
            *(api, events.Recorder(api, "virt-handler"), "node1", tmp_path),
            *(lambda: api.of(VMIS, "default/db"), (b"key", tmp_path)),
        ).run()
        await qemu.over.wait()
    assert qemu.known == ["" if spoilt else LOST]
    state = api.of(VMIS, "default/db")["status"]["migrationState"]
    assert (state["failed"], state["failureReason"]) == (True, LOST)
