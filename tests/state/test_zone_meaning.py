"""Whatever happens in a cluster, the rows of its zones let pass just what the policies say.

Two zones follow the same policies, labels, pods and NADs as they change. After each change
every connection is judged twice: by the reference, and by reading the ACLs that the zones' rows
have come to. A zone is begun anew now and then, with the rows that are there.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface, ip_network
from random import Random
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import matching, policysets, policyworld
from tests.support.allocated import allocated_pod
from tests.support.northbound import Database, Replica
from tests.support.policyworld import BARE, FLAT, ROUTED
from weft import model, names, ranges
from weft.control.zone import admission, state, writer
from weft.control.zone.objects import Namespace
from weft.migration import Connection
from weft.model import ObjectKey
from weft.ovn import policy as ovn
from weft.ovn import ports, sets, tables
from weft.ovsdb import replica
from weft.policy import evaluator, netpolicy
from weft.policy.netpolicy import Direction

SUBNETS = {FLAT: ("10.10.0.0/16", "fd10::/64"), BARE: (), ROUTED: ("10.20.0.0/16", "fd20::/48")}
NODES = {
    name: model.NodeInfo(
        name,
        f"chassis-{name}",
        (f"192.0.2.{number}",),
        id=number + 1,
        transit=ranges.transit(number + 1),
        subnets=(
            (ROUTED, (ip_network(f"10.20.{number}.0/24"), ip_network(f"fd20:0:0:{number}::/64"))),
        ),
    )
    for number, name in enumerate(("node1", "node2"), 1)
}
End = tuple[policyworld.Pod, str, policyworld.Nic, str]
# ACLs as a port of a node meets them.
Gates = dict[tuple[Direction, str], list[dict[str, Any]]]
_OVN = {Direction.EGRESS: "from-lport", Direction.INGRESS: "to-lport"}


def declared(network: str) -> state.DeclaredNetwork:
    topology = model.Topology.LAYER3 if network == ROUTED else model.Topology.LAYER2
    subnets = tuple(map(ip_network, SUBNETS[network]))
    number = list(SUBNETS).index(network) + 1
    return state.DeclaredNetwork(
        model.Network(model.NetworkSpec(network, topology, 1300, subnets), number)
    )


def busy(namespace: str) -> netpolicy.Policy:
    """Asks for all there is: ports by name, and everybody by what they are."""
    named = tuple(netpolicy.PolicyPort(*each) for each in dict.fromkeys(policysets.PORT_NAMES))
    everybody, neighbours = netpolicy.PodSelector(), netpolicy.PodSelector(namespace)
    rules = netpolicy.Rule(0, (neighbours,), named), netpolicy.Rule(1, (everybody,), named[:2])
    return netpolicy.Policy(
        namespace,
        "busy",
        "",
        tuple(policyworld.NETWORKS),
        netpolicy.EVERYTHING,
        frozenset(Direction),
        ingress=rules,
        egress=rules,
    )


@dataclass
class Site:
    """One node: its zone, and the rows that came of it."""

    node: str
    zone: state.Zone = field(init=False)
    database: Database = field(default_factory=Database)

    def __post_init__(self) -> None:
        self.zone = state.Zone(self.node, NODES[self.node].chassis)

    def write(self) -> None:
        partial = self.zone.changes()
        self.database.apply(partial.nb, partial.nb_gone)

    def compare(self) -> None:
        """As a writer does that has only just been started."""
        desired, _ = self.zone.desired()
        self.zone.forget_changes()
        there = cast(replica.Replica, Replica(self.database))
        strays = tuple(writer._strays(there, desired))
        gone = tuple(writer._stale(there, tables.NB, desired))
        self.database.apply((*strays, *desired), gone)


NADS = tuple(policyworld.NETWORKS)


@dataclass
class Cluster:
    """What there is, and the zones that are told of it. `picks` decides what comes next."""

    picks: Random
    world: policyworld.World = field(default_factory=policyworld.imagined)
    policies: dict[ObjectKey, netpolicy.Policy] = field(default_factory=dict)
    networks: dict[ObjectKey, str] = field(default_factory=lambda: dict(policyworld.NETWORKS))
    mended: dict[ObjectKey, netpolicy.Policy] = field(
        default_factory=dict
    )  # those that a slip has broken
    gone: set[str] = field(default_factory=set)  # pods
    uids: dict[str, int] = field(default_factory=dict)  # of pods that were made again
    sites: dict[str, Site] = field(default_factory=lambda: {name: Site(name) for name in NODES})

    def __post_init__(self) -> None:
        for site in self.sites.values():
            self._set_all(site)

    def happen(self) -> None:
        """One more change, of whatever kind."""
        kinds = [self._police] * 3 + [self._slip] * 6 + [self._relabel] * 3
        kinds += [self._move, self._come_or_go, self._rename] + [self._restart] * 2
        kinds += [self._remember]
        self.picks.choice(kinds)()

    # Changes

    def _police(self) -> None:
        made = policysets.policy(self.picks, self.world)
        if self.picks.random() < 0.4:
            made = busy(made.namespace)
        if len(self.policies) > 3:
            self._set_policy(self.picks.choice(list(self.policies)), None)
        else:
            self._set_policy(made.key, made)

    def _slip(self) -> None:
        """An edit after which one rule means nobody or nothing; or its mending."""
        policy = self.picks.choice([*self.policies.values(), None])
        if policy is None:
            return
        if before := self.mended.pop(policy.key, None):
            self._set_policy(policy.key, before)
            return
        name = self.picks.choice(("ingress", "egress"))
        rules = list(getattr(policy, name))
        if rules:
            place = self.picks.randrange(len(rules))
            part: dict[str, Any] = {self.picks.choice(("peers", "ports")): ()}
            rules[place] = replace(rules[place], **part)
            edited: dict[str, Any] = {name: tuple(rules)}
            self._set_policy(policy.key, replace(policy, **edited))
            self.mended[policy.key] = policy

    def _relabel(self) -> None:
        self.world = policysets.relabel(self.picks, self.world)
        for name in self.world.namespaces:
            self._set_namespace(name)
        self._set_pods()

    def _move(self) -> None:
        """A pod is deleted and made again under its name, perhaps on another node."""
        place = self.picks.randrange(len(self.world.pods))
        pods = list(self.world.pods)
        pods[place] = replace(
            pods[place],
            node=self.picks.choice(list(NODES)),
            ports=self.picks.choice(pods).ports,
        )
        labels = self.world.namespaces
        self.world = replace(policyworld.imagined(tuple(pods)), namespaces=labels)
        key = pods[place].key
        self.uids[key] = self.uids.get(key, 0) + 1
        self._set_pods()

    def _come_or_go(self) -> None:
        self.gone ^= {self.picks.choice(self.world.pods).key}
        self._set_pods()

    def _rename(self) -> None:
        """A NAD goes, comes back, or is of another network from now on."""
        nad = self.picks.choice(NADS[:3])
        if nad in self.networks and self.picks.random() < 0.7:
            del self.networks[nad]
        else:
            self.networks[nad] = self.picks.choice((FLAT, BARE))
        for site in self.sites.values():
            self._set_nad(site, nad)

    def _remember(self) -> None:
        """What NADs stand for is noted on the policies that name them."""
        for policy in list(self.policies.values()):
            known = {**dict(policy.last_networks), **self.networks}
            kept = tuple((each, known[each]) for each in policy.nads if each in known)
            self._set_policy(policy.key, replace(policy, last_networks=kept))

    def _restart(self) -> None:
        """What happens while a zone is away is in the objects alone."""
        away = self.sites.pop(self.picks.choice(list(NODES)))
        for _ in range(self.picks.randrange(4)):
            self.picks.choice([self._police, self._slip, self._relabel, self._move])()
        self.sites[away.node] = site = Site(away.node, away.database)
        self._set_all(site)
        site.compare()

    # What the zones get

    def _set_all(self, site: Site) -> None:
        partial, zone = functools.partial, site.zone
        calls = [partial(zone.set_node, *each) for each in NODES.items()]
        calls += [partial(self._set_namespace, name, site) for name in self.world.namespaces]
        calls += [partial(self._set_nad, site, nad) for nad in self.networks]
        calls += [partial(self._set_pod, site, pod) for pod in self.world.pods]
        calls += [partial(zone.policies.set_policy, *each) for each in self.policies.items()]
        self.picks.shuffle(calls)
        for call in calls:
            call()

    def _set_policy(self, key: ObjectKey, policy: netpolicy.Policy | None) -> None:
        self.mended.pop(key, None)
        if policy is None:
            del self.policies[key]
        else:
            self.policies[key] = policy
        for site in self.sites.values():
            site.zone.policies.set_policy(key, policy)

    def _set_namespace(self, name: str, *sites: Site) -> None:
        for site in sites or self.sites.values():
            site.zone.set_namespace(name, Namespace(self.world.namespaces[name]))

    def _set_nad(self, site: Site, nad: ObjectKey) -> None:
        network = self.networks.get(nad)
        site.zone.set_nad(nad, declared(network) if network else None)

    def _set_pods(self) -> None:
        for site, pod in itertools.product(self.sites.values(), self.world.pods):
            self._set_pod(site, pod)

    def _set_pod(self, site: Site, pod: policyworld.Pod) -> None:
        if pod.key in self.gone:
            site.zone.set_pod(ObjectKey.parse(pod.key), None)
            return
        held = {}
        for nad in self.attachments(pod):
            nic = self.world.nics[pod.key, policyworld.DECLARED_NADS[nad]]
            number = int(nic.addresses[0].packed[-1])
            addresses = () if nad == "red/bare" else nic.addresses
            prefixed = tuple(
                ip_interface(f"{address}/{24 if address.version == 4 else 64}")
                for address in addresses
            )
            held[nad] = model.Allocation(nic.mac, prefixed, number)
        key = ObjectKey.parse(pod.key)
        ref = model.PodRef(key, f"uid-{self.uids.get(pod.key, 0)}")
        site.zone.set_pod(
            key, allocated_pod(ref, pod.node, held, labels=pod.labels, named=pod.ports)
        )

    @staticmethod
    def attachments(pod: policyworld.Pod) -> tuple[str, ...]:
        return ("blue/flat" if pod.namespace == "blue" else "red/flat", "red/bare", "green/routed")

    # What comes of it

    def ends(self) -> Iterator[End]:
        """Each attachment that there is, with its network and the name of its port."""
        for pod in self.world.pods:
            for nad in self.attachments(pod) if pod.key not in self.gone else ():
                if (network := self.networks.get(ObjectKey.parse(nad))) is not None:
                    nic = self.world.nics[pod.key, policyworld.DECLARED_NADS[nad]]
                    port = names.logical_port(nad, pod.namespace, pod.name)
                    yield pod, network, nic, port

    def check(self) -> None:
        """Every connection of every two ends on one network."""
        ends = list(self.ends())
        gates = {name: _gates(site.database) for name, site in self.sites.items()}
        for pod, _, _, port in ends:
            assert port in self.sites[pod.node].database.of(ports.PORT)
        for one, other in itertools.permutations(ends, 2):
            if one[1] != other[1] or one[0].key == other[0].key:
                continue
            endpoints = self._endpoint(*one), self._endpoint(*other)
            for asked in _asked(one, other):
                sent = packet(asked, one, other)
                verdict = evaluator.explain(
                    self.policies.values(), self.networks, *endpoints, asked
                )
                for judged, (pod, _, _, port) in ((verdict.egress, one), (verdict.ingress, other)):
                    found = gates[pod.node].get((judged.direction, port), [])
                    passes = _passes(found, sent, self.sites[pod.node].database)
                    assert passes == judged.passes, f"{port}: {asked}, {judged}"
                    if "bare" in one[3] + other[3]:
                        continue  # who has no address of the network's has no known connections
                    if begun := _begun(asked, judged.direction):
                        known = self.sites[pod.node].zone.policies
                        may = bool(admission.allowed(known, port, [begun]))
                        assert may == judged.passes, f"{port}: {begun}, {judged}"

    def _endpoint(
        self, pod: policyworld.Pod, network: str, nic: policyworld.Nic, _: str
    ) -> netpolicy.Endpoint:
        labels = self.world.namespaces[pod.namespace]
        return netpolicy.Endpoint(
            pod.namespace, pod.name, pod.labels, labels, network, nic.addresses, pod.ports
        )


def _asked(one: End, other: End) -> Iterator[netpolicy.Connection]:
    for source, target in zip(one[2].addresses, other[2].addresses, strict=True):
        for asked in policysets.ASKED:
            yield replace(asked, source=source, target=target)


def _begun(asked: netpolicy.Connection, direction: Direction) -> Connection | None:
    """The same as the agent of one end has it, where a machine comes to."""
    if asked.protocol not in (netpolicy.Protocol.TCP, netpolicy.Protocol.UDP):
        return None
    assert asked.source is not None
    assert asked.target is not None
    source, target = (asked.source, 40000), (asked.target, asked.port)
    is_outgoing = direction is Direction.EGRESS
    ends = (*source, *target) if is_outgoing else (*target, *source)
    return Connection(asked.protocol.lower(), is_outgoing, *ends)


_written = functools.cache(str)


def packet(asked: netpolicy.Connection, one: End, other: End) -> matching.Packet:
    """The first of a connection, as it leaves one port and as it comes to the other."""
    assert asked.source is not None
    family = f"ip{asked.source.version}"
    fields: dict[str, matching.Value] = {
        "inport": one[3],
        "outport": other[3],
        "eth.src": one[2].mac,
        "eth.dst": other[2].mac,
        f"{family}.src": _written(asked.source),
        f"{family}.dst": _written(asked.target),
    }
    kinds = {"ip", family, "ct.new"}
    if asked.protocol is not None:
        name = asked.protocol.lower()
        kinds.add(name)
        fields |= {f"{name}.src": 40000, f"{name}.dst": asked.port}
    return matching.Packet(frozenset(kinds), fields)


def _gates(database: Database) -> Gates:
    """The ACLs of each port, by the group that each begins with."""
    found: Gates = {}
    directions = {partial: direction for direction, partial in _OVN.items()}
    for acl in database.of("ACL").values():
        if of := re.match(r"(?:in|out)port == (@\w+)", acl["match"]):
            for port in _held(database, of[1]):
                found.setdefault((directions[acl["direction"]], port), []).append(acl)
    return found


def _passes(gates: Sequence[Mapping[str, Any]], sent: matching.Packet, at: Database) -> bool:
    """What the ACLs of highest priority that match say; nobody is isolated without any."""
    met = [
        (acl["priority"], acl["action"])
        for acl in gates
        if matching.read(acl["match"])(sent, lambda name: _held(at, name))
    ]
    highest = {action for priority, action in met if priority == max(met)[0]}
    assert len(highest) < 2
    return "drop" not in highest


def _held(database: Database, name: str) -> frozenset[str]:
    table, column = (ovn.GROUP, "ports") if name[0] == "@" else (sets.SET, "addresses")
    found: frozenset[str] = database.rows[table, name[1:]][column]
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_the_rows_let_pass_what_the_policies_say(seed: int) -> None:
    cluster = Cluster(Random(seed))
    for _ in range(12):
        for _ in range(cluster.picks.choice((1, 1, 3))):
            cluster.happen()
        for site in cluster.sites.values():
            site.write()
        cluster.check()
