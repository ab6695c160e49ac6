"""Reads flows as connections between members of a network, as policies see them. Pure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from weft import model, names
from weft.observe.flows.judge import Judge
from weft.observe.flows.places import Place
from weft.observe.flows.record import EndKind, Evidence, FlowEnd, FlowRecord, Verdict
from weft.observe.reach import Member
from weft.policy import netpolicy

_DHCP_PORTS = {67, 68, 546, 547}
_SERVERS = (ip_network(f"{names.SERVER_ADDRESS}/32"), ip_network("255.255.255.255/32"))
_BROADCAST = (ip_address("255.255.255.255"),)
_ALL_DHCP = ip_network("ff02::1:2/128")
_PROTOCOL = re.compile(r"[A-Za-z0-9]{1,10}", re.ASCII)
_PROTOCOLS = {str(each): each for each in netpolicy.Protocol}


@dataclass(frozen=True, slots=True)
class Seen:
    """One connection that was allowed. An end without a member is an address alone.

    `protocol` None: anything but TCP, UDP and SCTP, or the switch did not look at it (`what` says
    so). `port` None: it is not known which, because the switch did not look at it, or because many
    ports are summed up. It never stands for all of them: a guest that scans makes such flows.
    """

    source: Member | None
    target: Member | None
    addresses: tuple[model.Address | None, model.Address | None]
    protocol: netpolicy.Protocol | None
    port: int | None
    what: str
    record: FlowRecord

    @property
    def is_sayable(self) -> bool:
        """Whether a rule with ports can admit it."""
        return self.protocol is not None and self.port is not None

    @property
    def is_summed(self) -> bool:
        """Whether it stands for connections to many ports; the tracker knows the port of each."""
        tracked = Evidence.CONNECTION in self.record.evidence
        return self.protocol is not None and self.port is None and bool(self.record.more or tracked)

    @property
    def is_unlooked(self) -> bool:
        """Whether the switch looked at no port, since no policy guards an end."""
        return not self.is_sayable and not self.is_summed and (not self.what or bool(self.protocol))


@dataclass(frozen=True, slots=True)
class Reading:
    """`seen` connections; how many flows are left out, by the reason."""

    seen: tuple[Seen, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)


DENIED = "were denied"
DENIED_NOW = "are denied by policies now"
ELSEWHERE = "are of another network"
DHCP = "are DHCP, which OVN answers at the port and policies do not stop"
GROUPCAST = "go to many (multicast, broadcast), and OVN tracks no connections of them"
ITSELF = "go from a pod to itself"
UNKNOWN = "have an end of which nothing is known, or a pod that is gone"
OUTSIDE = "have no end that is on the network"


def read(
    network: str, flows: Iterable[FlowRecord], members: Sequence[Member], judge: Judge
) -> Reading:
    """What flows say of a network. A connection that is older than a policy lives on: `judge` says
    what the policies in force deny."""
    index = _Index(members)
    seen, left_out = [], dict[str, int]()
    for each in flows:
        found = _seen(network, each, index)
        if isinstance(found, Seen) and not _is_admitted(found, judge):
            found = DENIED_NOW
        if isinstance(found, str):
            left_out[found] = left_out.get(found, 0) + 1
        else:
            seen.append(found)
    return Reading(tuple(seen), left_out)


class _Index:
    def __init__(self, members: Sequence[Member]) -> None:
        self._pods: dict[tuple[str, str], list[Member]] = {}
        self._machines: dict[tuple[str, str], list[Member]] = {}
        for each in members:
            end = each.endpoint
            self._pods.setdefault((end.namespace, end.pod), []).append(each)
            if each.machine:
                self._machines.setdefault((end.namespace, each.machine), []).append(each)

    def find(self, end: FlowEnd, address: model.Address | None) -> Member | None:
        listed = self._pods.get((end.namespace, end.pod or end.name))
        if end.kind is EndKind.MACHINE:
            # A machine's pod may be another by now, after a restart or a migration.
            listed = self._machines.get((end.namespace, end.name)) or listed
        for each in listed or ():
            if address in each.endpoint.addresses:
                return each
        return listed[0] if listed else None


def _seen(network: str, record: FlowRecord, index: _Index) -> Seen | str:
    if record.network != network:
        return ELSEWHERE
    if record.verdict is not Verdict.ALLOWED:
        return DENIED
    addresses = _address(record.source.address), _address(record.target.address)
    if _is_dhcp(record, addresses[1]):
        return DHCP
    has_port = record.protocol in _PROTOCOLS and record.port is not None
    if _is_for_many(addresses[1]) and not has_port:
        return GROUPCAST
    ends = []
    for end, address in ((record.source, addresses[0]), (record.target, addresses[1])):
        member = None if end.kind is EndKind.NONE else index.find(end, address)
        if member is None and (end.kind is not EndKind.NONE or address is None):
            return UNKNOWN
        ends.append(member)
    source, target = ends
    if source is None and target is None:
        return OUTSIDE
    if source is not None and target is not None and source.pod == target.pod:
        return ITSELF
    protocol = _PROTOCOLS.get(record.protocol)
    port = record.port if protocol is not None else None
    if protocol is not None and port is not None and not 1 <= port <= 65535:
        return UNKNOWN  # no rule can name port 0
    return Seen(source, target, addresses, protocol, port, _what(record.protocol), record)


def _is_admitted(seen: Seen, judge: Judge) -> bool:
    """Whether the policies in force admit it; of a flow without a port, whether all ports."""
    source, target = (
        Place(FlowEnd(address=str(address or "")), "", member.pod if member else "")
        for member, address in zip((seen.source, seen.target), seen.addresses, strict=True)
    )
    opinion = judge.opinion(seen.record.network, source, target, seen.protocol or "", seen.port)
    return opinion.allows


def _what(protocol: str) -> str:
    """The protocol as it is printed: a file of flows may hold any text."""
    return protocol if not protocol or _PROTOCOL.fullmatch(protocol) else "another protocol"


def _address(text: str) -> model.Address | None:
    with contextlib.suppress(ValueError):
        if "%" not in text:
            return ip_address(text)
    return None


def _is_for_many(target: model.Address | None) -> bool:
    return target is not None and (target in _BROADCAST or target.is_multicast)


def _is_dhcp(record: FlowRecord, target: model.Address | None) -> bool:
    """Whether a guest asked OVN's own DHCP server, or everybody: not a server of the network."""
    if record.protocol != "UDP" or record.port not in _DHCP_PORTS or target is None:
        return False
    return any(target in each for each in (*_SERVERS, _ALL_DHCP) if each.version == target.version)


def connection(seen: Seen, port: int | None = None) -> netpolicy.Connection:
    """The connection as the evaluator takes it; `port` where the flow knows none."""
    number = seen.port if seen.port is not None else port or 0
    return netpolicy.Connection(seen.protocol, number, *seen.addresses)


def endpoints(seen: Seen, network: str) -> tuple[netpolicy.Endpoint, netpolicy.Endpoint]:
    """Both ends as policies see them, with the addresses that were seen."""
    source, target = (
        _endpoint(member, address, network)
        for member, address in zip((seen.source, seen.target), seen.addresses, strict=True)
    )
    return source, target


def _endpoint(
    member: Member | None, address: model.Address | None, network: str
) -> netpolicy.Endpoint:
    own = () if address is None else (address,)
    if member is None:
        return netpolicy.Endpoint("", "", {}, {}, network, own, {})
    return replace(member.endpoint, addresses=(*own, *member.endpoint.addresses))
