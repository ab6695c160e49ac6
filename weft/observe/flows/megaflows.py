"""Reads the flows that Open vSwitch's datapath has made of packets (dpctl/dump-flows). Pure.

A datapath flow matches only what the switch had to look at to decide: a field that is absent was
not looked at. A packet that is tracked passes several of them, each of which leads to the next by
its recirc_id; what an earlier one matched is known of the later one too.

Of packets that no policy makes OVN track, these flows are all that there is to see. Flows that drop
packets are here and nowhere else, until ten seconds after the last packet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

_COUNTS = re.compile(
    r"packets:(?P<packets>\d{1,18}), bytes:(?P<bytes>\d{1,18}), used:(?P<used>never|[\d.]{1,12})s?"
)
_RECIRC = re.compile(r"recirc\((0x[0-9a-f]{1,8})\)")
# The logical ports of a packet from another node, as OVN's Geneve option has them: the ingress
# port's tunnel key, then the egress port's.
_KEYS = re.compile(r"\{class=0x102,type=0x80,len=4,0x([0-9a-f]{1,8})(?:/0x7fffffff)?\}")
# An ACL that logs what it drops: the packet goes to ovn-controller, at the meter's rate, and no
# further.
_LOGGED = re.compile(r"sample\(sample=[\d.]+%,actions\(meter\(\d+\),userspace\(")
_ZONE = re.compile(r"\bzone=(\d{1,5})\b")
_ONES = re.compile(r"(?:0x)?f+|ff:ff:ff:ff:ff:ff|255\.255\.255\.255|65535|255")
_LONGEST = 8_000  # characters of a line
_DEEPEST = 8  # flows in a row
_PARENTS = 4  # flows that lead to one, beyond which what they matched is not looked at
_PROTOCOLS = {"1": "ICMP", "6": "TCP", "17": "UDP", "58": "ICMP", "132": "SCTP"}
_L4 = ("tcp", "udp", "sctp")
# Neighbour discovery, router solicitation and multicast listeners: not what anybody asks for.
_ND_TYPES = frozenset({"130", "131", "132", "133", "134", "135", "136", "137", "143"})

# A masked destination, of which the switch looked at the bit for broadcast and multicast.
_GROUP = re.compile(r"[0-9a-f][13579bdf]:[^/]*/[0-9a-f][13579bdf]:")

Fields = Mapping[str, str]  # "ipv4.src" -> value without mask; what is not looked at is absent


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of the datapath. `used` is in seconds since its last packet, None for never.

    `zone`: where it tracks packets before they come to `next`, 0 for nowhere.
    """

    fields: Fields
    recirc: str
    next: str
    packets: int
    bytes: int
    used: float | None
    is_drop: bool
    is_tracked: bool
    zone: int = 0

    @property
    def is_last(self) -> bool:
        """Whether the packet's way ends here."""
        return not self.next


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of packets at the end of their way.

    `zone`: where they were tracked last: in the zone of the port that they come from while OVN asks
    its policies, then in that of the port that they are for. 0 if nowhere.
    """

    in_port: str
    tunnel_key: int | None
    keys: tuple[int, int] | None  # tunnel keys of the logical ingress and egress port
    source_mac: str
    target_mac: str
    source: str
    target: str
    family: int
    protocol: str
    port: int | None
    is_drop: bool
    is_tracked: bool
    is_reply: bool
    packets: int
    bytes: int
    used: float | None
    zone: int


def parse(line: str) -> Flow | None:
    """A line of the dump; None for any other line."""
    if len(line) > _LONGEST:
        return None
    head, found, actions = line.partition("actions:")
    counts = _COUNTS.search(head)
    if not found or counts is None:
        return None
    actions = actions.partition(", dp-extra-info:")[0].strip()
    is_logged = _LOGGED.match(actions) is not None and _closing(actions, 6) >= len(actions) - 1
    fields = dict(_fields(head[: counts.start()]))
    onward = _RECIRC.search(actions)
    zones = _ZONE.findall(actions[: onward.start()]) if onward else []
    used = counts["used"]
    return Flow(
        fields=fields,
        recirc=fields.get("recirc_id", "0"),
        next=onward[1] if onward else "",
        packets=int(counts["packets"]),
        bytes=int(counts["bytes"]),
        used=None if used == "never" else _seconds(used),
        is_drop=is_logged or actions.startswith("drop"),
        is_tracked=_is_tracked(fields.get("ct_state", "")) or "ct(" in actions,
        zone=int(zones[-1]) if zones else 0,
    )


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_tracked(state: str) -> bool:
    """Both forms: `+new+trk`, and `0x21/0x3f` with -m, whose bit 0x20 is trk."""
    if "trk" in state:
        return "+trk" in state
    value = state.partition("/")[0]
    try:
        return bool(int(value, 0) & 0x20)
    except ValueError:
        return False


def _is_reply(state: str) -> bool:
    if "trk" in state or "rpl" in state:
        return "+rpl" in state
    value, _, mask = state.partition("/")
    try:
        return bool(int(value, 0) & int(mask or value, 0) & 0x08)
    except ValueError:
        return False


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """`name(value)` and `name(key=value,...)`, without what is wholly wildcarded."""
    at = 0
    while (opened := text.find("(", at)) >= 0:
        closed = _closing(text, opened)
        name = text[at:opened].strip(" ,").rpartition(",")[2].strip()
        inner = text[opened + 1 : closed]
        at = closed + 1
        if name in ("ct_state", "tunnel") or "=" not in inner:
            yield from _whole(name, inner)
            continue
        for part in inner.split(","):
            key, _, value = part.partition("=")
            if exact := _exact(value):
                yield f"{name}.{key}", exact
            elif (name, key) == ("eth", "dst") and _GROUP.match(value):
                yield "eth.group", "1"


def _closing(text: str, opened: int) -> int:
    depth = 0
    for at in range(opened, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if not depth:
            return at
    return len(text)


def _whole(name: str, inner: str) -> Iterator[tuple[str, str]]:
    if name == "ct_state":
        yield name, inner
    elif name == "tunnel":
        found = re.search(r"tun_id=(0x[0-9a-f]{1,16})", inner)
        if found:
            yield "tunnel.tun_id", found[1]
        if keys := _KEYS.search(inner):
            yield "tunnel.keys", keys[1]
    elif exact := _exact(inner):
        yield name, exact


def _exact(text: str) -> str:
    """A value that is matched as a whole; "" if it is masked, as in `0/0`."""
    value, masked, mask = text.partition("/")
    if not masked or _ONES.fullmatch(mask.lower()):
        return value
    if ":" in mask and mask.lower() == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff":
        return value
    return ""


def seen(dump: str) -> Iterator[Seen]:
    """Yields what ends somewhere: drops, and what is passed on without being tracked."""
    flows = [found for line in dump.splitlines() if (found := parse(line)) is not None]
    leading: dict[str, list[Flow]] = {}
    for flow in flows:
        if flow.next:
            leading.setdefault(flow.next, []).append(flow)
    for flow in flows:
        if not flow.is_last or not (flow.is_drop or not flow.is_tracked):
            continue
        fields = _known(flow, leading, _DEEPEST)
        if not flow.is_drop and flow.recirc not in ("0", "0x0"):
            continue
        if (end := _seen(flow, fields)) is not None:
            yield end


def _known(flow: Flow, leading: Mapping[str, Sequence[Flow]], deep: int) -> dict[str, str]:
    """What the flow and those that lead to it have matched; not what these differ in."""
    fields = dict(flow.fields)
    if flow.recirc in ("0", "0x0") or not deep:
        return fields
    own = flow.fields.get("in_port")
    before = [
        each for each in leading.get(flow.recirc, ()) if own in (None, each.fields.get("in_port"))
    ]
    if not before or len(before) > _PARENTS:
        return fields
    known = [{**_known(each, leading, deep - 1), "ct.zone": str(each.zone)} for each in before]
    for key, value in known[0].items():
        if key not in fields and all(each.get(key) == value for each in known[1:]):
            fields[key] = value
    return fields


def _seen(flow: Flow, fields: Fields) -> Seen | None:
    kind = fields.get("eth_type", "")
    ip = {"0x0800": "ipv4", "0x86dd": "ipv6"}.get(kind)
    if ip is None or "eth.group" in fields:
        return None
    number = fields.get(f"{ip}.proto", "")
    if fields.get("icmpv6.type", "") in _ND_TYPES:
        return None
    target = _address(fields.get(f"{ip}.dst", ""))
    if target and ip_address(target).is_multicast and ip_address(target) in _LINK:
        return None
    protocol = _PROTOCOLS.get(number, number if number.isdecimal() and len(number) < 4 else "")
    ports = (fields.get(f"{name}.dst", "") for name in _L4)
    port = next((int(each) for each in ports if each.isdecimal() and len(each) < 6), None)
    tunnel, keys = fields.get("tunnel.tun_id"), int(fields.get("tunnel.keys", "0"), 16)
    return Seen(
        in_port=fields.get("in_port", ""),
        tunnel_key=int(tunnel, 16) if tunnel else None,
        keys=(keys >> 16 & 0x7FFF, keys & 0xFFFF) if keys else None,
        source_mac=_mac(fields.get("eth.src", "")),
        target_mac=_mac(fields.get("eth.dst", "")),
        source=_address(fields.get(f"{ip}.src", "")),
        target=target,
        family=6 if ip == "ipv6" else 4,
        protocol=protocol,
        port=port if protocol in ("TCP", "UDP", "SCTP") else None,
        is_drop=flow.is_drop,
        is_tracked=flow.is_tracked,
        is_reply=_is_reply(fields.get("ct_state", "")),
        packets=flow.packets,
        bytes=flow.bytes,
        used=flow.used,
        zone=int(fields.get("ct.zone", "0")),
    )


_LINK = ip_network("ff02::/16")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


def _mac(text: str) -> str:
    return text if _MAC.fullmatch(text) else ""


def _address(text: str) -> str:
    try:
        return str(ip_address(text)) if text and "%" not in text else ""
    except ValueError:
        return ""
