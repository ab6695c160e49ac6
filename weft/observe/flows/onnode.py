"""Looks at who talks with whom on one node, and prints it.

    python -m weft.observe.flows.onnode < ORDER

It runs on the node: in a lab's node, or in the agent's pod. Order and answer are one JSON object
each, on standard input and output; `sighting` reads the answer. It changes nothing.

    nb, sb, ovs     addresses of the databases
    acl_log         ovn-controller's log
    networks        names of networks; none for all
    pods            "<namespace>/<name>" of the pods that are asked about; none for all
    since           seconds for which lines of the log count

What it reads is bounded. More connections, or flows of the datapath, than it may read are not read
at all: to list them would keep the switch from its work. It then says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from weft import errors, names
from weft.host import sockets, unixctl
from weft.nic.port import BRIDGE
from weft.observe.flows import bounds, conntrack, megaflows, sighting, zone
from weft.observe.flows.sighting import Look, Sighting, ZonePort
from weft.ovn import acllog, daemons, tables
from weft.ovsdb.session import Session

PATIENCE = 20.0  # seconds for a database or the switch
MOST_CONNECTIONS = 100_000  # entries of the tracker that a look reads
MOST_FLOWS = 20_000  # flows of the datapath
MOST_BYTES = 32 << 20  # bytes of one dump
FEW = 16  # ports whose connections are read one by one
LOG_BYTES = 256 << 10  # bytes from the end of the log
SINCE = 60.0  # seconds
ACL_LOG = "/var/log/ovn/ovn-controller.log"
_KERNEL_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")

Json = Any


class _Node:
    """One look. `notices` collects what could not be seen."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._order = order
        self._control = sockets.control(sockets.folder(str(order["ovs"])))
        self.at = time.time()
        self.known = zone.Ports()
        self._datapath = ""
        self.tracked: frozenset[str] = frozenset()
        self.notices: list[str] = []

    async def look(self) -> Look:
        south, switch = await asyncio.gather(self._south(), self._switch())
        # A host may have other bridges, with a datapath of another kind.
        kind = next((str(row["datapath_type"]) for row in switch[0]), "") or "system"
        self._datapath = f"{kind}@ovs-{kind}"
        self.known = zone.ports(south, switch)
        found = [*await self._connections(), *await self._flows(), *self._log()]
        chosen, left_off = bounds.bounded(filter(self._is_asked_for, found))
        return Look(
            at=self.at,
            ports=tuple(self._ports(chosen)),
            sightings=chosen,
            tracked=self.tracked,
            left_off=left_off,
            notices=tuple(self.notices),
        )

    def _is_asked_for(self, each: Sighting) -> bool:
        if self._order["networks"] and each.network not in self._order["networks"]:
            return False
        pods = self._order["pods"]
        return not pods or any(end.pod in pods for end in zone.ends(each, self.known))

    def _ports(self, chosen: tuple[Sighting, ...]) -> list[ZonePort]:
        """Those of this node, and all that the sightings name."""
        named = {name for each in chosen for name in (each.at, each.source.port, each.target.port)}
        networks = self._order["networks"]
        return [
            each
            for name, each in self.known.by_name.items()
            if (each.is_here and (not networks or each.network in networks)) or name in named
        ]

    async def _south(self) -> list[Json]:
        columns = ["logical_port", "mac", "external_ids", "datapath", "tunnel_key"]
        conditions: list[Json] = [[]]
        if self._order["networks"]:
            conditions = [
                [["external_ids", "includes", ["map", [[names.NETWORK, str(each)]]]]]
                for each in self._order["networks"]
            ]
        datapaths, *bindings = await _selected(
            self._order["sb"],
            tables.SOUTHBOUND,
            [
                _select("Datapath_Binding", ["_uuid", "tunnel_key"]),
                *(_select("Port_Binding", columns, where) for where in conditions),
            ],
        )
        return [datapaths, [row for rows in bindings for row in rows]]

    async def _switch(self) -> list[Json]:
        return await _selected(
            self._order["ovs"],
            "Open_vSwitch",
            [
                _select("Bridge", ["external_ids", "datapath_type"], [["name", "==", BRIDGE]]),
                _select("Interface", ["name", "external_ids"]),
            ],
        )

    # Connections

    async def _connections(self) -> list[Sighting]:
        here = {number: each for number, each in self.known.zones.items() if each.is_here}
        # Other nodes than theirs are asked what they see of these pods.
        pods = self._order["pods"]
        here = {number: each for number, each in here.items() if each.pod in pods} or here
        if not here:
            return []
        try:
            return await self._tracked(here)
        except (errors.WeftError, ValueError) as error:
            self.notices.append(f"connections are not seen: {_message(error)}")
            return []

    async def _tracked(self, here: Mapping[int, ZonePort]) -> list[Sighting]:
        total = await self._total()
        if len(here) <= FEW:
            dumps = []
            for number in here:
                if total > MOST_CONNECTIONS:
                    own = _total_of(await self._ask("dpctl/ct-stats-show", of=f"zone={number}"))
                    if own > MOST_CONNECTIONS:
                        self._too_many(f"{here[number].pod} has {own} connections")
                        continue
                dumps.append(await self._ask("dpctl/dump-conntrack", "-s", of=f"zone={number}"))
                self.tracked |= {here[number].name}
            return [each for dump in dumps for each in conntrack.sightings(dump, here, self.at)]
        if total > MOST_CONNECTIONS:
            self._too_many(f"the node tracks {total} connections")
            return []
        dump = await self._ask("dpctl/dump-conntrack", "-s")
        self.tracked = frozenset(each.name for each in here.values())
        return list(conntrack.sightings(dump, here, self.at))

    def _too_many(self, what: str) -> None:
        self.notices.append(
            f"{what}, more than the {MOST_CONNECTIONS} that a look reads: they are not listed"
        )

    async def _total(self) -> int:
        """How many connections the node tracks, those of others too."""
        try:
            return int(await self._ask("dpctl/ct-get-nconns"))
        except (errors.WeftError, ValueError):
            pass  # of the kernel's tracker the kernel says it
        counted = _kernel_count()
        return counted or _total_of(await self._ask("dpctl/ct-stats-show"))

    async def _ask(self, method: str, *options: str, of: str = "") -> str:
        """What vswitchd says of the datapath, or of a part of it."""
        arguments = (*options, self._datapath, *([of] if of else ()))
        return await unixctl.beginning(
            self._control, method, *arguments, most=MOST_BYTES, patience=PATIENCE
        )

    # Flows of the datapath

    async def _flows(self) -> list[Sighting]:
        try:
            shown = await self._ask("dpctl/show")
            count = sum(
                int(line.partition(":")[2])
                for line in shown.splitlines()
                if line.strip().startswith("flows:")
            )
            if count > MOST_FLOWS:
                self.notices.append(
                    f"the switch has {count} flows, more than the {MOST_FLOWS} that a look reads: "
                    "what is denied, and what no policy guards, is not listed"
                )
                return []
            dump = await self._ask("dpctl/dump-flows", "--names", "-m")
        except (errors.WeftError, ValueError) as error:
            self.notices.append(f"flows of the switch are not seen: {_message(error)}")
            return []
        found = (zone.of_flow(each, self.known, self.at) for each in megaflows.seen(dump))
        return [each for each in found if each is not None]

    # The log

    def _log(self) -> list[Sighting]:
        counted: dict[acllog.Packet, list[float]] = {}
        for line in _last_lines(Path(str(self._order["acl_log"]))):
            packet = acllog.parse(line)
            when = _time(line)
            if packet is None or when < self.at - float(self._order["since"]):
                continue
            counted.setdefault(packet, []).append(when)
        found = []
        for packet, times in counted.items():
            seen = zone.of_log(packet, self.known)
            if seen is not None:
                found.append(sighting.at(seen, min(times), max(times)))
        return found


def _kernel_count() -> int:
    try:
        return int(_KERNEL_COUNT.read_text())
    except (OSError, ValueError):
        return 0


def _total_of(statistics: str) -> int:
    """The total in what dpctl/ct-stats-show prints."""
    line = next((one for one in statistics.splitlines() if "Total:" in one), "")
    digits = line.partition("Total:")[2].split()
    return int(digits[0]) if digits else 0


def _last_lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - LOG_BYTES, 0))
            data = file.read(LOG_BYTES)
    except OSError:
        return  # a node that logs nothing has none
    lines = data.decode(errors="replace").splitlines()
    yield from lines[1:] if size > LOG_BYTES else lines


def _time(line: str) -> float:
    try:
        return datetime.fromisoformat(line.partition("|")[0]).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _message(error: Exception) -> str:
    return error.what if isinstance(error, errors.WeftError) else str(error)


def _select(table: str, columns: list[str], where: list[Json] | None = None) -> Json:
    return {"op": "select", "table": table, "where": where or [], "columns": columns}


async def _selected(address: str, database: str, operations: list[Json]) -> list[Json]:
    """The rows of each select. Raises WeftError if the database does not answer."""
    session = await Session.connect(address)
    try:
        async with asyncio.timeout(PATIENCE):
            found = await session.transact(database, operations)
    except TimeoutError:
        what = f"{database} does not answer within {PATIENCE:g} s"
        raise errors.Unavailable(what, where=address) from None
    finally:
        await session.close()
    return [each.get("rows", []) for each in found]


async def read(order: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an order; {"error": why} if there is none."""
    usual = {
        "sb": daemons.SB,
        "ovs": daemons.OVS,
        "acl_log": os.environ.get("WEFT_ACL_LOG") or ACL_LOG,
        "networks": [],
        "pods": [],
        "since": SINCE,
    }
    try:
        return sighting.render(await _Node({**usual, **order}).look())
    except errors.WeftError as error:
        return {"error": str(error)}


def main() -> None:
    print(json.dumps(asyncio.run(read(json.loads(sys.stdin.read())))))


if __name__ == "__main__":
    main()
