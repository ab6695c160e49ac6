"""A network whose ports are real and whose policies are rows that a test asks for.

All groups and sets are computed afresh for each `enforce`, by looking at every pod: what the zone
keeps incrementally is judged elsewhere, here the rows are.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tests.support import frames, packets
from tests.support.realised import Cluster, Kept
from tests.support.zones import Guest
from weft import model, rows
from weft.ovn import acl, policy, ports, sets
from weft.policy import netpolicy

NAMESPACE = "default"
Idents = set[rows.RowKey]


@dataclass
class Pod:
    name: str
    kept: Kept
    port: model.Port
    guest: Guest
    labels: Mapping[str, str]
    named: netpolicy.NamedPorts = field(default_factory=dict)

    @property
    def key(self) -> str:
        return ports.port_key(self.port)

    @property
    def mac(self) -> str:
        return self.port.allocation.mac

    def chosen(self, members: netpolicy.PodSelector, namespaces: Mapping[str, str]) -> bool:
        if members.namespace:
            return members.namespace == NAMESPACE and members.pods.matches(self.labels)
        return members.namespaces.matches(namespaces) and members.pods.matches(self.labels)


@dataclass
class Policed:
    """One network and its pods, all of namespace "default"."""

    cluster: Cluster
    network: model.Network
    pods: dict[str, Pod] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    _written: dict[str, Idents] = field(default_factory=dict)
    _marks: itertools.count[int] = field(default_factory=itertools.count)

    def add(
        self,
        name: str,
        kept: Kept,
        port: model.Port,
        guest: Guest,
        *addresses: str,
        labels: Mapping[str, str] | None = None,
        named: netpolicy.NamedPorts | None = None,
    ) -> None:
        given = {"app": name} if labels is None else labels
        self.pods[name] = Pod(name, kept, port, guest, given, named or {})
        self.addresses[name] = list(addresses)

    async def enforce(
        self, *policies: netpolicy.Policy, logging: netpolicy.Logging = policy.NO_LOGGING
    ) -> None:
        """These policies and no others hold in every zone when this returns."""
        for kept in {pod.kept.zone.name: pod.kept for pod in self.pods.values()}.values():
            desired = [
                *acl.meter(),
                *self._groups(policies, kept, logging),
                *self._sets(policies),
            ]
            now = {(row.table, row.key) for row in desired}
            gone = self._written.get(kept.zone.name, set()) - now
            await kept.nb.apply(desired, sorted(gone))
            self._written[kept.zone.name] = now
            await kept.synced()

    def _groups(
        self, policies: Iterable[netpolicy.Policy], kept: Kept, logging: netpolicy.Logging
    ) -> list[rows.Row]:
        made: list[rows.Row] = []
        for direction in netpolicy.Direction:
            bearing = [p for p in policies if direction in p.directions]
            here = {n: p for n, p in self.pods.items() if p.kept is kept}
            held = {
                p.name: {n for n, pod in here.items() if pod.chosen(p.selected_pods, {})}
                for p in bearing
            }
            denied = {n for p in bearing if p.mode is netpolicy.Mode.ENFORCE for n in held[p.name]}
            audited = {n for p in bearing for n in held[p.name]} - denied
            for kind, members in (
                (policy.GroupKind.DENY, denied),
                (policy.GroupKind.AUDIT, audited),
            ):
                group = policy.Group(kind, self.network.name, NAMESPACE, direction)
                if members:
                    made += policy.isolation_rows(group, self.network, logging)
                    made += [policy.membership(group, here[n].key, True) for n in members]
                    left = here.keys() - members
                    made += [policy.membership(group, here[n].key, False) for n in left]
            for each in bearing:
                within = held[each.name] & (
                    denied if each.mode is netpolicy.Mode.ENFORCE else audited
                )
                numbers = self.numbers(each, direction)
                made += policy.policy_rows(each, self.network, direction, logging, numbers)
                for name in here:
                    groups = policy.groups_of(each, self.network.name, direction, here[name].named)
                    shown = {row.key for row in made if row.table == policy.GROUP}
                    made += [
                        policy.membership(group, here[name].key, name in within)
                        for group in groups
                        if group.name in shown
                    ]
        return made

    def numbers(self, each: netpolicy.Policy, direction: netpolicy.Direction) -> policy.PortNumbers:
        found: dict[policy.PortName, frozenset[int]] = {}
        for asked in policy.port_names(each, self.network.name, direction):
            if isinstance(asked, sets.AddressSet):
                assert asked.protocol is not None
                members, service = asked.selector, (asked.protocol, asked.port)
            else:
                members, service = each.selected_pods, asked
            found[asked] = frozenset(
                pod.named[service]
                for pod in self.pods.values()
                if service in pod.named and pod.chosen(members, self.namespace_labels)
            )
        return found

    def _sets(self, policies: Iterable[netpolicy.Policy]) -> list[rows.Row]:
        made: list[rows.Row] = []
        for each in policies:
            numbers = {k: v for d in each.directions for k, v in self.numbers(each, d).items()}
            for chosen in policy.address_sets(each, self.network, numbers):
                made += sets.rows_of(chosen, self.network)
                for pod in self.pods.values():
                    inside = pod.chosen(chosen.selector, self.namespace_labels)
                    if chosen.protocol is not None:
                        named = pod.named.get((chosen.protocol, chosen.port))
                        inside = inside and named == chosen.number
                    made += sets.membership(chosen, self.network, pod.port.allocation, inside)
        return made

    # Packets

    async def warm(self) -> None:
        """Every node has spoken to every other: the first packet to a tunnel peer is lost."""
        ready = {pod.kept.zone.name: pod for pod in self.pods.values()}
        for one, two in itertools.permutations(ready.values(), 2):
            address = self.addresses[two.name][0]
            assert await asyncio.to_thread(one.guest.pings, address)

    def ends(self, source: str, to: str, version: int = 4) -> packets.Ends:
        one, two = self.pods[source], self.pods[to]
        pick = next(n for n, a in enumerate(self.addresses[to]) if (":" in a) == (version == 6))
        return packets.Ends(
            one.mac, two.mac, self.addresses[source][pick], self.addresses[to][pick]
        )

    async def passes(
        self, source: str, to: str, *wanted: tuple[netpolicy.Protocol | None, int], version: int = 4
    ) -> set[tuple[netpolicy.Protocol | None, int]]:
        """Which of these first packets get there."""
        marks = {service: b"<%08d>" % next(self._marks) for service in wanted}
        ends = self.ends(source, to, version)
        sent = [
            packets.first(ends, protocol, marks[protocol, port], port=port)
            for protocol, port in wanted
        ]
        received = await self.received(source, to, *sent)
        return {service for service, mark in marks.items() if mark in received}

    async def answers(self, source: str, to: str, *, version: int = 4) -> bool:
        """Whether what a host says to a first packet comes back: an echo reply, a reset, and that
        nobody is there."""
        ends = self.ends(source, to, version)
        return await asyncio.to_thread(self._answers, source, ends)

    def _answers(self, source: str, ends: packets.Ends) -> bool:
        one = self.pods[source].guest.space
        port = 20000 + next(self._marks)
        wanted = [packets.is_echo_reply, packets.is_reset(port), packets.is_unreachable(port)]
        with frames.capture(one) as capture:
            for protocol in (None, netpolicy.Protocol.TCP, netpolicy.Protocol.UDP):
                frames.send(one, packets.first(ends, protocol, b"", port=port))
            for each in wanted:
                capture.until(each)
        return True

    async def received(self, source: str, to: str, *sent: bytes) -> bytes:
        """All that a pod hears up to the end of what is sent. The end is ARP, which no policy
        stops; the second comes in a batch of its own, after the last of all else."""
        return await asyncio.to_thread(self._received, source, to, sent)

    def _received(self, source: str, to: str, sent: tuple[bytes, ...]) -> bytes:
        one, two = self.pods[source], self.pods[to]
        with frames.capture(two.guest.space) as capture:
            frames.send(one.guest.space, *sent)
            for _ in range(2):
                mark = b"<end %08d>" % next(self._marks)
                frames.send(one.guest.space, self._end(source, to, mark))
                capture.until(frames.with_all(mark))
            return b"\n".join(capture.received)

    def _end(self, source: str, to: str, mark: bytes) -> bytes:
        ends = self.ends(source, to)
        return packets.neighbour(ends.mac, ends.to_mac, ends.source, ends.to, mark)


@dataclass
class PolicedRoutes(Policed):
    """The same on a routed network, where the gateway is next and no ARP gets across: the end is
    what DHCP would say, in the direction in which `end_ports` have it. The network must leave DHCP
    to others, or that is stopped like all else."""

    gateways: dict[str, str] = field(default_factory=dict)
    end_ports: tuple[int, int] = (67, 68)

    def ends(self, source: str, to: str, version: int = 4) -> packets.Ends:
        return replace(super().ends(source, to, version), to_mac=self.gateways[source])

    def _end(self, source: str, to: str, mark: bytes) -> bytes:
        first, last = self.end_ports
        ends = self.ends(source, to)
        return packets.first(ends, netpolicy.Protocol.UDP, mark, source_port=first, port=last)
