"""Defines the record of a flow: who asked whom for what, and whether it was allowed. Pure.

`weft flows --output json` prints `document` of a Report; `parse` reads it back. The form only
grows: a reader ignores fields that it does not know.

    {"at": "2026-11-30T16:00:00.250Z",
     "flows": [{
       "network": "blue",
       "source": {"kind": "VirtualMachine", "namespace": "team", "name": "vm-a",
                  "pod": "virt-launcher-vm-a-x2x", "address": "10.1.0.5",
                  "mac": "0a:58:0a:01:00:05", "node": "node1"},
       "target": {"kind": "Pod", "namespace": "team", "name": "web", "pod": "web", ...},
       "protocol": "TCP", "port": 443, "is_directed": true,
       "verdict": "allowed", "reason": "",
       "policies": [{"kind": "MultiNetworkPolicy", "namespace": "team", "name": "web",
                     "direction": "Ingress", "rule": 0}],
       "nodes": ["node1", "node2"],
       "first_seen": "2026-11-30T15:59:58.250Z", "last_seen": "2026-11-30T16:00:00.250Z",
       "connections": 3, "packets": null, "bytes": null, "evidence": ["connection"],
       "more": 0}],
     "left_off": 0,
     "notices": ["node node3: no pod of weft's agent that you may list runs there"]}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from weft import errors
from weft.policy import netpolicy

POLICY_KIND = "MultiNetworkPolicy"


class Verdict(StrEnum):
    ALLOWED = "allowed"
    DENIED = "denied"


class EndKind(StrEnum):
    """What holds the address on that network. NONE: nobody weft has given it to."""

    POD = "Pod"
    MACHINE = "VirtualMachine"
    NONE = ""


class Evidence(StrEnum):
    """Where a flow was seen: in Open vSwitch's connection tracker, among the flows that its
    datapath has made of packets, or in OVN's log of what ACLs match."""

    CONNECTION = "connection"
    SWITCH = "switch"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """One end. `name` is the machine's or the pod's, `pod` always the pod's.

    `address` and `mac` are "" where the switch did not look at them. For EndKind.NONE they are all
    that is known: an address that another network's pod has is not that pod's.
    """

    kind: EndKind = EndKind.NONE
    namespace: str = ""
    name: str = ""
    pod: str = ""
    address: str = ""
    mac: str = ""
    node: str = ""

    def __str__(self) -> str:
        """As users name it on the command line."""
        if self.kind is EndKind.NONE:
            return self.address or self.mac or "unknown"
        head = "vm/" if self.kind is EndKind.MACHINE else ""
        return f"{head}{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class FlowPolicy:
    """A policy that decides about a flow in one direction.

    Of an allowed flow, one whose `rule` (index in spec.ingress or spec.egress) allows it; of a
    denied one, each that isolates the end, with `rule` None.
    """

    namespace: str
    name: str
    direction: netpolicy.Direction
    rule: int | None = None
    kind: str = POLICY_KIND

    def __str__(self) -> str:
        place = f"spec.{self.direction.lower()}"
        return f"{self.namespace}/{self.name} {place}" + (
            "" if self.rule is None else f"[{self.rule}]"
        )


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """All connections from one end to one port of another, as far as they are alike.

    `protocol`: TCP, UDP, SCTP, ICMP, another IP protocol by its number, or "" if the switch did not
    look at it. `port` is the target's; None if there is none, or the switch did not look at it.
    `is_directed`: whether it is known that `source` asked; if not, either may have.
    `reason`: of a denied flow, what stopped it, if no policy did; of an allowed one, what is odd.
    `first_seen` and `last_seen` are RFC 3339 in UTC, "" if unknown: Open vSwitch keeps no times
    of connections. `connections`: how many are tracked now, None if that is not known. `packets`
    and `bytes` are at least so many, None if nobody counts them. `more`: how many ports or sources
    are summed up in it, 0 if it is of one.
    """

    network: str
    source: FlowEnd
    target: FlowEnd
    verdict: Verdict
    protocol: str = ""
    port: int | None = None
    is_directed: bool = True
    policies: tuple[FlowPolicy, ...] = ()
    reason: str = ""
    nodes: tuple[str, ...] = ()
    first_seen: str = ""
    last_seen: str = ""
    connections: int | None = None
    packets: int | None = None
    bytes: int | None = None
    evidence: tuple[Evidence, ...] = ()
    more: int = 0

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells a flow from others, however long it lasts."""
        ends = (
            (end.kind, end.namespace, end.name, end.address or end.mac)
            for end in (self.source, self.target)
        )
        return self.network, *ends, self.protocol, self.port, self.verdict

    @property
    def service(self) -> str:
        """Protocol and port, as `TCP/443`; `IP` where the switch looked at neither."""
        name = self.protocol or "IP"
        return name if self.port is None else f"{name}/{self.port}"


@dataclass(frozen=True, slots=True)
class Report:
    """What one look found. `left_off`: how many more flows there are than are listed, at least.

    `notices`: what could not be seen, and why, a sentence each.
    """

    at: str
    flows: tuple[FlowRecord, ...] = ()
    left_off: int = 0
    notices: tuple[str, ...] = ()


def document(report: Report) -> dict[str, Any]:
    """The report for scripts."""
    return {
        "at": report.at,
        "flows": [data(each) for each in report.flows],
        "left_off": report.left_off,
        "notices": list(report.notices),
    }


def data(record: FlowRecord) -> dict[str, Any]:
    """One record for scripts."""
    made = asdict(record)
    made["policies"] = [asdict(each) for each in record.policies]
    for name in ("nodes", "evidence"):
        made[name] = [str(each) for each in made[name]]
    return made


def parse(found: object, where: str) -> Report:
    """Read `document` back. Raises InvalidInput, which names `where` and the flow."""
    if not isinstance(found, Mapping) or not isinstance(found.get("flows"), list):
        rule = "must be an object with a list of flows, as weft flows --output json prints it"
        raise errors.InvalidInput(where, "flows", None, rule)
    flows = tuple(
        _record(each, f"flows[{number}]", where) for number, each in enumerate(found["flows"])
    )
    left_off = found.get("left_off")
    return Report(
        at=str(found.get("at") or ""),
        flows=flows,
        left_off=left_off if isinstance(left_off, int) else 0,
        notices=tuple(map(str, _list(found.get("notices")))),
    )


def _record(found: Any, path: str, where: str) -> FlowRecord:
    try:
        return FlowRecord(
            network=str(found["network"]),
            source=_end(found["source"]),
            target=_end(found["target"]),
            verdict=Verdict(found["verdict"]),
            protocol=str(found.get("protocol") or ""),
            port=_number(found.get("port")),
            is_directed=found.get("is_directed") is not False,
            policies=tuple(map(_policy, _list(found.get("policies")))),
            reason=str(found.get("reason") or ""),
            nodes=tuple(map(str, _list(found.get("nodes")))),
            first_seen=str(found.get("first_seen") or ""),
            last_seen=str(found.get("last_seen") or ""),
            connections=_number(found.get("connections")),
            packets=_number(found.get("packets")),
            bytes=_number(found.get("bytes")),
            evidence=tuple(map(Evidence, _list(found.get("evidence")))),
            more=_number(found.get("more")) or 0,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        rule = f"is no flow as weft flows --output json prints it ({type(error).__name__}: {error})"
        raise errors.InvalidInput(where, path, found, rule) from None


def _end(found: Any) -> FlowEnd:
    texts = {
        name: str(found.get(name) or "")
        for name in ("namespace", "name", "pod", "address", "mac", "node")
    }
    return FlowEnd(kind=EndKind(found.get("kind") or ""), **texts)


def _policy(found: Any) -> FlowPolicy:
    return FlowPolicy(
        namespace=str(found["namespace"]),
        name=str(found["name"]),
        direction=netpolicy.Direction(found["direction"]),
        rule=_number(found.get("rule")),
        kind=str(found.get("kind") or POLICY_KIND),
    )


def _number(found: Any) -> int | None:
    if found is None or (isinstance(found, int) and not isinstance(found, bool) and found >= 0):
        return found
    raise ValueError(f"{found!r} is no number")


def _list(found: Any) -> Iterable[Any]:
    if found is None:
        return ()
    if not isinstance(found, list):
        raise ValueError("is no list")
    return found
