"""Judges NICs, OVS ports, bindings, port security and tunnels: what carries the packets. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from weft import names
from weft.observe.explain import hops
from weft.observe.explain.evidence import (
    End,
    Evidence,
    NetworkFacts,
    NodeFacts,
    NodeState,
    PortFacts,
    Trace,
    Unseen,
)
from weft.observe.explain.step import Step, Verdict, fault, ok, unseen

LAYER2, LOCALNET = "layer2", "localnet"
_ACL_STAGES = ("_acl_eval", "_acl_action")


def judge(evidence: Evidence) -> Iterator[Step]:
    """Steps from the source's NIC to the target's."""
    yield from _mapping(evidence)
    for role, end in (("source", evidence.source), ("target", evidence.target)):
        if end.is_member:
            yield from _port(role, end, evidence)
    # What a switch without the tunnel does follows from that. Agents answer each other through
    # tunnels: silence may also be that of an agent, and then another fault, which was seen for
    # certain, is the cause.
    nodes = evidence.source.node, evidence.target.node
    is_missing = any(_answers(*way, evidence) == [] for way in (nodes, nodes[::-1]))
    parts = (_tunnel, _traces) if is_missing else (_traces, _tunnel)
    for part in parts:
        yield from part(evidence)


def _mapping(evidence: Evidence) -> Iterator[Step]:
    """Whether the nodes lead to a localnet's physical network."""
    network = evidence.network
    if isinstance(network, Unseen) or network.topology != LOCALNET:
        return
    name = f"physical network {network.physical}"
    unknown = None
    for node in dict.fromkeys(end.node for end in _members(evidence) if end.node):
        state = evidence.states.get(node)
        if isinstance(state, Unseen):
            unknown = state
        elif node not in network.mapped:
            seen = f"node {node} has no bridge mapping for physical network {network.physical}"
            remedy = f"add {network.physical}:BRIDGE to ovn-bridge-mappings in Open vSwitch there"
            yield fault(name, seen, remedy)
            return
    if unknown is not None:
        yield unseen(name, unknown.reason)
        return
    yield ok(name, f"mapped on {', '.join(network.mapped) or 'no node'}")


def _members(evidence: Evidence) -> tuple[End, ...]:
    return tuple(end for end in (evidence.source, evidence.target) if end.is_member)


def _port(role: str, end: End, evidence: Evidence) -> Iterator[Step]:
    """The port of one end in each zone that should have it."""
    for node in dict.fromkeys(each.node for each in _members(evidence)):
        is_local = node == end.node
        if not is_local and not _is_everywhere(evidence):
            continue
        name = f"{role} port on {node}"
        facts = evidence.nodes.get(node, Unseen("nobody asked the node"))
        if isinstance(facts, Unseen):
            yield unseen(name, facts.reason)
            continue
        port = facts.ports.get(end.port, PortFacts())
        trouble = _unwired(end, node, port, facts, evidence)
        if trouble is not None:
            seen, remedy = trouble
            yield fault(name, seen, remedy)
            continue
        where = f"bound to {end.node}"
        if is_local and port.interface is not None:
            where += f", OVS port {port.interface.name}, flows installed"
        yield ok(name, where)
        if is_local:
            yield _security(role, end, port)


def _is_everywhere(evidence: Evidence) -> bool:
    """Whether every zone has the ports of all nodes: only on a layer 2 overlay."""
    return isinstance(evidence.network, NetworkFacts) and evidence.network.topology == LAYER2


def _unwired(
    end: End, node: str, port: PortFacts, facts: NodeFacts, evidence: Evidence
) -> tuple[str, str] | None:
    """What is wrong with a port in a zone, and the remedy."""
    agent = f"the agent on {node} mends it within seconds, or its log says why not"
    state = evidence.states.get(end.node)
    chassis = state.chassis if isinstance(state, NodeState) else ""
    if not port.exists:
        return f"OVN on {node} has no port for {end.name}", agent
    if not port.is_enabled:
        return f"the port of {end.name} is disabled in OVN on {node}", agent
    if not port.has_binding:
        return (
            f"northd on {node} has not made the port of {end.name}",
            f"is ovn-northd up on {node}?",
        )
    if end.node == node:
        return _unwired_locally(end, node, port, chassis, agent)
    if chassis and chassis not in facts.chassis:
        return f"OVN on {node} does not know node {end.node}", agent
    if not port.bound or (chassis and port.bound != chassis):
        where = "to another node" if port.bound else "to no node"
        seen = f"OVN on {node} has bound the port of {end.name} {where}, not to {end.node}"
        return seen, f"{agent}; is ovn-northd up there?"
    return None


def _unwired_locally(
    end: End, node: str, port: PortFacts, chassis: str, agent: str
) -> tuple[str, str] | None:
    interface = port.interface
    if interface is None:
        seen = f"Open vSwitch on {node} has no interface for {end.name}"
        return seen, f"{agent}; restart the pod if it stays so"
    if interface.rival:
        seen = (
            f"Open vSwitch on {node} has {interface.rival}, which has the id of {end.name}'s port"
        )
        return f"{seen} and is not weft's", f"remove it: ovs-vsctl del-port {interface.rival}"
    if interface.error:
        return f"Open vSwitch on {node} cannot use {interface.name}: {interface.error}", agent
    if not port.bound or (chassis and port.bound != chassis):
        seen = f"ovn-controller on {node} has not bound the port of {end.name}"
        return seen, f"is ovn-controller up on {node}, and its chassis {chassis or 'known'}?"
    if not interface.is_installed:
        seen = f"the flows of {end.name} are not in place on {node} (no ovn-installed)"
        return seen, f"is ovn-controller up on {node}?"
    return None


def _security(role: str, end: End, port: PortFacts) -> Step:
    name = f"{role} port security"
    shown = "; ".join(port.security) or "off: any address may be sent from"
    if port.security != end.security and end.security:
        seen = f"OVN lets {end.name} send from {shown}, not from {'; '.join(end.security)}"
        return fault(name, seen, f"the agent on {end.node} writes it again")
    return ok(name, shown)


def _tunnel(evidence: Evidence) -> Iterator[Step]:
    source, target = evidence.source, evidence.target
    network = evidence.network
    if isinstance(network, Unseen) or network.topology == LOCALNET:
        return
    if not (source.is_member and target.is_member) or source.node == target.node:
        return
    name = f"tunnel {source.node} - {target.node}"
    verdicts = []
    for here, there in ((source.node, target.node), (target.node, source.node)):
        step = _tunnel_at(name, here, there, evidence)
        if step.verdict is Verdict.FAULT:
            yield step
            return
        verdicts.append(step)
    yield min(verdicts, key=lambda step: step.verdict is not Verdict.UNSEEN)


def _answers(here: str, there: str, evidence: Evidence) -> list[bool] | None:
    """Whether each tunnel of a switch to a node answers; None if it is not known."""
    facts, addresses = evidence.nodes.get(here), evidence.encaps.get(there)
    if not isinstance(facts, NodeFacts) or not addresses:
        return None
    return [facts.tunnels[each] for each in addresses if each in facts.tunnels]


def _tunnel_at(name: str, here: str, there: str, evidence: Evidence) -> Step:
    underlay = f"check the underlay between {here} and {there}, UDP port 6081 both ways"
    remedy = f"{underlay}, and whether weft's agent runs on {there}"
    found = _answers(here, there, evidence)
    if found is not None:
        if not found:
            seen = f"Open vSwitch on {here} has no tunnel to {there}"
            return fault(name, seen, f"is ovn-controller up on {here}?")
        if not any(found):
            return fault(name, f"{there} does not answer {here} through the tunnel", remedy)
        return ok(name, "both ends answer")
    state = evidence.states.get(here)
    if isinstance(state, NodeState) and state.tunnels is not None:
        if there in state.tunnels:
            return fault(name, f"node {here} says: {state.tunnels}", remedy)
        return ok(name, "the nodes' conditions say that it answers")
    return unseen(name, f"node {here} does not say")


def _traces(evidence: Evidence) -> Iterator[Step]:
    """What OVN would do with the packet, in each zone on the way."""
    network, source, target = evidence.network, evidence.source, evidence.target
    kind = network.topology if isinstance(network, NetworkFacts) else ""
    policies_stop = any(not finding.passes for finding in evidence.policies)
    for node, facts in evidence.nodes.items():
        if hops.is_routed(evidence) and isinstance(facts, NodeFacts) and facts.trace is None:
            why = "it is not known which router the packet comes from"
            yield unseen(f"OVN on {node}", why)
        if isinstance(facts, Unseen) or facts.trace is None:
            continue
        if kind == LOCALNET and source.node != target.node and node != source.node:
            continue  # what comes from the wire has no port here to begin at
        name = f"OVN on {node}"
        if isinstance(facts.trace, Unseen):
            yield unseen(name, facts.trace.reason)
        else:
            yield _trace(name, node, facts.trace, evidence, policies_stop=policies_stop)
        if isinstance(facts.datapath, Trace):
            yield _datapath(node, facts.datapath, facts.trace)
        elif facts.datapath is not None:
            yield unseen(f"Open vSwitch on {node}", facts.datapath.reason)


def _trace(name: str, node: str, trace: Trace, evidence: Evidence, *, policies_stop: bool) -> Step:
    to_router = hops.is_routed(evidence) and node == evidence.source.node
    if trace.reaches:
        there = f"the router of {evidence.target.node}" if to_router else evidence.target.name
        return ok(name, f"ovn-trace: the packet is output to {there}")
    if _is_output_to_wire(trace, evidence):
        return ok(name, "ovn-trace: the packet is output to the physical network")
    if trace.stage.endswith(_ACL_STAGES):
        made = trace.acl or f"the ACL {trace.match}"
        if policies_stop:
            return ok(name, f"ovn-trace: dropped by an ACL of {made}, as policies say")
        seen = f"OVN on {node} drops it by an ACL of {made}, though no policy says so"
        if "not weft's" in made:
            seen = f"OVN on {node} drops it by {made}"
            return fault(name, seen, "remove the ACL: ovn-nbctl --type=switch acl-list SWITCH")
        if any(finding.unseen for finding in evidence.policies):
            seen = f"OVN on {node} drops it by an ACL of {made}"
            return fault(name, seen, "ask somebody who may list policies for the one that denies")
        return fault(name, seen, f"the agent on {node} writes it again; is it up?")
    if trace.port:
        meant = f"the router of {evidence.target.node}" if to_router else evidence.target.port
        seen = f"OVN on {node} outputs the packet to {trace.port} instead of {meant}"
        return fault(name, seen, "do two ports have one MAC or address? weft ip lists them")
    seen = f"OVN on {node} drops the packet in {trace.stage}: {trace.match}"
    return fault(name, seen, f"compare with the rows on {node}: ovn-nbctl show")


def _is_output_to_wire(trace: Trace, evidence: Evidence) -> bool:
    network, source, target = evidence.network, evidence.source, evidence.target
    if isinstance(network, Unseen) or network.topology != LOCALNET or source.node == target.node:
        return False
    return names.localnet_switch_port(network.name) in trace.port.split(", ")


def _datapath(node: str, datapath: Trace, trace: Trace | Unseen) -> Step:
    name = f"Open vSwitch on {node}"
    if datapath.reaches:
        return ok(name, "ofproto/trace: the packet goes on")
    if isinstance(trace, Trace) and not trace.reaches:
        return ok(name, "ofproto/trace: dropped, as OVN says")
    seen = f"Open vSwitch on {node} drops what OVN would forward"
    if not datapath.match:
        remedy = f"restart ovn-controller on {node}, which writes its flows again"
        return fault(name, f"{seen}: it has no flow for it", remedy)
    seen += f", by the flow {datapath.match}"
    return fault(name, seen, f"who added it? ovs-ofctl dump-flows br-int on {node}")
