"""The sentence for each fault that the other tests inject: who stops it, and what to change."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from tests.support.explained import (
    SILENT,
    end,
    evidence,
    used,
    with_port,
    with_zone,
    zone,
)
from weft.observe.explain import sentence
from weft.observe.explain.evidence import (
    DropCount,
    EndKind,
    Evidence,
    InterfaceFacts,
    NetworkFacts,
    NodeState,
    PolicyFinding,
    PolicyLine,
    Probe,
    Trace,
    Unseen,
)
from weft.observe.explain.sentence import Outcome
from weft.observe.explain.step import Verdict
from weft.observe.reach import ProbeResult
from weft.policy import netpolicy

HTTPS = netpolicy.Connection(netpolicy.Protocol.TCP, 443)
FREE = PolicyFinding(netpolicy.Direction.EGRESS)
LOCALNET = NetworkFacts(
    "dmz", "localnet", (ip_network("10.9.0.0/24"),), 1500, 20, "physnet", ("node1", "node2")
)


def machine(**changes: Any) -> Any:
    return replace(end("b", "node2", "10.9.0.2", EndKind.MACHINE), **changes)


def denied(direction: netpolicy.Direction) -> tuple[PolicyFinding, PolicyFinding]:
    section = f"spec.{direction.lower()}"
    finding = PolicyFinding(
        direction,
        ("default/web",),
        passes=False,
        line=PolicyLine(f"{section}[0].ports", 19, "ports:"),
        change=f"add TCP port 443 to {section}[0].ports of default/web",
    )
    if direction is netpolicy.Direction.EGRESS:
        return finding, PolicyFinding(netpolicy.Direction.INGRESS)
    return FREE, finding


def test_a_way_without_fault() -> None:
    found = sentence.explain(evidence(HTTPS))
    assert found.outcome is Outcome.REACHES
    assert found.sentence == "default/a reaches default/b by TCP port 443 on blue."
    assert {step.verdict for step in found.steps} == {"ok"}


STOPPED: dict[str, tuple[Evidence, str]] = {
    "ingress policy": (
        evidence(HTTPS, policies=denied(netpolicy.Direction.INGRESS), probe=SILENT),
        "policy default/web isolates default/b (Ingress), and no rule allows TCP port 443; "
        "add TCP port 443 to spec.ingress[0].ports of default/web (line 19: ports:)",
    ),
    "egress policy": (
        evidence(HTTPS, policies=denied(netpolicy.Direction.EGRESS), probe=SILENT),
        "policy default/web isolates default/a (Egress), and no rule allows TCP port 443; "
        "add TCP port 443 to spec.egress[0].ports of default/web (line 19: ports:)",
    ),
    "port security": (
        evidence(used={"source": used("10.9.0.99/24")}, probe=SILENT),
        "default/a uses 10.9.0.99/24, but was given 10.9.0.1/24: OVN drops what it sends "
        "(port security); set 10.9.0.1/24 there",
    ),
    "port security altered in OVN": (
        evidence(nodes=with_port("node1", "a", security=("0a:58:0a:09:00:63",)), probe=SILENT),
        "OVN lets default/a send from 0a:58:0a:09:00:63, not from 0a:58:0a:09:00:01 10.9.0.1/24; "
        "the agent on node1 writes it again",
    ),
    "guest without address": (
        evidence(target=machine(), used={"target": used("fe80::1/64")}, probe=SILENT),
        "default/b has no address: it was given 10.9.0.2/24; let it ask by DHCP, or set "
        "10.9.0.2/24 on the interface with MAC 0a:58:0a:09:00:02",
    ),
    "wrong netmask": (
        evidence(used={"source": used("10.9.0.1/32")}, probe=SILENT),
        "default/a has 10.9.0.1/32, a subnet without 10.9.0.2 (wrong prefix length); "
        "set 10.9.0.1/24 there",
    ),
    "interface down in the guest": (
        evidence(used={"target": used("10.9.0.2/24", is_up=False)}, probe=SILENT),
        "default/b has its interface down; bring it up in the guest",
    ),
    "link state down": (
        evidence(target=machine(link_state="down"), probe=SILENT),
        "the link of default/b's interface is down; "
        "set state: up at the interface in the VirtualMachine",
    ),
    "binding lost": (
        evidence(nodes=with_port("node1", "b", bound=""), probe=SILENT),
        "OVN on node1 has bound the port of default/b to no node, not to node2; "
        "the agent on node1 mends it within seconds, or its log says why not; is ovn-northd up "
        "there?",
    ),
    "bound elsewhere": (
        evidence(nodes=with_port("node1", "b", bound="c3"), probe=SILENT),
        "OVN on node1 has bound the port of default/b to another node, not to node2; "
        "the agent on node1 mends it within seconds, or its log says why not; is ovn-northd up "
        "there?",
    ),
    "not bound by its own node": (
        evidence(nodes=with_port("node2", "b", bound=""), probe=SILENT),
        "ovn-controller on node2 has not bound the port of default/b; "
        "is ovn-controller up on node2, and its chassis c2?",
    ),
    "OVS port lost": (
        evidence(nodes=with_port("node2", "b", interface=None), probe=SILENT),
        "Open vSwitch on node2 has no interface for default/b; the agent on node2 mends it within "
        "seconds, or its log says why not; restart the pod if it stays so",
    ),
    "a port's id at another interface": (
        evidence(
            nodes=with_port("node2", "b", interface=InterfaceFacts("wpb", 5, rival="tap0")),
            probe=SILENT,
        ),
        "Open vSwitch on node2 has tap0, which has the id of default/b's port and is not weft's; "
        "remove it: ovs-vsctl del-port tap0",
    ),
    "flows not installed": (
        evidence(nodes=with_port("node1", "a", interface=InterfaceFacts("wpa", 5)), probe=SILENT),
        "the flows of default/a are not in place on node1 (no ovn-installed); "
        "is ovn-controller up on node1?",
    ),
    "port lost in OVN": (
        evidence(nodes=with_port("node2", "b", exists=False), probe=SILENT),
        "OVN on node2 has no port for default/b; the agent on node2 mends it within seconds, or "
        "its log says why not",
    ),
    "northd stopped": (
        evidence(nodes=with_port("node2", "b", has_binding=False), probe=SILENT),
        "northd on node2 has not made the port of default/b; is ovn-northd up on node2?",
    ),
    "tunnel down": (
        evidence(nodes=with_zone("node2", tunnels={"172.31.1.11": False}), probe=SILENT),
        "node1 does not answer node2 through the tunnel; "
        "check the underlay between node2 and node1, UDP port 6081 both ways, and whether weft's "
        "agent runs on node1",
    ),
    "tunnel missing": (
        evidence(nodes=with_zone("node1", tunnels={}), probe=SILENT),
        "Open vSwitch on node1 has no tunnel to node2; is ovn-controller up on node1?",
    ),
    "tunnel missing, so that the switch drops it": (
        evidence(
            nodes=with_zone("node1", tunnels={}, datapath=Trace(False, match="priority 0")),
            probe=SILENT,
        ),
        "Open vSwitch on node1 has no tunnel to node2; is ovn-controller up on node1?",
    ),
    "tunnel down by the Node's condition": (
        evidence(
            nodes={},
            states={
                "node1": NodeState(True, "c1", "node2 is not answering over the underlay"),
                "node2": NodeState(True, "c2", ""),
            },
            probe=SILENT,
        ),
        "node node1 says: node2 is not answering over the underlay; "
        "check the underlay between node1 and node2, UDP port 6081 both ways, and whether weft's "
        "agent runs on node2",
    ),
    "node not ready": (
        evidence(
            states={"node1": NodeState(True, "c1", ""), "node2": NodeState(False, "c2", "")},
            probe=SILENT,
        ),
        "node node2 is not Ready; kubectl describe node node2",
    ),
    "another's ACL": (
        evidence(
            nodes=with_zone(
                "node2",
                trace=Trace(False, "ls_out_acl_eval", "ip4", "ACL 'mine', which is not weft's"),
            ),
            probe=SILENT,
        ),
        "OVN on node2 drops it by ACL 'mine', which is not weft's; "
        "remove the ACL: ovn-nbctl --type=switch acl-list SWITCH",
    ),
    "dropped in OVN": (
        evidence(
            nodes=with_zone("node1", trace=Trace(False, "ls_in_l2_unknown", "outport == none")),
            probe=SILENT,
        ),
        "OVN on node1 drops the packet in ls_in_l2_unknown: outport == none; "
        "compare with the rows on node1: ovn-nbctl show",
    ),
    "one MAC twice": (
        evidence(
            nodes=with_zone("node1", trace=Trace(False, "ls_out", "1", port="other")), probe=SILENT
        ),
        "OVN on node1 outputs the packet to other instead of default.blue_default_b; "
        "do two ports have one MAC or address? weft ip lists them",
    ),
    "dropped in Open vSwitch alone": (
        evidence(
            nodes=with_zone("node1", datapath=Trace(False, match="in_port=5, priority 60000")),
            probe=SILENT,
        ),
        "Open vSwitch on node1 drops what OVN would forward, by the flow in_port=5, priority "
        "60000; who added it? ovs-ofctl dump-flows br-int on node1",
    ),
    "no flows in Open vSwitch": (
        evidence(nodes=with_zone("node2", datapath=Trace(False)), probe=SILENT),
        "Open vSwitch on node2 drops what OVN would forward: it has no flow for it; restart "
        "ovn-controller on node2, which writes its flows again",
    ),
    "dropped by a foreign flow while the probe ran": (
        evidence(
            probe=SILENT,
            drops={"node2": (DropCount("table=0, priority=50000,icmp", 2, is_foreign=True),)},
        ),
        "a flow that is not OVN's dropped 2 packets in br-int on node2: table=0, "
        "priority=50000,icmp; remove it: ovs-ofctl --strict del-flows br-int on node2",
    ),
    "guest firewall": (
        evidence(target=machine(), probe=replace(SILENT, arrived=True)),
        "the packet arrives at default/b's NIC, and the guest does not answer: it has a firewall "
        "that drops it, or no route back; look at nft list ruleset, ip route and ip addr in "
        "default/b",
    ),
    "the source's own firewall": (
        evidence(
            source=end("a", "node1", "10.9.0.1", EndKind.MACHINE), probe=replace(SILENT, left=False)
        ),
        "the packet never leaves default/a: a firewall or route in the guest, or no answer to its "
        "ARP for default/b; look at ip route, ip neigh and nft list ruleset in default/a",
    ),
    "nothing explains it": (
        evidence(probe=SILENT),
        "nothing that was seen explains it; weft support-bundle collects more",
    ),
    "no bridge mapping": (
        evidence(network=replace(LOCALNET, name="blue", mapped=("node1",)), probe=SILENT),
        "node node2 has no bridge mapping for physical network physnet; "
        "add physnet:BRIDGE to ovn-bridge-mappings in Open vSwitch there",
    ),
    "wrong VLAN": (
        evidence(network=replace(LOCALNET, name="blue"), probe=SILENT),
        "nothing that node1 sends arrives on node2: the physical network physnet does not carry "
        "VLAN 20 between them; check the VLANs of the switch ports of node1 and node2",
    ),
    "on another network": (
        evidence(
            network=Unseen("they share none"),
            target=machine(networks=("red",), member=None),
            probe=SILENT,
        ),
        "they share no network: default/a is on blue; default/b is on red; name one network in "
        "k8s.v1.cni.cncf.io/networks of both, and restart them",
    ),
    "no allocation": (
        evidence(
            target=replace(
                end("b", "node2", "10.9.0.2"),
                member=None,
                trouble="has no address and MAC on it yet: no address is free",
                remedy="kubectl describe pod b -n default",
            ),
            probe=SILENT,
        ),
        "default/b has no address and MAC on it yet: no address is free; "
        "kubectl describe pod b -n default",
    ),
    "a stopped machine": (
        evidence(
            target=machine(
                node="", networks=(), member=None, trouble="is stopped", remedy="virtctl start b"
            ),
            probe=SILENT,
        ),
        "virtual machine default/b is stopped; virtctl start b",
    ),
}


@pytest.mark.parametrize("name", STOPPED)
def test_who_stops_it_and_what_to_change(name: str) -> None:
    found = sentence.explain(STOPPED[name][0])
    sent = "TCP port 443" if STOPPED[name][0].connection.protocol else "ping"
    on = " on blue" if isinstance(STOPPED[name][0].network, NetworkFacts) else ""
    whole = f"default/a does not reach default/b by {sent}{on}: {STOPPED[name][1]}."
    assert found.sentence.partition(" (not seen")[0].rstrip(".") + "." == whole
    assert found.outcome is Outcome.STOPPED
    assert found.cause


BLIND = Unseen("packets are sent in a lab only")


@pytest.mark.parametrize(
    "security",
    [
        (),
        ("0a:58:0a:09:00:01",),
        ("0a:58:0a:09:00:01 10.9.0.1/24 10.9.0.99",),
        ("0a:58:0a:09:00:01 10.9.0.1/24 10.9.0.64/26 fe80::/64",),
    ],
    ids=str,
)
def test_a_source_may_use_another_address_where_port_security_lets_it(security: Any) -> None:
    source = replace(end("a", "node1", "10.9.0.1"), security=security)
    nodes = with_port("node1", "a", security=security)
    given = evidence(source=source, used={"source": used("10.9.0.99/24")}, nodes=nodes, probe=BLIND)
    found = sentence.explain(given)
    assert found.outcome is Outcome.UNKNOWN
    (step,) = (step for step in found.steps if step.name == "source address")
    assert step.verdict is Verdict.NOTE
    assert step.seen == (
        "default/a uses 10.9.0.99/24, but was given 10.9.0.1/24; port security lets it send"
    )


@pytest.mark.parametrize(
    "security",
    [
        ("0a:58:0a:09:00:63 10.9.0.99", "0a:58:0a:09:00:01 10.9.0.1/24"),  # a pair's other MAC
        ("0a:58:0a:09:00:01 10.9.0.1/24 fe80::/64",),
        ("0a:58:0a:09:00:01 10.9.0.1/24 10.9.0.98/26",),  # with host bits: that address alone
    ],
    ids=str,
)
def test_a_source_that_port_security_does_not_let_send_is_stopped_by_it(security: Any) -> None:
    source = replace(end("a", "node1", "10.9.0.1"), security=security)
    nodes = with_port("node1", "a", security=security)
    given = evidence(source=source, used={"source": used("10.9.0.99/24")}, nodes=nodes, probe=BLIND)
    found = sentence.explain(given)
    assert (found.outcome, found.cause) == (Outcome.STOPPED, "source address")
    assert "OVN drops what it sends (port security)" in found.sentence


def test_a_target_without_its_given_address_does_not_answer_there() -> None:
    target = replace(end("b", "node2", "10.9.0.2"), security=())
    nodes = {
        node: replace(
            each, ports={name: replace(port, security=()) for name, port in each.ports.items()}
        )
        for node, each in ((node, zone(node)) for node in ("node1", "node2"))
    }
    given = evidence(target=target, used={"target": used("10.9.0.99/24")}, nodes=nodes, probe=BLIND)
    found = sentence.explain(given)
    assert found.cause == "target address"
    assert "default/b uses 10.9.0.99/24, but was given 10.9.0.2/24; set 10.9.0.2/24" in (
        found.sentence
    )


def test_a_node_that_is_not_ready_may_carry_packets_and_hides_nothing() -> None:
    """Its kubelet may be down, and Open vSwitch go on."""
    states = {"node1": NodeState(True, "c1", ""), "node2": NodeState(False, "c2", "")}
    assert sentence.explain(evidence(states=states, probe=BLIND)).outcome is Outcome.UNKNOWN
    policies = denied(netpolicy.Direction.INGRESS)
    found = sentence.explain(evidence(HTTPS, states=states, policies=policies, probe=BLIND))
    assert found.cause == "ingress policies"
    (step,) = (step for step in found.steps if step.name == "node node2")
    assert (step.verdict, step.seen) == (Verdict.NOTE, "node node2 is not Ready")


def test_bridge_mappings_that_may_not_be_read_are_not_seen() -> None:
    states = dict.fromkeys(("node1", "node2"), Unseen("you may not list nodes"))
    network = replace(LOCALNET, name="blue", mapped=())
    found = sentence.explain(evidence(states=states, network=network, probe=BLIND))
    (step,) = (step for step in found.steps if step.name == "physical network physnet")
    assert (step.verdict, step.seen) == (Verdict.UNSEEN, "you may not list nodes")
    assert "physical network physnet" in found.sentence


def test_large_packets_that_are_lost_are_no_way_through() -> None:
    lost = Probe(ProbeResult.ANSWERED, full=ProbeResult.SILENT, size=1400)
    found = sentence.explain(evidence(probe=lost))
    assert found.outcome is Outcome.STOPPED
    assert found.cause == "MTU"
    assert found.sentence.startswith(
        "default/a does not reach default/b by large packets on blue: "
        "packets of 1400 bytes, the network's MTU, are lost; small ones pass; raise the MTU"
    )


def test_what_reaches_although_something_is_wrong_says_both() -> None:
    found = sentence.explain(evidence(HTTPS, policies=denied(netpolicy.Direction.INGRESS)))
    assert found.outcome is Outcome.REACHES
    assert found.sentence == (
        "default/a reaches default/b by TCP port 443 on blue, although policy default/web isolates "
        "default/b (Ingress), and no rule allows TCP port 443."
    )


def test_what_was_not_seen_is_said_and_never_guessed() -> None:
    blind = evidence(
        probe=Unseen("nothing was sent"),
        nodes={},
        used={},
        states={node: NodeState(True, "c", None) for node in ("node1", "node2")},
    )
    found = sentence.explain(blind)
    assert found.outcome is Outcome.UNKNOWN
    assert found.sentence.startswith(
        "Nothing that was seen stops ping from default/a to default/b on blue, but that it does "
        "was not seen (not seen: "
    )
    for reason in ("nothing was sent", "nobody asked the guest", "nobody asked the node"):
        assert reason in found.sentence


def test_silence_in_a_tunnel_is_not_the_cause_where_a_drop_was_seen() -> None:
    """The agent of that node may be down, and the ACL would still drop the packet."""
    acl = Trace(False, "ls_out_acl_eval", "ip4", "ACL 'mine', which is not weft's")
    nodes = {
        **with_zone("node2", trace=acl),
        "node1": zone("node1", tunnels={"172.31.1.12": False}),
    }
    assert sentence.explain(evidence(nodes=nodes, probe=SILENT)).cause == "OVN on node2"


def test_a_fault_that_is_declared_needs_no_probe() -> None:
    blind = evidence(
        HTTPS,
        policies=denied(netpolicy.Direction.INGRESS),
        probe=Unseen("nothing was sent"),
        nodes={},
    )
    assert sentence.explain(blind).outcome is Outcome.STOPPED


def test_a_datagram_without_an_answer_proves_nothing() -> None:
    udp = netpolicy.Connection(netpolicy.Protocol.UDP, 53)
    by = "sent in default/a's name by the switch of node1"
    silent = Probe(ProbeResult.SILENT, by=by)
    found = sentence.explain(evidence(udp, probe=silent))
    assert found.outcome is Outcome.UNKNOWN
    assert found.sentence == (
        "Nothing that was seen stops UDP port 53 from default/a to default/b on blue, but that it "
        f"does was not seen (not seen: probe (UDP port 53 ({by}): nothing came back, which says "
        "nothing: a program that takes datagrams need not answer))."
    )
    looked = sentence.explain(evidence(udp, probe=replace(silent, arrived=False, by="")))
    assert looked.outcome is Outcome.STOPPED
    dropped = {"node2": (DropCount("table=0, priority=50000,udp", 2, is_foreign=True),)}
    assert sentence.explain(evidence(udp, probe=silent, drops=dropped)).outcome is Outcome.STOPPED
