"""Reads what one node's zone knows of two ports, and what OVN would do with a packet between them.

    python -m weft.observe.explain.onnode < ORDER

It runs on the node: in a lab's node, or in the agent's pod. Order and answer are one JSON object
each, on standard input and output; `zone` reads the answer. It changes nothing.

    nb, sb, ovs     addresses of the databases
    ports           names of logical ports
    packet          source and target port, MACs, addresses, protocol and port, and the tunnel
                    addresses of the source's node; null for none
    drops           true: also the flows that have dropped packets
    before          the drops of an earlier answer: then only what was dropped since, with stages
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weft import errors
from weft.host import process, sockets, unixctl
from weft.observe.explain import zone
from weft.ovn import daemons, tables
from weft.ovsdb.session import Session

BRIDGE = "br-int"
PATIENCE = 20.0  # seconds for a program
_DROP = re.compile(
    r"cookie=0x([0-9a-f]+),.*? table=(\d+), n_packets=(\d+),.*?, (priority=\S+) actions=drop$"
)
_INTERFACE = ["name", "ofport", "external_ids", "error", "options", "type", "status"]
_DATAPATH = ["_uuid", "external_ids", "tunnel_key"]
_BINDING = ["logical_port", "chassis", "requested_chassis", "datapath", "tunnel_key", "up"]

# Where programs look for sockets of daemons, if nobody says otherwise.
FOLDERS = {"OVS_RUNDIR": daemons.OVS_RUN, "OVN_RUNDIR": daemons.OVN_RUN}

Json = Any


async def read(order: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an order; what cannot be had is {"error": why}."""
    ports = [name for name in order["ports"] if name]
    north, south, switch = await asyncio.gather(
        _selected(order["nb"], tables.NORTHBOUND, _north(ports)),
        _selected(order["sb"], tables.SOUTHBOUND, _south(ports)),
        _selected(order["ovs"], "Open_vSwitch", _switch()),
    )
    answer: dict[str, Any] = {"north": north, "south": south, "switch": switch}
    packet = order.get("packet")
    if packet and isinstance(south, list) and isinstance(switch, list):
        name = zone.datapath(south, packet["source"]) or zone.datapath(south, packet["target"])
        flow = zone.openflow(switch, south, packet)
        answer["trace"], answer["datapath"] = await asyncio.gather(
            _traced(order["sb"], name, packet), _translated(order["ovs"], flow)
        )
        answer["acls"] = await _acls(order, answer["trace"])
    if order.get("drops") or "before" in order:
        answer["drops"] = await _drops(order)
    return answer


def _north(ports: Iterable[str]) -> list[Json]:
    columns = ["name", "enabled", "port_security", "addresses"]
    return [_select("Logical_Switch_Port", columns, [["name", "==", name]]) for name in ports]


def _south(ports: Iterable[str]) -> list[Json]:
    bindings = [_select("Port_Binding", _BINDING, [["logical_port", "==", each]]) for each in ports]
    chassis = _select("Chassis", ["_uuid", "name", "hostname", "other_config"])
    return [chassis, _select("Datapath_Binding", _DATAPATH), *bindings]


def _switch() -> list[Json]:
    return [
        _select("Open_vSwitch", ["external_ids"]),
        _select("Interface", ["_uuid", *_INTERFACE]),
        _select("Port", ["name", "external_ids"]),
    ]


def _select(table: str, columns: Sequence[str], where: Sequence[Json] = ()) -> Json:
    return {"op": "select", "table": table, "where": list(where), "columns": list(columns)}


async def _selected(address: str, database: str, operations: list[Json]) -> Json:
    try:
        session = await Session.connect(address)
        try:
            async with asyncio.timeout(PATIENCE):
                found = await session.transact(database, operations)
        finally:
            await session.close()
    except TimeoutError:
        return {"error": f"{database} does not answer within {PATIENCE:g} s"}
    except errors.WeftError as error:
        return {"error": f"{database}: {error.what}"}
    return [each.get("rows", []) for each in found]


async def _traced(database: str, datapath: str, packet: Mapping[str, Any]) -> Json:
    if not datapath:
        return {"error": "this zone has neither port"}
    flow = zone.microflow(packet)
    argv = ("ovn-trace", f"--db={database}", "--ct=new", "--ct=new", datapath, flow)
    return await _ran(argv)


async def _translated(database: str, flow: str) -> Json:
    if not flow:
        return None
    try:
        control = sockets.control(sockets.folder(database))
        found = await unixctl.beginning(
            control, "ofproto/trace", BRIDGE, flow, most=zone.MOST, patience=PATIENCE
        )
    except errors.WeftError as error:
        return {"error": error.what}
    return found[: zone.MOST]


async def _ran(argv: Sequence[str]) -> Json:
    try:
        done = await process.run(argv, env={**FOLDERS, **os.environ}, timeout=PATIENCE)
    except errors.WeftError as error:
        return {"error": error.what}
    return done.stdout.decode(errors="replace")[: zone.MOST]


async def _acls(order: Mapping[str, Any], trace: Json) -> Json:
    """The ACL of each flow in the trace that has one, by the first digits of the flow's UUID."""
    if not isinstance(trace, str):
        return {}
    flows = set(zone.acl_flows(trace))
    if not flows:
        return {}
    found = await _selected(
        order["sb"], tables.SOUTHBOUND, [_select("Logical_Flow", ["_uuid", "external_ids"])]
    )
    if not isinstance(found, list):
        return {}
    hints = {
        row["_uuid"][1][:8]: zone.mapped(row["external_ids"]).get("stage-hint", "")
        for row in found[0]
        if row["_uuid"][1][:8] in flows
    }
    columns = ["_uuid", "external_ids", "name", "match", "priority", "action"]
    acls = await _selected(order["nb"], tables.NORTHBOUND, [_select("ACL", columns)])
    if not isinstance(acls, list):
        return {}
    by_hint = {row["_uuid"][1][:8]: row for row in acls[0]}
    return {flow: by_hint[hint] for flow, hint in hints.items() if hint in by_hint}


async def _drops(order: Mapping[str, Any]) -> Json:
    printed = await _ran(("ovs-ofctl", "dump-flows", BRIDGE))
    if not isinstance(printed, str):
        return printed
    found = [list(match.groups()) for match in map(_DROP.search, printed.splitlines()) if match]
    now = [[cookie, table, int(count), match] for cookie, table, count, match in found]
    if "before" not in order:
        return [each for each in now if each[2]]
    before = {(cookie, table, match): count for cookie, table, count, match in order["before"]}
    risen = [
        [cookie, table, count - before.get((cookie, table, match), 0), match]
        for cookie, table, count, match in now
        if count > before.get((cookie, table, match), 0)
    ]
    cookies = {each[0].rjust(8, "0") for each in risen if len(each[0]) <= 8}
    stages = await _stages(order["sb"], cookies)
    return [[*each, *stages.get(each[0].rjust(8, "0"), ("", ""))] for each in risen]


async def _stages(database: str, cookies: set[str]) -> dict[str, tuple[str, str]]:
    """OVN's stage and match of each flow, by cookie."""
    if not cookies:
        return {}
    columns = ["_uuid", "external_ids", "match"]
    found = await _selected(database, tables.SOUTHBOUND, [_select("Logical_Flow", columns)])
    return {
        row["_uuid"][1][:8]: (zone.mapped(row["external_ids"]).get("stage-name", ""), row["match"])
        for row in (found[0] if isinstance(found, list) else ())
        if row["_uuid"][1][:8] in cookies
    }


def main() -> None:
    order = json.loads(sys.stdin.read())
    usual = {"nb": daemons.NB, "sb": daemons.SB, "ovs": daemons.OVS}
    print(json.dumps(asyncio.run(read({**usual, **order}))))


if __name__ == "__main__":
    main()
