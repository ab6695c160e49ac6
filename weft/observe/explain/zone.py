"""Reads what a node answered about its zone (`onnode`), and writes packets for OVN's traces. Pure.

An answer comes from a node: what does not have the expected form counts as not seen, and texts are
searched line by line, in time that grows with their length. `step` makes them fit to be shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from weft import names
from weft.observe.explain.evidence import (
    DropCount,
    InterfaceFacts,
    NodeFacts,
    PortFacts,
    Trace,
    Unseen,
)
from weft.ovn import flows, ports
from weft.policy import netpolicy

Json = Any
_MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)

MOST = 200_000  # characters of a program's output
_STAGE = re.compile(
    r"^[ \t]*(\d+)\. (\w+) \([^)\n]*\): (.*), priority (\d+), uuid ([0-9a-f]{8})$", re.M
)
# A packet goes on behind a port of type patch: that is the way to a router, and out of it.
_OUTPUT = re.compile(r'output to "([^"\n]+)"(?!, type "patch")')
# A table's flow, or none: "No match" is what ovs-vswitchd says of a table that has none for it.
_FLOW = re.compile(r"^[ \t]*(\d+)\. (?:No match\b.*|(.*priority .*))$", re.M)
_ACTIONS = re.compile(r"^Datapath actions: (.*)$", re.M)
_METADATA = re.compile(r"\bmetadata=0x([0-9a-f]+)")
_TUNNELS = ("geneve", "vxlan", "stt")


def order(
    ports: Sequence[str],
    connection: netpolicy.Connection,
    macs: tuple[str, str] | None,
    ttl: int = 64,
    tunnels: Sequence[str] = (),
) -> dict[str, Any]:
    """What to ask a node about the port that a packet comes from and the one that it goes to; no
    packet if an end lacks a MAC or an address. `tunnels`: addresses from which another node gets it
    with both ports named."""
    asked: dict[str, Any] = {"ports": list(ports), "drops": True, "packet": None}
    if macs and all(ports) and connection.source and connection.target:
        asked["packet"] = {
            "source": ports[0],
            "target": ports[1],
            "macs": list(macs),
            "addresses": [str(connection.source), str(connection.target)],
            "protocol": connection.protocol or "ICMP",
            "port": connection.port,
            "ttl": ttl,
            "tunnels": list(tunnels),
        }
    return asked


def microflow(packet: Mapping[str, Any]) -> str:
    """A packet as ovn-trace(8) reads it."""
    (source, target), version = packet["addresses"], 6 if ":" in packet["addresses"][0] else 4
    kind = packet["protocol"].lower()
    last = f"{kind}.dst == {packet['port']}"
    if kind == "icmp":
        last = "icmp4.type == 8" if version == 4 else "icmp6.type == 128"
    parts = (
        ports.match("inport", packet["source"]),
        f"eth.src == {packet['macs'][0]}",
        f"eth.dst == {packet['macs'][1]}",
        f"ip{version}.src == {source}",
        f"ip{version}.dst == {target}",
        f"ip.ttl == {packet.get('ttl', 64)}",
        last,
    )
    return " && ".join(parts)


def openflow(switch: Json, south: Json, packet: Mapping[str, Any]) -> str:
    """A packet as ofproto/trace of ovs-vswitchd(8) reads it, from the source's port or out of a
    tunnel; "" if neither brings it to this node."""
    if own := ofport(switch, packet["source"]):
        return _openflow(own, "", packet)
    source, target = (_keys(south, packet[end]) for end in ("source", "target"))
    tunnel = _tunnel_from(switch, packet.get("tunnels") or ())
    if not tunnel or source is None or target is None or not ofport(switch, packet["target"]):
        return ""
    named = f"tun_id={source[0]},tun_metadata0={source[1] << 16 | target[1]}"  # ovn-architecture(7)
    return _openflow(tunnel, named, packet)


def _keys(south: Json, port: str) -> tuple[int, int] | None:
    """The tunnel keys of a port's datapath and of the port, as the zone has them."""
    found = _datapath(south, port)
    return (found["tunnel_key"], _binding(south, port)["tunnel_key"]) if found else None


def _tunnel_from(switch: Json, addresses: Collection[str]) -> int:
    """The number of the tunnel's interface that leads to one of the addresses, 0 for none."""
    for row in switch[1]:
        remote = mapped(row["options"]).get("remote_ip")
        if row["type"] in _TUNNELS and remote in addresses:
            return _number(row["ofport"])
    return 0


def _openflow(ofport: int, tunnel: str, packet: Mapping[str, Any]) -> str:
    (source, target), is_six = packet["addresses"], ":" in packet["addresses"][0]
    kind = packet["protocol"].lower()
    parts = [
        f"in_port={ofport}",
        tunnel,
        f"{kind}6" if is_six else kind,
        f"dl_src={packet['macs'][0]}",
        f"dl_dst={packet['macs'][1]}",
        f"{'ipv6_src' if is_six else 'nw_src'}={source}",
        f"{'ipv6_dst' if is_six else 'nw_dst'}={target}",
        "nw_ttl=64",
    ]
    echo = "icmpv6_type=128" if is_six else "icmp_type=8"
    parts.append(echo if kind == "icmp" else "")
    parts.append("" if kind == "icmp" else f"tp_dst={packet['port']}")
    return ",".join(part for part in parts if part)


def facts(answer: Mapping[str, Any], ports: Sequence[str]) -> NodeFacts | Unseen:
    """What a node's answer says; Unseen if its databases did not answer, or it has another form."""
    try:
        return _facts(answer, ports)
    except _MALFORMED:
        return Unseen("its answer cannot be read")


def _facts(answer: Mapping[str, Any], ports: Sequence[str]) -> NodeFacts | Unseen:
    north, south, switch = (answer.get(name) for name in ("north", "south", "switch"))
    for part in (north, south, switch):
        if not isinstance(part, list):
            why = part.get("error") if isinstance(part, Mapping) else None
            return Unseen(str(why or "its answer cannot be read"))
    assert isinstance(north, list)
    assert isinstance(south, list)
    assert isinstance(switch, list)
    chassis = {row["_uuid"][1]: str(row["name"]) for row in south[0]}
    known = [name for name in ports if name]
    made = {
        name: _port(name, north[index], south[2 + index], chassis, switch[1])
        for index, name in enumerate(known)
    }
    own = mapped(switch[0][0]["external_ids"]).get("system-id", "") if switch[0] else ""
    acls = answer.get("acls")
    return NodeFacts(
        chassis=frozenset(chassis.values()),
        own=own,
        ports=made,
        tunnels=dict(_tunnels(switch[1], switch[2])),
        keys=frozenset(
            row["tunnel_key"] for name in known if (row := _datapath(south, name)) is not None
        ),
        trace=_optional(answer.get("trace"), ports, acls if isinstance(acls, Mapping) else {}),
        datapath=_translated(answer.get("datapath")),
    )


def _port(
    name: str, north: Json, south: Json, chassis: Mapping[str, str], interfaces: Json
) -> PortFacts:
    held = [row for row in interfaces if mapped(row["external_ids"]).get(names.IFACE_ID) == name]
    rivals = [row for row in held if names.OWNER not in mapped(row["external_ids"])]
    found = None
    if held:
        interface = next((row for row in held if row not in rivals), held[0])
        external = mapped(interface["external_ids"])
        found = InterfaceFacts(
            name=str(interface["name"]),
            ofport=_number(interface["ofport"]),
            is_installed=external.get(names.OVN_INSTALLED) == "true",
            error=next(iter(listed(interface["error"])), ""),
            rival=next((str(row["name"]) for row in rivals), ""),
        )
    if not north:
        return PortFacts(interface=found)
    row = north[0]
    binding = south[0] if south else None
    return PortFacts(
        exists=True,
        is_enabled=False not in listed(row["enabled"]),
        security=tuple(sorted(map(str, listed(row["port_security"])))),
        has_binding=binding is not None,
        requested=_chassis(binding, "requested_chassis", chassis),
        bound=_chassis(binding, "chassis", chassis),
        interface=found,
    )


def _chassis(binding: Json, column: str, chassis: Mapping[str, str]) -> str:
    found = listed(binding[column]) if binding else []
    return chassis.get(found[0], "") if found else ""


def _tunnels(interfaces: Json, ports: Json) -> Iterator[tuple[str, bool]]:
    silent = {
        row["name"]
        for row in ports
        if mapped(row["external_ids"]).get(names.TUNNEL_STATE) == "down"
    }
    for row in interfaces:
        if row["type"] in _TUNNELS:
            carrier = mapped(row["status"]).get("tunnel_egress_iface_carrier", "up")
            remote = mapped(row["options"]).get("remote_ip", "")
            yield remote, carrier == "up" and row["name"] not in silent


def datapath(south: Json, port: str) -> str:
    """The name of a port's datapath, as ovn-trace takes it; "" if the zone has no such port."""
    row = _datapath(south, port)
    return mapped(row["external_ids"]).get("name", "") if row else ""


def _datapath(south: Json, port: str) -> Json:
    """The row of a port's datapath, None if the zone has no such port."""
    rows = {row["_uuid"][1]: row for row in south[1]}
    found = _binding(south, port)
    return rows.get(listed(found["datapath"])[0]) if found else None


def _binding(south: Json, port: str) -> Json:
    return next((row for part in south[2:] for row in part if row["logical_port"] == port), None)


def ofport(switch: Json, port: str) -> int:
    """The number of a port's OVS interface; 0 if this node has none."""
    for row in switch[1]:
        if mapped(row["external_ids"]).get(names.IFACE_ID) == port:
            return _number(row["ofport"])
    return 0


def acl_flows(trace: str) -> Iterator[str]:
    """The logical flows in a trace that are made of ACLs, by the first digits of their UUIDs."""
    for stage in _STAGE.finditer(trace):
        if stage[2].endswith("_acl_eval"):
            yield stage[5]


def _optional(text: Json, ports: Sequence[str], acls: Mapping[str, Json]) -> Trace | Unseen | None:
    if text is None:
        return None
    if not isinstance(text, str):
        return Unseen(str(text.get("error") if isinstance(text, Mapping) else "unreadable"))
    return trace(text[:MOST], ports[1], acls)


def trace(text: str, target: str, acls: Mapping[str, Json]) -> Trace:
    """What ovn-trace says of a packet for the port `target`."""
    if target in _OUTPUT.findall(text):
        return Trace(reaches=True)
    stages = list(_STAGE.finditer(text))
    if not stages:
        last = text.strip().rpartition("\n")[2]
        return Trace(reaches=False, stage=last[:200])
    stage = stages[-1]
    if stage[2].endswith(("_acl_action", "_acl_sample")):
        evaluated = [each for each in stages if each[2].endswith("_acl_eval")]
        stage = evaluated[-1] if evaluated else stage
    acl = acls.get(stage[5])
    outputs = ", ".join(dict.fromkeys(_OUTPUT.findall(text)))
    return Trace(False, stage[2], stage[3], _acl(acl) if acl else "", outputs)


def _acl(row: Mapping[str, Json]) -> str:
    """What an ACL is made for: weft's owner, or that it is somebody else's."""
    external = mapped(row["external_ids"])
    owner = external.get(names.OWNER, "")
    if owner:
        kind, namespace, name = names.owner_parts(owner)
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
    called = next(iter(listed(row["name"])), "") or str(row["match"])
    return f"ACL {called!r}, which is not weft's"


def _translated(text: Json) -> Trace | Unseen | None:
    """What ofproto/trace says at the source's port, or out of a tunnel: only whether the packet
    goes on."""
    if text is None:
        return None
    if not isinstance(text, str):
        return Unseen(str(text.get("error") if isinstance(text, Mapping) else "unreadable"))
    text = text[:MOST]
    actions = _ACTIONS.findall(text)
    if not actions:
        return Unseen(text.strip().rpartition("\n")[2][:200] or "ofproto/trace says nothing")
    flows = [each[2] or "" for each in _FLOW.finditer(text)]
    return Trace(reaches=actions[-1] != "drop", match=flows[-1] if flows else "")


def drops(answer: Mapping[str, Any], keys: Collection[int]) -> tuple[DropCount, ...]:
    """The flows that dropped packets since the answer before, without those of datapaths of other
    tunnel keys than `keys`."""
    try:
        return _drops(answer.get("drops"), keys)
    except _MALFORMED:
        return ()


def _drops(found: Json, keys: Collection[int]) -> tuple[DropCount, ...]:
    made = []
    for each in found if isinstance(found, list) else ():
        cookie, table, packets, match, *stage = each
        of = _METADATA.search(match)
        if of and int(of[1], 16) not in keys:
            continue
        made.append(
            DropCount(
                flow=f"table={table}, {match}",
                packets=int(packets),
                stage=stage[0] if stage else "",
                match=stage[1] if len(stage) > 1 else "",
                is_weft=int(cookie, 16) >> 48 == flows.COOKIE >> 48,
                is_foreign=int(cookie, 16) == 0 and match != "priority=0",
            )
        )
    return tuple(sorted(made, key=lambda one: -one.packets))


def mapped(value: Json) -> dict[str, str]:
    """A map column, as OVSDB writes it (RFC 7047, section 5.1)."""
    return {str(key): str(each) for key, each in value[1]} if value and value[0] == "map" else {}


def listed(value: Json) -> list[Json]:
    """The members of a set column, of which one alone may stand without its set."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "set":
        return [each[1] if isinstance(each, list) else each for each in value[1]]
    if isinstance(value, list) and len(value) == 2 and value[0] == "uuid":
        return [value[1]]
    return [value]


def _number(value: Json) -> int:
    found: Iterable[Json] = listed(value)
    return next((each for each in found if isinstance(each, int) and each > 0), 0)
