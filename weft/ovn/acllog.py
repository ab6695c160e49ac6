"""Parses the lines of ovn-controller's log about packets that match an ACL.

Such a line has the ACL's name, the verdict, and the packet in Open vSwitch's notation of a flow.
The caller finds the policy by the ACL's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from weft.policy import netpolicy

_LINE = re.compile(
    r'^[^|]*\|\d+\|acl_log(?:\([^)]*\))?\|[A-Z]+\|name="(?P<name>[^"]*)", '
    r"verdict=(?P<verdict>\w+), severity=\w+, direction=(?P<direction>to|from)-lport: (?P<flow>\S+)"
)
_DIRECTIONS = {"to": netpolicy.Direction.INGRESS, "from": netpolicy.Direction.EGRESS}


@dataclass(frozen=True, slots=True)
class Packet:
    """The fields that all connections from one end to one port of another have in common.

    `name` is the ACL's; `verdict` is "allow" or "drop". An address is empty, and `port` 0, if the
    packet has none.
    """

    name: str
    direction: netpolicy.Direction
    protocol: str
    source_mac: str
    target_mac: str
    source: str = ""
    target: str = ""
    port: int = 0
    verdict: str = ""


def parse(line: str) -> Packet | None:
    """The packet in a line of the log; None for any other line."""
    found = _LINE.match(line)
    if found is None:
        return None
    protocol, *fields = found["flow"].split(",")
    fields_by_name = dict(field.partition("=")[::2] for field in fields)
    port = fields_by_name.get("tp_dst", "")
    return Packet(
        name=found["name"],
        direction=_DIRECTIONS[found["direction"]],
        protocol=protocol.removesuffix("6").upper(),
        source_mac=fields_by_name.get("dl_src", ""),
        target_mac=fields_by_name.get("dl_dst", ""),
        source=fields_by_name.get("nw_src") or fields_by_name.get("ipv6_src", ""),
        target=fields_by_name.get("nw_dst") or fields_by_name.get("ipv6_dst", ""),
        port=int(port) if port.isdecimal() else 0,
        verdict=found["verdict"],
    )
