"""Judges what came of packets that were sent: the probe, full-size packets, and drops. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from weft.api import nad
from weft.observe.explain.evidence import (
    DropCount,
    EndKind,
    Evidence,
    NetworkFacts,
    NodeFacts,
    NodeState,
    Probe,
    Unseen,
)
from weft.observe.explain.step import Step, connection_of, fault, note, ok, unseen
from weft.observe.reach import ProbeResult
from weft.policy import netpolicy

MTU = "MTU"
UNHEARD = "nothing came back, which says nothing: a program that takes datagrams need not answer"
REACHED = (ProbeResult.ANSWERED, ProbeResult.ARRIVED)


def judge(evidence: Evidence) -> Iterator[Step]:
    """The probe, then full-size packets, then counters of drops."""
    probe = evidence.probe
    if isinstance(probe, Unseen):
        yield unseen("probe", probe.reason)
        yield from _expected(evidence)
        return
    yield _probe(probe, evidence)
    if probe.full is not None:
        yield _full(probe, evidence)
    else:
        yield from _expected(evidence)
    if probe.result not in REACHED:
        yield from _drops(evidence)


def _probe(probe: Probe, evidence: Evidence) -> Step:
    sent, target = connection_of(evidence), evidence.target.name
    sent += f" ({probe.by})" if probe.by else ""
    if probe.result is ProbeResult.ANSWERED:
        return ok("probe", f"{sent}: {target} answered")
    if probe.result is ProbeResult.ARRIVED:
        return ok("probe", f"{sent}: the packet arrived at {target}")
    if probe.result is ProbeResult.UNKNOWN:
        return unseen("probe", f"{sent} could not be tried from {evidence.source.name}")
    if probe.arrived:
        return note("probe", f"{sent}: no answer, though the packet arrived at {target}'s NIC")
    if probe.left is False:
        return note("probe", f"{sent}: no answer; the packet never left {evidence.source.name}")
    if tells_nothing(probe, evidence):
        return unseen("probe", f"{sent}: {UNHEARD}")
    if probe.arrived is None:
        return note("probe", f"{sent}: no answer")
    return note("probe", f"{sent}: no answer, and nothing arrived at {target}'s NIC")


def tells_nothing(probe: Probe, evidence: Evidence) -> bool:
    """Whether silence says nothing: datagrams that arrive need no answer, and nobody looked."""
    is_udp = evidence.connection.protocol is netpolicy.Protocol.UDP
    return is_udp and probe.result is ProbeResult.SILENT and probe.arrived is None


def _expected(evidence: Evidence) -> Iterator[Step]:
    """The MTU that the way needs, where no large packet was tried."""
    network, source, target = evidence.network, evidence.source, evidence.target
    if isinstance(network, Unseen) or not network.mtu:
        return
    seen = f"expected, not probed: packets have up to {network.mtu} bytes"
    if target.is_member and source.is_member and source.node == target.node:
        seen += f", and stay on {source.node}"
    elif network.topology == "localnet":
        tag = ", and a VLAN tag beside them" if network.vlan is not None else ""
        seen += f": the physical network {network.physical} has to carry that{tag}"
    else:
        seen += f", {_wrapped(network.mtu, evidence)}: the underlay's MTU has to be that"
    yield note(MTU, seen)


def _wrapped(mtu: int, evidence: Evidence) -> str:
    """How long a packet is in a tunnel between the nodes of the ends."""
    ends = evidence.source, evidence.target
    addresses = [evidence.encaps.get(end.node) for end in ends if end.is_member]
    families = {6 if ":" in each else 4 for found in addresses if found for each in found}
    sizes = [
        f"{mtu + more} in a tunnel over IPv{family}"
        for family, more in nad.TUNNEL_OVERHEAD.items()
        if family in families or not families
    ]
    return " or ".join(sizes)


def _full(probe: Probe, evidence: Evidence) -> Step:
    name = MTU
    if isinstance(probe.full, Unseen):
        return unseen(name, probe.full.reason)
    if probe.full in REACHED:
        return ok(name, f"packets of {probe.size} bytes pass")
    if probe.full is ProbeResult.UNKNOWN:
        return unseen(name, f"{evidence.source.name} could not send {probe.size} bytes")
    mtu = evidence.network.mtu if isinstance(evidence.network, NetworkFacts) else 0
    what = ", the network's MTU," if probe.size >= mtu else f" (the network's MTU is {mtu})"
    seen = f"packets of {probe.size} bytes{what} are lost; small ones pass"
    remedy = (
        "raise the MTU of the underlay (58 bytes more than the network's, 78 over IPv6), "
        "or lower mtu in the NAD and restart its pods; look at the guest's own MTU too"
    )
    return fault(name, seen, remedy)


def _drops(evidence: Evidence) -> Iterator[Step]:
    for node, counts in evidence.drops.items():
        for each in counts[:3]:
            yield _drop(node, each)


def _drop(node: str, count: DropCount) -> Step:
    name = f"drops on {node}"
    times = f"{count.packets} packet{'' if count.packets == 1 else 's'}"
    if count.is_weft:
        return note(name, f"{times} by weft's guard against rogue routers: {count.flow}")
    if count.stage:
        return note(name, f"{times} in {count.stage}: {count.match}")
    if count.is_foreign:
        seen = f"a flow that is not OVN's dropped {times} in br-int on {node}: {count.flow}"
        return fault(name, seen, f"remove it: ovs-ofctl --strict del-flows br-int on {node}")
    return note(name, f"{times} by {count.flow}")


def unanswered(evidence: Evidence) -> tuple[str, str]:
    """Who stops a packet that has no answer, where no step is at fault, and what to do."""
    probe, target = evidence.probe, evidence.target
    assert isinstance(probe, Probe)
    if probe.arrived:
        inside = "guest" if target.kind is EndKind.MACHINE else "pod"
        what = "has a firewall that drops it, or no route back"
        if evidence.connection.protocol is not None:
            what = "has a firewall that drops it, or no route back; a closed port would refuse"
        arrives = f"the packet arrives at {target.name}'s NIC"
        return (
            f"{arrives}, and the {inside} does not answer: it {what}",
            f"look at nft list ruleset, ip route and ip addr in {target.name}",
        )
    if probe.left is False:
        return (
            f"the packet never leaves {evidence.source.name}: a firewall or route in the guest, "
            f"or no answer to its ARP for {target.name}",
            f"look at ip route, ip neigh and nft list ruleset in {evidence.source.name}",
        )
    return (
        _on_the_wire(evidence)
        or _not_ready(evidence)
        or (
            "nothing that was seen explains it",
            "weft support-bundle collects more",
        )
    )


def _not_ready(evidence: Evidence) -> tuple[str, str] | None:
    """A node of which Kubernetes hears nothing, if nothing else explains the silence."""
    for name, state in evidence.states.items():
        if isinstance(state, NodeState) and not state.ready:
            return f"node {name} is not Ready", f"kubectl describe node {name}"
    return None


def _on_the_wire(evidence: Evidence) -> tuple[str, str] | None:
    """The physical network of a localnet, if all that both nodes do has been seen to be right."""
    network, source, target = evidence.network, evidence.source, evidence.target
    if isinstance(network, Unseen) or network.topology != "localnet":
        return None
    seen = [evidence.nodes.get(end.node) for end in (source, target) if end.is_member]
    if source.node == target.node or not all(isinstance(each, NodeFacts) for each in seen):
        return None
    if getattr(evidence.probe, "arrived", None) is None:  # nobody looked whether it arrived
        return None
    carried = f"VLAN {network.vlan}" if network.vlan is not None else "untagged packets"
    there = f"on {target.node}" if target.is_member else f"at {target.name}"
    asked = f"{source.node} and {target.node}" if target.is_member else source.node
    return (
        f"nothing that {source.node} sends arrives {there}: the physical network "
        f"{network.physical} does not carry {carried} between them",
        f"check the VLANs of the switch ports of {asked}",
    )
