"""Parses and renders the connections of a machine that migrates, as its source pod carries them.

    weft/connections: {"to": "<uid of the target pod>", "ports": {
        "<logical port>": [["tcp", "out", "10.1.0.5", 40000, "10.1.0.9", 80], ...]}}

Each is a protocol, who began it ("out": the machine), the machine's address and port, and the other
end's. The agent of the source node writes them (ADR 0114). They count for that one target.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

import orjson

from weft import model
from weft.migration import Connection

MOST = 256  # connections of a NIC; the others are left out
PROTOCOLS = ("tcp", "udp")
_ENTRY = re.compile(
    r"^(tcp|udp),orig=\(src=([^,]+),dst=([^,]+),sport=(\d+),dport=(\d+)\)", re.MULTILINE
)
_MARK = re.compile(r",mark=(\d+)")
# No scope of a link-local address: Python takes any text for one.
_ADDRESS = re.compile(r"[0-9a-fA-F:.]+")
# Not established. One that an end has closed still carries what the other sends.
_NONE = ("SYN_SENT", "SYN_RECV", "CLOSED")
# OVN's bit of the mark: an ACL has forbidden the connection since. A packet sets it.
_BLOCKED = 1


def tracked(dump: str, own: Iterable[model.Address]) -> frozenset[Connection]:
    """The established connections of these addresses in Open vSwitch's dump of its tracker."""
    found, addresses = set(), set(own)
    for line in dump.splitlines():
        entry = _ENTRY.match(line)
        mark = _MARK.search(line)
        is_blocked = mark is not None and int(mark[1]) & _BLOCKED
        if entry is None or is_blocked or any(f"state={each})" in line for each in _NONE):
            continue
        source, to = ip_address(entry[2]), ip_address(entry[3])
        ends = source, int(entry[4]), to, int(entry[5])
        if source in addresses:
            found.add(Connection(entry[1], True, *ends))
        elif to in addresses:
            found.add(Connection(entry[1], False, *ends[2:], *ends[:2]))
    return frozenset(sorted(found, key=_order)[:MOST])


def render(target: str, of: Mapping[str, Iterable[Connection]]) -> str:
    """The annotation's text, by logical port, for the pod of uid `target`; "" if there are none."""
    entries = {key: [_entry(each) for each in sorted(of[key], key=_order)] for key in sorted(of)}
    kept = {key: listed for key, listed in entries.items() if listed}
    return orjson.dumps({"to": target, "ports": kept}).decode() if kept else ""


def digest(text: str) -> str:
    """Tells the annotation's text from others in few bytes, as it may be long; "" for none."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest() if text else ""


def parse(text: str, target: str, port: str, own: Iterable[model.Address]) -> frozenset[Connection]:
    """The connections of a logical port in an annotation for the pod of uid `target`: those of the
    port's own addresses, and no others. What is not as an agent writes it counts as none."""
    try:
        found = orjson.loads(text or "{}")
        if found.get("to") != target:
            return frozenset()
        listed = found["ports"].get(port, [])
        if not isinstance(listed, list):
            return frozenset()
        read = {_connection(*entry) for entry in listed[:MOST]}
    except (ValueError, TypeError, AttributeError, LookupError):
        return frozenset()
    addresses = set(own)
    return frozenset(each for each in read if each.address in addresses and _is_sound(each))


def _connection(
    protocol: Any, began: Any, address: Any, port: Any, peer: Any, peer_port: Any
) -> Connection:
    ends = _address(address), _number(port), _address(peer), _number(peer_port)
    return Connection(str(protocol), began == "out", *ends)


def _address(text: Any) -> model.Address:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(text)
    return ip_address(text)


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(value)
    return value


def _is_sound(each: Connection) -> bool:
    ports = 0 < each.port < 1 << 16 and 0 < each.peer_port < 1 << 16
    is_family = each.address.version == each.peer.version
    return each.protocol in PROTOCOLS and ports and is_family


def _entry(each: Connection) -> list[object]:
    began = "out" if each.is_outgoing else "in"
    return [each.protocol, began, str(each.address), each.port, str(each.peer), each.peer_port]


def _order(each: Connection) -> tuple[object, ...]:
    ends = each.address.packed, each.port, each.peer.packed, each.peer_port
    return each.protocol, each.is_outgoing, *ends
