"""Judges evidence step by step along the way from source to target. Pure.

Each step is one line: what was looked at, what was seen, and a verdict. The order is that of cause
and effect: the first fault is the one that `sentence` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_interface

from weft import model
from weft.observe.explain import asking, hops, packets, wiring
from weft.observe.explain.evidence import (
    End,
    EndKind,
    Evidence,
    NetworkFacts,
    NodeState,
    PolicyFinding,
    Unseen,
    UsedAddresses,
)
from weft.observe.explain.step import Step, Verdict, connection_of, fault, note, ok, unseen
from weft.policy import netpolicy

__all__ = ["Step", "Verdict", "walk"]


def walk(evidence: Evidence) -> tuple[Step, ...]:
    """All steps. Without a shared network, or without an attachment, there is no way to follow."""
    found = list(_ends(evidence))
    if any(step.verdict is Verdict.FAULT for step in found):
        return tuple(found)
    for part in (_addresses, _policies, wiring.judge, packets.judge):
        found += part(evidence)
    return tuple(found)


def _ends(evidence: Evidence) -> Iterator[Step]:
    both = (
        ("source", evidence.source, evidence.target),
        ("target", evidence.target, evidence.source),
    )
    for role, end, other in both:
        yield _end(role, end, other, evidence.network)
    yield _shared(evidence)
    for role, end in (("source", evidence.source), ("target", evidence.target)):
        if end.moves:
            seen = f"{end.name} is migrating {end.moves}: what is seen now may change"
            yield note(f"{role} migration", seen)
        yield from _attachment(role, end, evidence.network)
    for name, state in evidence.states.items():
        yield from _node(name, state)


def _end(role: str, end: End, other: End, network: NetworkFacts | Unseen) -> Step:
    where = f" on {end.node}" if end.node else ""
    if end.kind is EndKind.ADDRESS:
        return _address(role, end, other, network)
    if end.kind is EndKind.OUTSIDE:
        return note(role, "outside of the cluster")
    if end.trouble and end.member is None and not (end.networks and end.node):
        return fault(role, f"{end.kind} {end.name} {end.trouble}", end.remedy)
    return ok(role, f"{end.kind} {end.name}{where}")


def _address(role: str, end: End, other: End, network: NetworkFacts | Unseen) -> Step:
    """An address that nobody holds: on an overlay with subnets only a router answers for it."""
    if end.blind:
        return unseen(role, f"who holds {end.name}: {end.blind}")
    is_routed = isinstance(network, NetworkFacts) and network.topology == hops.LAYER3
    router = hops.gateway(other, end.address.version) if is_routed and end.address else None
    if router is not None and router.ip == end.address:
        return note(role, f"{end.name}, the router of {other.name}'s subnet")
    seen = f"{end.name}, which no pod on the network holds"
    if isinstance(network, Unseen) or network.topology == wiring.LOCALNET or not network.subnets:
        return note(role, seen)
    remedy = f"weft ip --network {network.name} lists who has which address"
    return fault(role, f"nobody on {network.name} holds {end.name}", remedy)


def _shared(evidence: Evidence) -> Step:
    network, source, target = evidence.network, evidence.source, evidence.target
    if isinstance(network, NetworkFacts):
        subnets = ", ".join(map(str, network.subnets)) or "without subnets"
        vlan = f", VLAN {network.vlan}" if network.vlan is not None else ""
        kind = f"{network.topology}, {subnets}{vlan}" if network.topology else "not valid now"
        return ok("network", f"{network.name} ({kind})")
    hidden = {nad: None for end in (source, target) for nad in end.hidden}
    if hidden:
        return unseen("network", f"you may not read the NAD {_few(tuple(hidden))}")
    if evidence.beside is not None:
        return _beside(source, target, *evidence.beside)
    lists = [f"{end.name} is on {_few(end.networks)}" for end in (source, target) if end.is_member]
    strange = [end.name for end in (source, target) if end.kind is EndKind.ADDRESS]
    if strange:
        seen = f"{strange[0]} is in no subnet of a network that the other is on: {'; '.join(lists)}"
        seen += "; name a member, or --network for one with a router that leads there"
        return unseen("network", f"{seen} (the cluster's own network is not followed)")
    remedy = "name one network in k8s.v1.cni.cncf.io/networks of both, and restart them"
    if EndKind.OUTSIDE in (source.kind, target.kind):
        remedy = "only networks of topology localnet lead outside: put it on one"
    return fault("network", f"they share no network: {'; '.join(lists)}", remedy)


def _beside(source: End, target: End, one: NetworkFacts, other: NetworkFacts) -> Step:
    """Two networks on one physical network: a VLAN is what keeps them apart."""
    lanes = ["untagged" if each.vlan is None else f"in VLAN {each.vlan}" for each in (one, other)]
    where = f"physical network {one.physical}"
    if one.vlan == other.vlan:
        seen = f"{one.name} and {other.name} are both {lanes[0]} on {where}"
        return unseen("network", f"{seen}: what passes between them there is not followed")
    seen = f"{source.name} is {lanes[0]} on {where} ({one.name}), and {target.name} {lanes[1]}"
    remedy = "name one NAD in both, or correct vlanID in the wrong one, and restart its pods"
    return fault("network", f"{seen} ({other.name})", remedy)


def _few(networks: tuple[str, ...]) -> str:
    return ", ".join(networks[:5]) or "no secondary network"


def _attachment(role: str, end: End, network: NetworkFacts | Unseen) -> Iterator[Step]:
    if not end.is_member or isinstance(network, Unseen):
        return
    name = f"{role} attachment"
    if network.name not in end.networks and end.hidden:
        yield unseen(name, f"you may not read the NAD {_few(end.hidden)}")
    elif network.name not in end.networks:
        remedy = "add a NAD of it to k8s.v1.cni.cncf.io/networks, and restart it"
        yield fault(name, f"{end.name} is not on {network.name}: {_few(end.networks)}", remedy)
    elif end.member is None or end.trouble:
        yield fault(name, f"{end.name} {end.trouble}", end.remedy)
    else:
        addresses = ", ".join(map(str, end.allocated)) or "no address of the network's"
        yield ok(name, f"{end.interface}, MAC {end.member.mac}, {addresses}")
        if end.others:
            others = ", ".join(f"{end.name}@{each}" for each in end.others)
            yield note(f"{role} NIC", f"it is on {network.name} by others, too: name {others}")
        if end.link_state:
            seen = f"the link of {end.name}'s interface is {end.link_state}"
            yield fault(name, seen, "set state: up at the interface in the VirtualMachine")


def _node(name: str, state: NodeState | Unseen) -> Iterator[Step]:
    what = f"node {name}"
    if isinstance(state, Unseen):
        yield unseen(what, state.reason)
        return
    if not state.ready:  # its kubelet is silent: Open vSwitch may well go on
        yield note(what, f"node {name} is not Ready")
    if not state.chassis:
        seen = f"weft's agent has not announced node {name}"
        yield fault(what, seen, f"kubectl get pods -n weft-system -o wide | grep {name}")


def _addresses(evidence: Evidence) -> Iterator[Step]:
    yield from _families(evidence)
    both = (
        ("source", evidence.source, evidence.target),
        ("target", evidence.target, evidence.source),
    )
    for role, end, other in both:
        if not end.is_member:
            continue
        name = f"{role} address"
        used = evidence.used.get(role, Unseen("nobody asked the guest"))
        if isinstance(used, Unseen):
            yield from asking.judge(role, evidence, used.reason)
        else:
            yield _used(name, end, other, used, evidence)


def _families(evidence: Evidence) -> Iterator[Step]:
    """That the ends have no family in common, neither of given nor of used addresses."""
    source, target = evidence.source, evidence.target
    shown: list[str] = []
    versions: list[set[int]] = []
    for role, end in (("source", source), ("target", target)):
        given = [end.address] if end.address else [each.ip for each in end.allocated]
        used = evidence.used.get(role)
        has = used.addresses if isinstance(used, UsedAddresses) else ()
        mine: set[int] = {each.version for each in given}
        versions.append(mine | {each.version for each in has if not each.ip.is_link_local})
        shown.append(f"IPv{min(mine, default=0)} alone ({', '.join(map(str, given))})")
        if not given:
            return
    if not versions[0] & versions[1]:
        seen = f"{source.name} has {shown[0]}, and {target.name} {shown[1]}"
        yield fault("addresses", seen, "give both an address of one family")


def _used(name: str, end: End, other: End, used: UsedAddresses, evidence: Evidence) -> Step:
    """What the guest really uses, against what it was given."""
    shown = ", ".join(map(str, used.addresses)) or "no address"
    seen = f"{shown}, says {used.source}"
    if used.is_up is False:
        return fault(name, f"{end.name} has its interface down", "bring it up in the guest")
    given = {address.ip: address for address in end.allocated}
    has = {address.ip: address for address in used.addresses if not address.ip.is_link_local}
    if given and not has:
        first = next(iter(given.values()))
        remedy = f"let it ask by DHCP, or set {first} on the interface with MAC {_mac(end)}"
        return fault(name, f"{end.name} has no address: it was given {first}", remedy)
    foreign = [address for ip, address in has.items() if ip not in given]
    if given and not given.keys() & has.keys():
        first = next(iter(given.values()))
        return _otherwise(name, end, foreign, first, evidence)
    if not has and not any(a.ip.is_link_local for a in used.addresses):
        return fault(name, f"{end.name} has no address on {end.interface}", "set one in the guest")
    narrow = _narrow(end, other, used, evidence)
    if narrow is not None:
        return narrow
    return ok(name, seen)


def _otherwise(
    name: str, end: End, used: Sequence[model.Interface], given: model.Interface, evidence: Evidence
) -> Step:
    """A guest that uses only addresses that it was not given: not all port security minds."""
    seen, remedy = f"{end.name} uses {used[0]}, but was given {given}", f"set {given} there"
    if not any(_may_send(end, address.ip) for address in used):
        return fault(name, f"{seen}: OVN drops what it sends (port security)", remedy)
    if end is evidence.target:  # it is asked at the address that it was given
        return fault(name, seen, remedy)
    return note(name, f"{seen}; port security lets it send")


def _may_send(end: End, address: model.Address) -> bool:
    """Whether the port security that the end should have lets it send from an address."""
    if not end.security:
        return True
    held = [entry.split()[1:] for entry in end.security if entry.split()[0] == _mac(end)]
    return any(not texts or any(_covers(text, address) for text in texts) for texts in held)


def _covers(text: str, address: model.Address) -> bool:
    """OVN reads an address without host bits as its subnet (`ports.port_security`)."""
    found = ip_interface(text)
    if found.ip == found.network.network_address:
        return address in found.network
    return address == found.ip


def _narrow(end: End, other: End, used: UsedAddresses, evidence: Evidence) -> Step | None:
    """A prefix length that leaves the other end out of the interface's subnet."""
    network = evidence.network
    if not used.prefixes or isinstance(network, Unseen) or network.topology == "layer3":
        return None
    peers = {each.ip for each in other.allocated}
    if other.address is not None:
        peers = {other.address}
    given = {address.ip: address for address in end.allocated}
    for address in used.addresses:
        expected = given.get(address.ip)
        for peer in peers:
            if peer.version != address.version or peer in address.network:
                continue
            if expected is not None and peer in expected.network:
                seen = f"{end.name} has {address}, a subnet without {peer} (wrong prefix length)"
                return fault(f"{_role(end, evidence)} address", seen, f"set {expected} there")
    return None


def _role(end: End, evidence: Evidence) -> str:
    return "source" if end is evidence.source else "target"


def _mac(end: End) -> str:
    return end.member.mac if end.member else ""


def _policies(evidence: Evidence) -> Iterator[Step]:
    for finding in evidence.policies:
        yield _policy(finding, evidence)


def _policy(finding: PolicyFinding, evidence: Evidence) -> Step:
    is_egress = finding.direction is netpolicy.Direction.EGRESS
    end = evidence.source if is_egress else evidence.target
    name = "egress policies" if is_egress else "ingress policies"
    if finding.unseen:
        return unseen(name, finding.unseen)
    audited = f"; only audited: {', '.join(finding.audited)}" if finding.audited else ""
    if not end.is_member:
        return note(name, f"none guards {end.name}")
    if not finding.policies:
        return ok(name, f"none selects {end.name}{audited}")
    line = finding.line
    where = ""
    if line is not None and line.number:
        where = f" (line {line.number}: {line.text})"
    if finding.passes:
        return ok(name, f"{finding.allowed} {line.path if line else ''}{where} allows it{audited}")
    listed = ", ".join(finding.policies)
    word = "policy" if len(finding.policies) == 1 else "policies"
    seen = f"{word} {listed} isolate{'s' if len(finding.policies) == 1 else ''} {end.name}"
    seen += f" ({finding.direction}), and no rule allows {connection_of(evidence)}"
    return fault(name, seen, finding.change + where)
