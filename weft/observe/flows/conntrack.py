"""Reads Open vSwitch's dump of its connection tracker (dpctl/dump-conntrack). Pure.

OVN tracks a connection in the zone of each port that it passes: the source's when it leaves, the
target's when policies there have let it in. Guests decide how many entries there are, and their
addresses and ports; nothing else in a line is theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from weft.observe.flows.record import Evidence
from weft.observe.flows.sighting import Side, Sighting, ZonePort

_ENTRY = re.compile(
    r"^(?P<protocol>\w+),orig=\(src=(?P<source>[0-9a-fA-F:.]+),dst=(?P<target>[0-9a-fA-F:.]+)"
    r"(?:,sport=\d+,dport=(?P<port>\d{1,5}))?[^)\n]*?"
    r"(?:,packets=(?P<packets>\d{1,18}),bytes=(?P<bytes>\d{1,18}))?\)"
    r",reply=\((?P<reply>[^)\n]*)\)(?P<rest>.*)$",
    re.MULTILINE,
)
_REPLIES = re.compile(r",packets=(\d{1,18}),bytes=(\d{1,18})")
_ZONE = re.compile(r",zone=(\d{1,5})\b")
_MARK = re.compile(r",mark=(\d{1,10})\b")
_STATE = re.compile(r"state(?:_orig)?=(\w+)")
_NAMES = {"icmpv6": "ICMP"}
_UNANSWERED = ("SYN_SENT", "CLOSED", "NONE", "")
# OVN's bit of the mark: an ACL has forbidden the connection since. A packet sets it.
_BLOCKED = 1


class _Kind(NamedTuple):
    """What connections have in common that are summed up."""

    zone: int
    protocol: str
    source: str
    target: str
    port: int | None
    is_blocked: bool


@dataclass(slots=True)
class _Sum:
    connections: int = 0
    packets: int | None = None
    bytes: int | None = None
    is_answered: bool = False

    def add(self, counted: tuple[int, int] | None, *, is_answered: bool) -> None:
        self.connections += 1
        self.is_answered = self.is_answered or is_answered
        if counted is not None:
            self.packets = (self.packets or 0) + counted[0]
            self.bytes = (self.bytes or 0) + counted[1]


def sightings(dump: str, zones: Mapping[int, ZonePort], at: float) -> Iterator[Sighting]:
    """Yields the connections of the ports in `zones`, summed up over clients' ports.

    `at`: the time of the dump. Entries of other zones are skipped.
    """
    sums: dict[_Kind, _Sum] = {}
    for found in _ENTRY.finditer(dump):
        rest = found["rest"]
        zone = _ZONE.search(rest)
        number = int(zone[1]) if zone else 0
        if number not in zones:
            continue
        mark = _MARK.search(rest)
        is_blocked = mark is not None and bool(int(mark[1]) & _BLOCKED)
        protocol = _protocol(found["protocol"])
        state = _STATE.search(rest)
        is_answered = protocol == "TCP" and state is not None and state[1] not in _UNANSWERED
        is_answered = is_answered or _is_replied(found["reply"])
        port = int(found["port"]) if found["port"] else None
        kind = _Kind(number, protocol, found["source"], found["target"], port, is_blocked)
        sums.setdefault(kind, _Sum()).add(_counted(found), is_answered=is_answered)
    for kind, total in sums.items():
        try:
            yield _sighting(zones[kind.zone], kind, total, at)
        except ValueError:
            continue  # no address


def _sighting(own: ZonePort, kind: _Kind, total: _Sum, at: float) -> Sighting:
    source, target = str(ip_address(kind.source)), str(ip_address(kind.target))
    is_source, is_target = source in own.addresses, target in own.addresses
    passes: bool | None = True
    if kind.is_blocked:
        passes = False
    elif not is_target and not total.is_answered:
        passes = None
    has_port = kind.protocol in ("TCP", "UDP", "SCTP") and (kind.port or 0) < 1 << 16
    return Sighting(
        evidence=Evidence.CONNECTION,
        network=own.network,
        source=Side(own.name if is_source else "", source),
        target=Side(own.name if is_target else "", target),
        passes=passes,
        family=6 if ":" in target else 4,
        protocol=kind.protocol,
        port=kind.port if has_port else None,
        is_answered=total.is_answered,
        at=own.name,
        connections=total.connections,
        packets=total.packets,
        bytes=total.bytes,
        last=at,
    )


def _protocol(name: str) -> str:
    return _NAMES.get(name, name.upper())


def _counted(found: re.Match[str]) -> tuple[int, int] | None:
    """Packets and bytes of both directions, where they are counted (nf_conntrack_acct)."""
    reply = _REPLIES.search(found["reply"])
    if found["packets"] is None and reply is None:
        return None
    asked = (int(found["packets"] or 0), int(found["bytes"] or 0))
    return (asked[0] + int(reply[1]), asked[1] + int(reply[2])) if reply else asked


def _is_replied(reply: str) -> bool:
    counted = _REPLIES.search(reply)
    return counted is not None and int(counted[1]) > 0
