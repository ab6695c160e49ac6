"""The demo of live migration: a machine moves twice under load, and its peers count.

Pods on all three nodes ping the machine while it moves, and one reads from a connection. The guest
writes memory and its disk the whole time. Its count would begin anew if it had been started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from weft.kube import client as kube
from weft.kube import resources
from weft.model import ObjectKey
from weft_lab.demos import machines, setup
from weft_lab.demos.guestcommands import Run, printed
from weft_lab.demos.verdict import Verdict
from weft_lab.vm import migration, migrationcost, migrationreport

NAME = "migrate"
WAGON, NIC = "default/wagon", "tracks"
STATIONS = ("station-one", "station-two", "station-three")
SECONDS = 14  # of pings around a move
INTERVAL = 0.05  # between two pings
PORT = 7000
SLACK = 150  # milliseconds beyond the standstill that pings may stay without an answer
PATIENCE = 120.0
# A quarter of the guest's memory over and over, the disk, and a count that is never half written.
LOAD = (
    "(n=0; while :; do n=$((n+1)); echo $n >/tmp/next; mv /tmp/next /tmp/count;"
    " echo $n | dd of=/dev/vda conv=notrunc 2>/dev/null; sleep 0.1; done) >/dev/null 2>&1 &"
    " (while :; do dd if=/dev/zero of=/tmp/load bs=1M count=24 2>/dev/null; sleep 0.3; done)"
    " >/dev/null 2>&1 &"
)
SPEAK = (
    f"(while :; do (while cat /tmp/count; do sleep 0.1; done) | nc -l -p {PORT}; done)"
    " >/dev/null 2>&1 &"
)

InPod = Callable[..., Coroutine[Any, Any, str]]  # (pod, *argv): what it says


@dataclass(frozen=True, slots=True)
class Pings:
    """`longest` is of answers lost in a row."""

    sent: int
    lost: int
    longest: int

    def __str__(self) -> str:
        gap = round(self.longest * INTERVAL * 1000)
        return f"{self.lost} of {self.sent} lost" + (f", {gap} ms in a row" if self.lost else "")


def pings(text: str) -> Pings:
    """What busybox's ping says. The answers after the last that came count as lost."""
    found = re.search(r"(\d+) packets transmitted", text)
    sent = int(found[1]) if found else 0
    answered = {int(each) for each in re.findall(r"seq=(\d+) ", text)}
    longest = run = 0
    for number in range(sent):
        run = 0 if number in answered else run + 1
        longest = max(longest, run)
    return Pings(sent, sent - len(answered & set(range(sent))), longest)


async def play(
    api: kube.Client, vms: Mapping[str, machines.Machine], run: Run, in_pod: InPod
) -> AsyncIterator[Verdict]:
    """There, and to another node."""
    before = vms[WAGON]
    await run(before, "sh", "-c", LOAD)
    await run(before, "sh", "-c", SPEAK)
    address = before.address(NIC)
    await asyncio.gather(*(in_pod(each, "ping", "-c", "2", address) for each in STATIONS))
    now = before
    for name in ("first move", "second move"):
        count = await _count(now, run)
        asked = [
            asyncio.create_task(
                in_pod(each, "ping", "-i", str(INTERVAL), "-w", str(SECONDS), address)
            )
            for each in STATIONS
        ]
        reading = asyncio.create_task(
            in_pod(STATIONS[2], "sh", "-c", f"sleep {SECONDS} | nc {address} {PORT}")
        )
        await asyncio.sleep(1)  # some answers before it moves
        one = await _moved(api)
        state = (one.get("status") or {}).get("migrationState") or {}
        cost = (one.get("status") or {}).get(migrationcost.FIELD) or {}
        moved = migration.phase(one) == "Succeeded"
        seen = migrationcost.summary(cost) if moved else str(state.get("failureReason"))
        yield Verdict(name, f"{state.get('sourceNode')} > {state.get('targetNode')}", moved, seen)
        now = await _located(api)
        at_end = await _count(now, run)
        yield Verdict("its count goes on", now.name, at_end > count, f"{count}, then {at_end}")
        answers = [pings(text) for text in await asyncio.gather(*asked)]
        still = migrationreport.standstill(one)
        for station, found in zip(STATIONS, answers, strict=True):
            gap = found.longest * INTERVAL * 1000
            holds = bool(found.sent) and still is not None and gap <= still + SLACK
            yield Verdict("ping while it moves", f"{station} > {now.name}", holds, str(found))
        await _note(api, one, answers)
        heard = [int(each) for each in re.findall(r"^\d+$", await reading, re.MULTILINE)]
        seen = f"counted to {heard[-1]}" if heard else "nothing was read"
        holds = bool(heard) and heard[0] <= at_end < heard[-1] and heard == sorted(heard)
        yield Verdict("its connection lasts", f"{STATIONS[2]} < {now.name}", holds, seen)
    same = now.address(NIC) == address and now.nic(NIC).mac == before.nic(NIC).mac  # type: ignore[union-attr]
    yield Verdict("address and MAC stay", now.name, same, f"{address} {now.nic(NIC).mac}")  # type: ignore[union-attr]
    disk = printed(await run(now, "head", "-n", "1", "/dev/vda")).strip()
    holds = disk.isdigit() and int(disk) >= at_end
    yield Verdict("its disk came along", now.name, holds, f"holds the count {disk}")


async def _count(machine: machines.Machine, run: Run) -> int:
    text = printed(await run(machine, "cat", "/tmp/count")).strip()
    return int(text) if text.isdigit() else 0


async def _moved(api: kube.Client) -> dict[str, Any]:
    """A migration of the machine, when it is over and its figures are there."""
    key = ObjectKey(*WAGON.split("/"))
    made = await api.create(
        resources.VMIMS,
        {
            "apiVersion": resources.VMIMS.api_version,
            "kind": resources.VMIMS.kind,
            "metadata": {"generateName": f"{NAME}-", "namespace": key.namespace},
            "spec": {"vmiName": key.name},
        },
    )

    def is_over(one: dict[str, Any]) -> bool:
        found = one.get("status") or {}
        if migration.phase(one) == "Failed":
            return "migrationState" in found
        return migration.phase(one) == "Succeeded" and migrationcost.FIELD in found

    async with setup.following(api, resources.VMIMS, key.namespace) as known:
        return await known.wait_for(resources.key(made), is_over, PATIENCE)


async def _located(api: kube.Client) -> machines.Machine:
    """The machine where it is now, with the guest's agent at work."""
    key = ObjectKey(*WAGON.split("/"))
    async with setup.following(api, resources.VMIS, key.namespace) as known:
        return machines.read(await known.wait_for(key, machines.settled, PATIENCE))


async def _note(api: kube.Client, one: Mapping[str, Any], answers: list[Pings]) -> None:
    """The packets that the probes lost, beside the other figures of the migration."""
    meta = one["metadata"]
    probed = {
        "probePackets": sum(each.sent for each in answers),
        "lostPackets": sum(each.lost for each in answers),
    }
    with contextlib.suppress(kube.NotFound):
        await api.patch(
            resources.VMIMS,
            meta["name"],
            meta["namespace"],
            {"status": {migrationcost.FIELD: probed}},
            subresource="status",
        )
