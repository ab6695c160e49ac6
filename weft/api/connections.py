"""Parses and renders the connections of a machine that migrates, as its source pod carries them.

    weft/connections: {"<attachment>": [["tcp", "out", "10.1.0.5", 40000, "10.1.0.9", 80], ...]}

Each is a protocol, who began it ("out": the machine), the machine's address and port, and the other
end's. The agent of the source node writes them (ADR 0114).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

import orjson

from weft import model
from weft.migration import Connection

MOST = 256  # connections of a NIC; the others are left out
PROTOCOLS = ("tcp", "udp")
_ENTRY = re.compile(
    r"^(tcp|udp),orig=\(src=([^,]+),dst=([^,]+),sport=(\d+),dport=(\d+)\)", re.MULTILINE
)
_MARK = re.compile(r",mark=(\d+)")
# Not established. One that an end has closed still carries what the other sends.
_NONE = ("SYN_SENT", "SYN_RECV", "CLOSED")
_BLOCKED = 1  # OVN's bit of the mark: an ACL has forbidden the connection since


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


def render(of: Mapping[str, Iterable[Connection]]) -> str:
    """The annotation's text, by attachment; "" if there are none."""
    entries = {key: [_entry(each) for each in sorted(of[key], key=_order)] for key in sorted(of)}
    kept = {key: listed for key, listed in entries.items() if listed}
    return orjson.dumps(kept).decode() if kept else ""


def parse(text: str, attachment: str, own: Iterable[model.Address]) -> frozenset[Connection]:
    """An attachment's connections in the annotation: those of its own addresses, and no others."""
    addresses, found = set(own), set()
    try:
        listed = orjson.loads(text or "{}").get(attachment) or ()
        for protocol, began, address, port, peer, peer_port in listed[:MOST]:
            ends = ip_address(address), int(port), ip_address(peer), int(peer_port)
            each = Connection(str(protocol), began == "out", *ends)
            if each.protocol in PROTOCOLS and each.address in addresses and _is_sound(each):
                found.add(each)
    except (ValueError, TypeError, AttributeError):
        return frozenset()
    return frozenset(found)


def _is_sound(each: Connection) -> bool:
    ports = 0 < each.port < 1 << 16 and 0 < each.peer_port < 1 << 16
    return ports and each.address.version == each.peer.version


def _entry(each: Connection) -> list[object]:
    began = "out" if each.is_outgoing else "in"
    return [each.protocol, began, str(each.address), each.port, str(each.peer), each.peer_port]


def _order(each: Connection) -> tuple[object, ...]:
    ends = each.address.packed, each.port, each.peer.packed, each.peer_port
    return each.protocol, each.is_outgoing, *ends
