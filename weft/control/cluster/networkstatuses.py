"""Decides the status of the Network object of each network, and which of these objects exist.

Pure. A Network object is derived: the manager makes, writes and removes it, and reads nothing from
it. Changes of a network within QUIET are collected into one update. `api/networkstatus.py` words
the status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from weft import model, names
from weft.alloc import forecast
from weft.api import nad as reading
from weft.api import networkstatus
from weft.api.conditions import FALSE, TRUE
from weft.api.networkstatus import Change, Edit, NadStatus, NetworkFindings, NetworkReason, Subnet
from weft.api.pod import Pod
from weft.control.cluster import nads
from weft.control.cluster.allocationdays import AllocationDays
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.invalidnads import InvalidNads
from weft.control.cluster.membercounts import MemberCounts
from weft.control.cluster.nads import Nad
from weft.control.cluster.networks import Networks
from weft.control.cluster.nodes import Nodes
from weft.control.cluster.objects import IpamClaim, NetworkObject
from weft.control.cluster.outcome import NOTHING, Outcome, Patch, Subject
from weft.kube import resources
from weft.metrics import Figures, Labels, Metric
from weft.model import ObjectKey

# Seconds in which changes of a network are collected into one update of its status.
QUIET = 1.0
# Seconds between attempts where the cluster does not have the kind.
UNSERVED = 60.0
_SECONDS_OF_A_DAY = 86400


class NetworkStatuses:
    """The Network objects by name. `due`: those to decide, and after how many seconds."""

    def __init__(self, networks: Networks, nodes: Nodes, allocations: Allocations) -> None:
        self._networks, self._nodes, self._allocations = networks, nodes, allocations
        self._members, self._invalid = MemberCounts(), InvalidNads()
        self._days = AllocationDays()
        self._objects: dict[str, NetworkObject] = {}
        self._names: dict[str, str] = {}  # the network of each object's name
        self._is_served = True
        self.due: dict[ObjectKey, float] = {}

    # What happened

    def set(self, name: str, new: NetworkObject | None) -> None:
        """Sets a Network object; None: it is gone."""
        self._objects.pop(name, None)
        if new is not None:
            self._objects[name] = new
        self._wake(name)

    def set_pod(self, old: Pod | None, new: Pod | None) -> None:
        """Counts a pod that is new, changed, or gone (None)."""
        self._days.set_pod(old, new)
        for nad in self._members.set_pod(old, new):
            self.use_nad(nad)

    def set_claim(self, key: ObjectKey, new: IpamClaim | None) -> None:
        """Counts an IPAMClaim that is new, changed, or gone (None)."""
        for network in self._days.set_claim(key, new):
            self.touch(network)

    def use_nad(self, key: ObjectKey) -> None:
        """What a NAD declares, or whether that counts, may be different now."""
        listed = self._invalid.set(key, self._networks.nad(key))
        for network in self._networks.named_by(key) | listed:
            self.touch(network)

    def use_node(self, name: str) -> None:
        """A node may serve its pods' networks now, or not any more."""
        for nad in self._members.nads_on(name):
            self.use_nad(nad)
        if remapped := self._nodes.physical.take_changed():
            for each in self._networks.names():
                network = self._networks.get(each)
                if network is not None and network.spec.physical_network in remapped:
                    self.touch(each)

    def touch(self, network: str) -> None:
        """Something of a network changed."""
        name = names.network_object(network)
        self._names[name] = network
        self._wake(name)

    def end_network(self, network: str) -> None:
        """A network ended: an invalid NAD that was accepted for it may be about another one."""
        self.touch(network)
        for key in self._invalid.of(network):
            self.use_nad(key)

    def begin(self, found: Iterable[ObjectKey]) -> None:
        """Looks at all networks, and at these NADs, once all objects are there."""
        for key in found:
            self.use_nad(key)
        self._touch_all()

    def _touch_all(self) -> None:
        for network in self._networks.names() | self._invalid.networks():
            self.touch(network)

    def keep(self, name: str, *, is_served: bool) -> bool:
        """Notes whether the cluster has the kind; returns whether that is news that it has not."""
        was_served, self._is_served = self._is_served, is_served
        if is_served and not was_served:
            self._touch_all()
        elif not is_served:
            self._wake(name)
        return was_served and not is_served

    def _wake(self, name: str) -> None:
        self.due.setdefault(ObjectKey("", name), QUIET if self._is_served else UNSERVED)

    def figures(self, now: str) -> Figures:
        """Returns what the stored statuses say, and what follows at the time `now` (RFC 3339)."""
        members: dict[Labels, float] = {}
        size: dict[Labels, float] = {}
        used: dict[Labels, float] = {}
        free: dict[Labels, float] = {}
        lasts: dict[Labels, float] = {}
        holds: dict[Labels, float] = {}
        for name, network in self._names.items():
            there = self._objects.get(name)
            status = (there.status if there is not None else None) or {}
            members[network,] = status.get("members", 0)
            days = networkstatus.allocations_by_day(status)
            left = forecast.days_left(status.get("freeAddresses", 0), days, now[:10])
            if left is not None and status.get("addresses"):
                lasts[network,] = left * _SECONDS_OF_A_DAY
            for each in status.get("addresses", ()):
                size[network, each["subnet"]] = each.get("size", 0)
                used[network, each["subnet"]] = each["used"]
                free[network, each["subnet"]] = each["free"]
            for each in status.get("conditions", ()):
                if each["status"] in (TRUE, FALSE):
                    holds[network, each["type"]] = float(each["status"] == TRUE)
        return {
            Metric.NETWORK_MEMBERS: members,
            Metric.NETWORK_SIZE: size,
            Metric.NETWORK_USED: used,
            Metric.NETWORK_FREE: free,
            Metric.NETWORK_LASTS: lasts,
            Metric.NETWORK_UNUSED: self._unused(),
            Metric.NETWORK_CONDITION: holds,
        }

    def _unused(self) -> dict[Labels, float]:
        """Returns by network how many IPAMClaims keep addresses that no pod uses."""
        unused = self._allocations.unused_claims()
        return {(name,): unused[name] for name in self._names.values()}

    # Decisions out

    def decide(self, name: str, now: str) -> Outcome:
        """Returns the patch that makes, changes or removes a Network object."""
        there = self._objects.get(name)
        found = self.find(self._names.get(name, ""))
        if found is None:
            self._names.pop(name, None)
            return Outcome((Patch(there.subject, removes=True),)) if there else NOTHING
        before = there.status if there is not None else None
        status = networkstatus.render(found, before, now)
        if status == before:
            return NOTHING
        about = there.subject if there else Subject(resources.NETWORKS, ObjectKey("", name), "")
        return Outcome((Patch(about, status=status, creates=there is None),))

    def find(self, name: str) -> NetworkFindings | None:
        """Returns what a network's status is made from; None if there is no such network."""
        network = self._networks.get(name)
        keys = sorted(self._networks.nads_of(name) | self._invalid.of(name))
        if network is None and not keys:
            return None
        counts = self._members.count(keys)
        generation, problem = self._problem(name, network, keys)
        return NetworkFindings(
            name,
            network,
            generation=generation,
            problem=problem,
            nads=tuple(self._nads(name, keys)),
            nodes=tuple(
                networkstatus.Node(node, counts[node], self._nodes.problem(node, network))
                for node in sorted(counts)
            ),
            usage=tuple(self._usage(network)) if network is not None else (),
            days=self._days.of(name, keys),
            edits=tuple(self._edits(network)) if network is not None else (),
            eligible=self._nodes.eligible(network) if network is not None else None,
        )

    def _problem(
        self, name: str, network: model.Network | None, keys: list[ObjectKey]
    ) -> tuple[int, str]:
        """Returns the generation of the NAD that the status is about, and what is wrong with it, or
        why its network has no id."""
        if network is not None:
            owner = self._networks.nad(network.owner) if network.owner is not None else None
            return (owner.generation, owner.problem) if owner is not None else (0, "")
        found = [nad for nad in map(self._networks.nad, keys) if nad is not None]
        if any(not nad.problem for nad in found):
            return 0, self._networks.lacking(name)
        more = f"; {len(found) - 1} others are invalid, too" if len(found) > 1 else ""
        return found[0].generation, nads.parse_refusal(found[0]) + more

    def _usage(self, network: model.Network) -> Iterator[Subnet]:
        for each in self._allocations.ledgers.usage(network):
            family = (one for one in network.spec.subnets if one.version == each.subnet.version)
            yield Subnet(",".join(map(str, family)), each.used, each.free, each.total)

    def _nads(self, name: str, keys: list[ObjectKey]) -> Iterator[NadStatus]:
        """Yields the NADs of a network: the accepted ones first."""
        found = [nad for nad in map(self._networks.nad, keys) if nad is not None]
        listed = [(nad, nad.problem or self._networks.refusal(name, nad.key)) for nad in found]
        for nad, problem in sorted(listed, key=lambda each: (bool(each[1]), each[0].key)):
            members = self._members.count((nad.key,)).total()
            yield NadStatus(nad.key, nad.generation, members, problem, nad.is_deleting)

    def _edits(self, network: model.Network) -> Iterator[Edit]:
        """Yields the edits that running pods do not have."""
        for key in sorted(self._networks.nads_of(network.name)):
            nad = self._networks.nad(key)
            if nad is not None and (fields := self._networks.held_back(nad)):
                pods = tuple(self._networks.users(network.name).values())
                yield Edit(key, NetworkReason.EDIT_WAITS, _changes(nad, fields), pods)
        if network.owner is None:
            return
        held = self._allocations.ledgers.outside(network, network.spec.exclude_subnets)
        if held:
            ranges = ",".join(map(str, network.spec.exclude_subnets))
            change = Change("excludeSubnets", ranges)
            old = tuple(sorted(set(held)))
            new = tuple(sorted(set(self._networks.users(network.name).values()).difference(old)))
            yield Edit(network.owner, NetworkReason.ADDRESSES_EXCLUDED, (change,), old, new)


def _changes(nad: Nad, fields: Iterable[str]) -> tuple[Change, ...]:
    accepted, declared = nad.accepted, nad.spec
    assert accepted is not None
    assert declared is not None
    return tuple(
        Change(each, str(reading.value_of(declared, each)), str(reading.value_of(accepted, each)))
        for each in fields
    )
