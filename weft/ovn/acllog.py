"""Parses the lines of ovn-controller's log that tell of a packet.

Of an ACL that logs OVN says its name, what became of the packet, and the packet itself in Open
vSwitch's words for a flow. Whose ACL it was is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from weft.policy import netpolicy

_LINE = re.compile(
    r'^[^|]*\|\d+\|acl_log(?:\([^)]*\))?\|[A-Z]+\|name="(?P<name>[^"]*)", verdict=\w+, '
    r"severity=\w+, direction=(?P<direction>to|from)-lport: (?P<flow>\S+)"
)
_DIRECTIONS = {"to": netpolicy.Direction.INGRESS, "from": netpolicy.Direction.EGRESS}


@dataclass(frozen=True, slots=True)
class Packet:
    """What is alike in the packets of all connections to one port of one end from another.

    `name` is the ACL's. Addresses are empty, and `port` 0, where a packet has none.
    """

    name: str
    direction: netpolicy.Direction
    protocol: str
    source_mac: str
    target_mac: str
    source: str = ""
    target: str = ""
    port: int = 0


def parse(line: str) -> Packet | None:
    """None for a line about anything else."""
    found = _LINE.match(line)
    if found is None:
        return None
    protocol, *fields = found["flow"].split(",")
    said = dict(field.partition("=")[::2] for field in fields)
    port = said.get("tp_dst", "")
    return Packet(
        name=found["name"],
        direction=_DIRECTIONS[found["direction"]],
        protocol=protocol.removesuffix("6").upper(),
        source_mac=said.get("dl_src", ""),
        target_mac=said.get("dl_dst", ""),
        source=said.get("nw_src") or said.get("ipv6_src", ""),
        target=said.get("nw_dst") or said.get("ipv6_dst", ""),
        port=int(port) if port.isdecimal() else 0,
    )
