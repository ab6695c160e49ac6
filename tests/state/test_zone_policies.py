"""Policies, pods and networks in, groups and sets out: as looking at all of them says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface, ip_network
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.allocated import allocated_pod
from tests.support.northbound import Database
from weft import model, names, ranges
from weft.api.pod import Pod
from weft.control.zone import state
from weft.control.zone.objects import AllocatedPod, Namespace
from weft.model import ObjectKey
from weft.ovn import policy as ovn
from weft.ovn import ports, sets
from weft.policy import netpolicy

OWN, CHASSIS = "node1", "chassis-1"

# The world that comes and goes.


def declared(name: str, number: int, topology: model.Topology) -> state.DeclaredNetwork:
    subnets = tuple(map(ip_network, ("10.128.0.0/16", "fd00:128::/48")))
    if topology is model.Topology.LAYER2:
        subnets = ()
    return state.DeclaredNetwork(
        model.Network(model.NetworkSpec(name, topology, 1300, subnets), number)
    )


BLUE = declared("blue", 1, model.Topology.LAYER2)
ROUTED_BLUE = declared("blue", 1, model.Topology.LAYER3)
RED = declared("red", 2, model.Topology.LAYER3)
LOCALNET_RED = declared("red", 2, model.Topology.LOCALNET)
NADS = {
    "one/blue": [BLUE, ROUTED_BLUE, None],
    "two/blue": [BLUE, RED, None],
    "one/red": [RED, LOCALNET_RED, BLUE, None],
}


def allocation(number: int) -> model.Allocation:
    addresses = (f"10.128.2.{number}/24", f"fd00:128::{number:x}/64")
    mac = f"0a:58:00:00:00:{number:02x}"
    return model.Allocation(mac, tuple(map(ip_interface, addresses)), number)


NAMED: list[netpolicy.NamedPorts] = [
    {},
    {(netpolicy.Protocol.TCP, "web"): 80},
    {(netpolicy.Protocol.TCP, "web"): 8080, (netpolicy.Protocol.UDP, "dns"): 53},
]
LABELS: list[dict[str, str]] = [{}, {"app": "a"}, {"app": "b"}, {"app": "a", "tier": "x"}]
# Two share their addresses: one at a time has them.
PODS = {"one/p": (11, 12), "one/q": (21, 22), "two/p": (11, 12), "two/q": (31, 32)}


def made_pod(key: str, node: str, nads: tuple[str, ...], labels: int, named: int) -> AllocatedPod:
    held = {nad: allocation(number) for nad, number in zip(nads, PODS[key], strict=False)}
    ref = model.PodRef(ObjectKey.parse(key), f"uid-{key}")
    return allocated_pod(ref, node, held, labels=LABELS[labels], named=NAMED[named])


def node(name: str, number: int, *networks: str) -> model.NodeInfo:
    subnets = (ip_network(f"10.128.{number}.0/24"), ip_network(f"fd00:128:0:{number}::/64"))
    return model.NodeInfo(
        name,
        f"chassis-{number - 1}",
        (f"192.0.2.{number}",),
        id=number,
        transit=ranges.transit(number),
        subnets=tuple((network, subnets) for network in networks),
    )


NODES = {
    "node1": [node("node1", 2), node("node1", 2, "blue", "red"), None],
    "node2": [node("node2", 3), None],
}
NAMESPACES = [
    None,
    Namespace(),
    Namespace({"team": "a"}),
    Namespace({"team": "b"}, netpolicy.Logging("info", "alert")),
]


def requires(key: str, value: str) -> netpolicy.Selector:
    return netpolicy.Selector((netpolicy.Requirement(key, netpolicy.Operator.IN, (value,)),))


LACKS = netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.NOT_IN, ("a",)),))
SELECTORS = st.sampled_from(
    [netpolicy.EVERYTHING, netpolicy.EVERYTHING, requires("app", "a"), requires("app", "b"), LACKS]
)
TEAMS = st.sampled_from([netpolicy.EVERYTHING, requires("team", "a"), requires("team", "b")])
PEERS = st.one_of(
    st.builds(netpolicy.PodSelector, namespace=st.sampled_from(["one", "two"]), pods=SELECTORS),
    st.builds(netpolicy.PodSelector, namespaces=TEAMS, pods=SELECTORS),
    st.sampled_from(
        [
            netpolicy.IPBlock(ip_network("10.128.0.0/16"), (ip_network("10.128.2.0/24"),)),
            netpolicy.IPBlock(ip_network("10.0.0.0/8"), (ip_network("10.0.0.0/8"),)),
        ]
    ),
)
SERVICES = st.sampled_from(
    [
        netpolicy.PolicyPort(netpolicy.Protocol.TCP, 80),
        netpolicy.PolicyPort(netpolicy.Protocol.UDP),
        netpolicy.PolicyPort(netpolicy.Protocol.TCP, "web"),
        netpolicy.PolicyPort(netpolicy.Protocol.UDP, "dns"),
    ]
)


def some(each: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...] | None]:
    """Both None and nothing, but something mostly."""
    listed = st.lists(each, min_size=1, max_size=2).map(tuple)
    return st.sampled_from([None, ()]) | listed | listed


RULES = st.lists(st.tuples(some(PEERS), some(SERVICES)), max_size=2).map(
    lambda found: tuple(
        netpolicy.Rule(i, peers, services) for i, (peers, services) in enumerate(found)
    )
)
POLICIES = st.builds(
    netpolicy.Policy,
    namespace=st.just("one"),
    name=st.just("x"),
    uid=st.just("u"),
    nads=st.lists(
        st.sampled_from([*map(ObjectKey.parse, NADS), ObjectKey("one", "none")]),
        min_size=1,
        max_size=2,
    ).map(tuple),
    pods=SELECTORS,
    directions=st.sets(st.sampled_from(netpolicy.Direction), min_size=1).map(frozenset),
    ingress=RULES,
    egress=RULES,
    mode=st.sampled_from([netpolicy.Mode.ENFORCE, netpolicy.Mode.ENFORCE, netpolicy.Mode.AUDIT]),
)
POLICY_KEYS = ["one/x", "one/y", "two/x"]
WEB = (netpolicy.PolicyPort(netpolicy.Protocol.TCP, "web"),)
EVERYBODY = netpolicy.PodSelector(namespaces=netpolicy.EVERYTHING)
TEAM_A = netpolicy.PodSelector(namespaces=requires("team", "a"))
# That ask for all there is: names of ports both ways, labels of pods and of namespaces.
BUSY = [
    netpolicy.Policy(
        "one",
        name,
        "u",
        (ObjectKey("one", "blue"), ObjectKey("one", "red")),
        pods,
        frozenset(netpolicy.Direction),
        ingress=(netpolicy.Rule(0, (TEAM_A, EVERYBODY)), netpolicy.Rule(1, (TEAM_A,), WEB)),
        egress=(netpolicy.Rule(0, (netpolicy.PodSelector(pods=requires("app", "a")),), WEB),),
        mode=mode,
    )
    for name, pods, mode in (
        ("busy", requires("app", "a"), netpolicy.Mode.ENFORCE),
        ("watch", netpolicy.EVERYTHING, netpolicy.Mode.AUDIT),
    )
]
Step = tuple[str, str, Any]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from(POLICY_KEYS).flatmap(
        lambda key: st.tuples(
            st.just("policy"),
            st.just(key),
            st.none() | POLICIES.map(lambda p: replace(p, **ObjectKey.parse(key)._asdict())),
        )
    ),
    st.sampled_from(sorted(PODS)).flatmap(
        lambda key: st.tuples(
            st.just("pod"),
            st.just(key),
            st.none()
            | st.builds(
                made_pod,
                st.just(key),
                st.sampled_from([OWN, OWN, "node2"]),
                st.sampled_from([("one/blue",), ("two/blue", "one/red"), ("one/blue", "one/red")]),
                st.integers(0, len(LABELS) - 1),
                st.integers(0, len(NAMED) - 1),
            ),
        )
    ),
    st.sampled_from(sorted(NADS)).flatmap(
        lambda key: st.tuples(st.just("nad"), st.just(key), st.sampled_from(NADS[key]))
    ),
    st.tuples(st.just("namespace"), st.sampled_from(["one", "two"]), st.sampled_from(NAMESPACES)),
    st.sampled_from(sorted(NODES)).flatmap(
        lambda key: st.tuples(st.just("node"), st.just(key), st.sampled_from(NODES[key]))
    ),
)
# Where most of what there is is there already, so that a few steps are enough to meet.
BEGINNING: list[Step] = [
    ("nad", "one/blue", BLUE),
    ("nad", "two/blue", BLUE),
    ("nad", "one/red", RED),
    ("node", OWN, NODES[OWN][1]),
    ("node", "node2", NODES["node2"][0]),
    ("namespace", "one", NAMESPACES[2]),
    ("namespace", "two", NAMESPACES[3]),
    ("pod", "one/p", made_pod("one/p", OWN, ("one/blue", "one/red"), 1, 1)),
    ("pod", "one/q", made_pod("one/q", OWN, ("one/blue",), 3, 0)),
    ("pod", "two/p", made_pod("two/p", "node2", ("one/blue",), 1, 2)),
]


def play(zone: state.Zone, step: Step) -> None:
    kind, key, what = step
    setters: dict[str, Callable[[Any, Any], None]] = {
        "policy": zone.policies.set_policy,
        "qos": zone.policies.set_qos,
        "namespace": zone.set_namespace,
        "pod": zone.set_pod,
        "nad": zone.set_nad,
        "node": zone.set_node,
    }
    setters[kind](ObjectKey.parse(key) if "/" in key else key, what)


def zone(steps: Iterable[Step] = ()) -> state.Zone:
    made = state.Zone(OWN, CHASSIS)
    for step in steps:
        play(made, step)
    return made


def fresh(made: state.Zone) -> Database:
    database = Database()
    database.apply(made.desired()[0])
    return database


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([BUSY, BUSY[1:]]) | st.lists(POLICIES, max_size=3),
    st.lists(st.tuples(STEPS, st.booleans()), min_size=2, max_size=25),
    st.randoms(use_true_random=False),
)
def test_any_way_to_the_same_objects_ends_in_the_same_rows(
    first: list[netpolicy.Policy], picks: list[tuple[Any, bool]], random: Random
) -> None:
    live, database = zone(), Database()
    steps = [(step, False) for step in BEGINNING]
    named = [replace(each, name=str(number)) for number, each in enumerate(first)]
    steps += [(("policy", str(each.key), each), False) for each in named]
    steps += picks
    for step, flush in steps:
        play(live, step)
        if flush:
            rows_by_kind = live.changes()
            database.apply(rows_by_kind.nb, rows_by_kind.nb_gone)
            assert database.rows == fresh(live).rows
            assert len(live) == 0
    rows_by_kind = live.changes()
    database.apply(rows_by_kind.nb, rows_by_kind.nb_gone)
    assert database.rows == fresh(live).rows
    last = list({(step[0], step[1]): step for step, _ in steps}.values())
    random.shuffle(last)
    assert fresh(zone(last)).rows == database.rows
    check(Looked(last), database)


# What looking at everybody says.


@dataclass
class Looked:
    """The same objects, and every question answered from all of them."""

    steps: list[Step]
    rows_by_kind: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, key, what in self.steps:
            if what is not None:
                self.rows_by_kind.setdefault(kind, {})[key] = what

    def every(self, kind: str) -> Mapping[str, Any]:
        return self.rows_by_kind.get(kind, {})

    def network(self, nad: ObjectKey | str) -> str:
        found = self.every("nad").get(str(nad))
        return found.network.name if found else ""

    def attachments(self, network: str) -> Iterator[tuple[Pod, str, model.Allocation]]:
        """Of two that were given the same, the first by name has it."""
        taken = set()
        for pod, key, held in self.claims(network):
            if held not in taken:
                yield pod, names.logical_port(key, pod.ref.namespace, pod.ref.name), held
            taken.add(held)

    def claims(self, network: str) -> list[tuple[Pod, str, model.Allocation]]:
        found = [
            (each.pod, key, held)
            for each in self.every("pod").values()
            for key, held in each.allocations.items()
            if self.network(key) == network
        ]
        return sorted(found, key=lambda each: (each[0].ref.key, each[1]))

    def chosen(self, members: netpolicy.PodSelector, pod: Pod) -> bool:
        if not members.pods.matches(pod.labels):
            return False
        if members.namespace:
            return members.namespace == pod.ref.namespace
        namespace = self.every("namespace").get(pod.ref.namespace)
        if namespace is None:
            return members.namespaces == netpolicy.EVERYTHING
        return members.namespaces.matches(namespace.labels)

    def selecting(self, pod: Pod, network: str) -> list[netpolicy.Policy]:
        return [
            each
            for each in self.every("policy").values()
            if each.namespace == pod.ref.namespace
            and each.pods.matches(pod.labels)
            and network in {self.network(nad) for nad in each.nads}
        ]

    def isolated(self, pod: Pod, network: str) -> set[netpolicy.Direction]:
        found = self.selecting(pod, network)
        return {d for each in found if each.mode is netpolicy.Mode.ENFORCE for d in each.directions}


def check(looked: Looked, database: Database) -> None:
    """Each port that is there is in just the groups and sets that it belongs to."""
    there = database.of(ports.PORT)
    for network in ("blue", "red"):
        for pod, name, _ in looked.attachments(network):
            if name in there and pod.node == OWN:
                check_port(looked, database, pod, name, network)
    for acl in database.of("ACL").values():
        for name in re.findall(r"\$(\w+)", acl["match"]):
            assert name in database.of(sets.SET), "an ACL names a set that is not there"
    for each in looked.every("policy").values():
        for network in {looked.network(nad) for nad in each.nads} - {""}:
            check_sets(looked, database, each, network)


def check_port(looked: Looked, database: Database, pod: Pod, name: str, network: str) -> None:
    isolated = looked.isolated(pod, network)
    selecting = looked.selecting(pod, network)
    for direction in netpolicy.Direction:
        deny = ovn.Group(ovn.GroupKind.DENY, network, pod.ref.namespace, direction)
        audit = replace(deny, kind=ovn.GroupKind.AUDIT)
        watched = any(direction in each.directions for each in selecting)
        assert (name in (database.group(deny) or ())) == (direction in isolated)
        assert (name in (database.group(audit) or ())) == (watched and direction not in isolated)
        for key, each in looked.every("policy").items():
            group = ovn.Group(
                ovn.GroupKind.POLICY, network, key.split("/")[0], direction, each.name
            )
            counts = each in selecting and direction in each.directions and each.rules(direction)
            if each.mode is netpolicy.Mode.AUDIT:
                counts = counts and direction not in isolated
            assert (name in (database.group(group) or ())) == bool(counts)


def check_sets(looked: Looked, database: Database, each: netpolicy.Policy, network: str) -> None:
    """The sets of peers hold the addresses of all whom they mean, and are there if needed."""
    bound = [
        pod
        for pod, name, _ in looked.attachments(network)
        if pod.node == OWN
        and each in looked.selecting(pod, network)
        and name in database.of(ports.PORT)
        and any(
            each.rules(d)
            and (each.mode is netpolicy.Mode.ENFORCE or d not in looked.isolated(pod, network))
            for d in each.directions
        )
    ]
    if not bound:
        return
    for direction in each.directions:
        for rule in each.rules(direction):
            for peer in rule.peers or ():
                if isinstance(peer, netpolicy.PodSelector) and rule.ports is None:
                    made = sets.AddressSet(network, peer)
                    found: set[str] = set()
                    for suffix in ("", "_v4", "_v6"):
                        row = database.rows.get((sets.SET, made.name + suffix))
                        found |= row["addresses"] if row else set()
                    meant = set()
                    for pod, _, held in looked.attachments(network):
                        if looked.chosen(peer, pod):
                            meant |= {held.mac, *(str(a.ip) for a in held.addresses)}
                    macs = {
                        address for address in meant if address.count(":") == 5 and "58" in address
                    }
                    assert found in (macs, meant - macs)
