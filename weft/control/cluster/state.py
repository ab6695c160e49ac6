"""Holds NADs, nodes, pods and policies, and decides what is written to the objects of a cluster.

Pure. Objects come in parsed (`set_…`), `take_due` returns those that may need a decision, and
`decide` makes it. A part (NADs, nodes, claims, pods, policies) calls only the parts before it, and
notes what it changed for those after it; `_carry` passes the notes on. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable

from weft import errors, model, names
from weft.api import podendpoint
from weft.api.pod import Pod
from weft.api.podendpoint import PodEndpoint
from weft.api.podsignature import TrustedKeys
from weft.control.cluster import nads, networks
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.early import Early, put
from weft.control.cluster.ipamclaims import IpamClaims
from weft.control.cluster.keys import Held, SigningKeys
from weft.control.cluster.machineclaims import MachineClaims
from weft.control.cluster.machines import LiveMigration, Machine
from weft.control.cluster.nads import Nad
from weft.control.cluster.networkstatuses import NetworkStatuses
from weft.control.cluster.nodes import Nodes
from weft.control.cluster.objects import (
    IpamClaim,
    Namespace,
    NetworkObject,
    Node,
    Object,
    Policy,
    eldest_first,
)
from weft.control.cluster.outcome import Event, Outcome, Patch, Ref
from weft.control.cluster.podendpoints import PodEndpoints
from weft.control.cluster.pods import Pods
from weft.control.cluster.podtable import By, PodTable
from weft.control.cluster.policies import PolicyStatuses
from weft.control.cluster.udns import Udn, UdnTable
from weft.control.cluster.unplugging import Clock
from weft.control.cluster.userdefined import UserDefinedNetworks
from weft.kube import resources
from weft.kube.resources import Resource
from weft.metrics import Figures, Metric
from weft.model import ObjectKey


class Cluster:
    """The state of one manager's run as leader.

    What is set before `begin` is only kept; `begin`, called once, takes it in. The order of these
    calls makes no difference.
    """

    def __init__(
        self, keys: Held, rules: nads.Rules, primary: model.Network | None, clock: Clock
    ) -> None:
        self._early: Early | None = Early()
        self._allocations, self._table = Allocations(), PodTable()
        self._keys = SigningKeys(keys)
        self._udn_table = UdnTable()
        self._networks = networks.Networks(
            self._allocations, rules, primary, self._udn_table.network_of
        )
        self._nodes = Nodes(self._networks, self._allocations)
        self._udns = UserDefinedNetworks(
            self._udn_table, self._networks, self._nodes, self._allocations
        )
        self._machines = MachineClaims(self._networks, self._allocations, self._table)
        self._claims = IpamClaims(self._networks, self._allocations, self._machines)
        ledgers = self._claims, self._allocations
        self._pods = Pods(self._table, self._networks, self._nodes, *ledgers, self._keys, clock)
        self._policies = PolicyStatuses(self._table, self._networks)
        self._statuses = NetworkStatuses(self._networks, self._nodes, self._allocations)
        self._endpoints = PodEndpoints(self._table, self._keys)
        self._of_namespaces: dict[str, tuple[Event, ...]] = {}  # by namespace, to be emitted
        self._due: dict[Resource, dict[ObjectKey, float]] = {
            resources.NADS: self._networks.due,
            resources.NODES: self._nodes.due,
            resources.IPAMCLAIMS: self._claims.due,
            resources.PODS: self._pods.due,
            resources.VMS: self._machines.due,
            resources.MULTINETWORKPOLICIES: self._policies.due,
            resources.NETWORKS: self._statuses.due,
            resources.PODENDPOINTS: self._endpoints.due,
            **self._udns.due,
        }
        self._deciders: dict[Resource, Callable[[ObjectKey, str], Outcome]] = {
            resources.NADS: self._decide_nad,
            resources.UDNS: lambda key, now: self._udns.decide(Ref(resources.UDNS, key), now),
            resources.CUDNS: lambda key, now: self._udns.decide(Ref(resources.CUDNS, key), now),
            resources.NODES: lambda key, _: self._nodes.decide(key.name),
            resources.IPAMCLAIMS: lambda key, now: self._claims.decide(
                key, now, is_recovering=self._pods.is_recovering
            ),
            resources.PODS: lambda key, _: self._pods.decide(key),
            resources.VMS: lambda key, _: self._machines.decide(key),
            resources.MULTINETWORKPOLICIES: self._policies.decide,
            resources.NETWORKS: lambda key, now: self._statuses.decide(key.name, now),
            resources.NAMESPACES: lambda key, _: Outcome(
                events=self._of_namespaces.pop(key.name, ())
            ),
            resources.CONFIGMAPS: lambda key, _: self._keys.decide(Ref(resources.CONFIGMAPS, key)),
            resources.SECRETS: lambda key, _: self._keys.decide(Ref(resources.SECRETS, key)),
            resources.PODENDPOINTS: lambda key, _: self._endpoints.decide(key),
        }

    @property
    def is_recovering(self) -> bool:
        """Whether networks wait, until `end_recovery`, for what running pods may hold."""
        return self._pods.is_recovering

    @property
    def network_count(self) -> int:
        """How many networks there are."""
        return len(self._networks)

    def figures(self, now: str) -> Figures:
        """Returns the metrics of the state at the time `now` (RFC 3339)."""
        found = {Metric.NETWORKS: len(self._networks), Metric.POLICIES: len(self._policies)}
        return {**found, **self._pods.figures(), **self._statuses.figures(now)}

    # Objects in

    def set_keys(self, published: TrustedKeys, *, has_endpoints: bool = False) -> None:
        """Sets the public keys in the ConfigMap, and whether it says that endpoints are written."""
        if self._early is not None:
            self._early.keys, self._early.has_endpoints = published, has_endpoints
        elif self._keys.set(published, has_endpoints=has_endpoints):
            self._pods.trust_other_keys()
            self._carry()
            self._endpoints.use_keys()

    def set_namespace(self, name: str, new: Namespace | None) -> None:
        if self._early is not None:
            put(self._early.namespaces, name, new)
            return
        self._networks.set_namespace(name, new)
        self._udns.set_namespace(name, new)
        if events := self._policies.set_namespace(name, new):
            self._of_namespaces[name] = events
        self._carry()

    def set_nad(self, key: ObjectKey, new: Nad | None) -> None:
        if self._early is not None:
            put(self._early.nads, key, new)
            return
        self._statuses.use_nad(key)
        self._udn_table.set_nad(key, new)
        self._networks.set_nad(key, new)
        self._statuses.use_nad(key)
        self._udns.use_nad(key)
        self._carry()

    def set_udn(self, ref: Ref, new: Udn | None) -> None:
        """Sets a UserDefinedNetwork or ClusterUserDefinedNetwork; None: it is gone."""
        if self._early is not None:
            put(self._early.udns, ref, new)
            return
        self._udns.set(ref, new)
        self._carry()

    def set_node(self, name: str, new: Node | None) -> None:
        if self._early is not None:
            put(self._early.nodes, name, new)
            return
        self._nodes.set(name, new)
        self._statuses.use_node(name)
        self._carry()

    def set_claim(self, key: ObjectKey, new: IpamClaim | None) -> None:
        if self._early is not None:
            put(self._early.claims, key, new)
            return
        was_there = key in self._claims
        freed = self._claims.set(key, new)
        for machine in self._machines.set_claim(key, new):
            self._pods.use(By.MACHINE, machine)
        self._statuses.set_claim(key, new)
        if new is None or not was_there or freed:
            self._pods.use_claim(key, freed)
        for segment in freed:
            self._networks.release(segment.network)
            self._claims.retry(segment.network)
        self._carry()

    def set_machine(self, ref: Ref, new: Machine | LiveMigration | None) -> None:
        """Sets a VirtualMachine, an instance or a live migration of one; None: it is gone."""
        if self._early is not None:
            put(self._early.machines, ref, new)
            return
        for by, value in self._machines.set_machine(ref, new):
            self._pods.use(by, value)
            self._carry()

    def set_pod(self, key: ObjectKey, new: Pod | None) -> None:
        if self._early is not None:
            put(self._early.pods, key, new)
            return
        old = self._table.set(key, new)
        self._pods.put(old, new)
        self._machines.use_pod(old, new)
        self._policies.set_pod(key, old, new)
        self._statuses.set_pod(old, new)
        self._endpoints.use_pod(key)
        self._carry()

    def set_endpoint(self, key: ObjectKey, new: PodEndpoint | None) -> None:
        """Sets a PodEndpoint that there is; None: it is gone."""
        self._endpoints.set_endpoint(key, new)

    def set_policy(self, key: ObjectKey, new: Policy | None) -> None:
        if self._early is not None:
            put(self._early.policies, key, new)
            return
        self._policies.set_policy(key, new)

    def set_network(self, name: str, new: NetworkObject | None) -> None:
        """Sets a Network object, which this manager or an earlier one wrote."""
        if self._early is not None:
            put(self._early.statuses, name, new)
            return
        self._statuses.set(name, new)

    def begin(self) -> None:
        """Takes in what was set: first what is decided already, then what is missing."""
        assert self._early is not None, "began already"
        early, self._early = self._early, None
        self._keys.set(early.keys, has_endpoints=early.has_endpoints)
        self._networks.reserve_ids(early.nads.values())
        self._nodes.reserve_ids(early.nodes.values())
        for key, pod in sorted(early.pods.items()):
            self._table.set(key, pod)
            self._statuses.set_pod(None, pod)
        for name, namespace in sorted(early.namespaces.items()):
            self.set_namespace(name, namespace)
        for nad in early.nads.values():
            self._udn_table.set_nad(nad.key, nad)
        for ref, udn in sorted(early.udns.items(), key=lambda each: each[1].subject.key):
            self._udns.set(ref, udn)
        for nad in nads.owners_first(early.nads.values()):
            self._networks.set_nad(nad.key, nad, is_early=True)
        for node in eldest_first(early.nodes.values()):
            self._nodes.set(node.name, node)
        # All pods and claims are decided now, so these notes are not needed.
        self._networks.take_affected()
        self._nodes.take_changed()
        for key in early.nads:
            self._udns.use_nad(key)
        for ref, machine in early.machines.items():
            self._machines.set_machine(ref, machine)
        for key, claim in sorted(early.claims.items()):
            self._claims.set(key, claim)
            self._machines.set_claim(key, claim)
            self._statuses.set_claim(key, claim)
        self._pods.begin()
        self._carry()
        for key, policy in sorted(early.policies.items()):
            self.set_policy(key, policy)
        for name, status in sorted(early.statuses.items()):
            self._statuses.set(name, status)
        self._statuses.begin(early.nads)

    def keep_endpoints(self, *, are_kept: bool) -> None:
        """Keeps PodEndpoints from now on, or says that this manager keeps none.

        Call after `begin`, and to keep them when all are set.
        """
        if are_kept:
            self._endpoints.begin()
        else:
            self._keys.publish_endpoints(are_written=False)

    def end_recovery(self) -> None:
        """Stops waiting for what running pods may hold."""
        self._pods.end_recovery()
        self._claims.retry_all()
        self._carry()

    # Decisions out

    def take_due(self) -> list[tuple[Ref, float]]:
        """Returns the objects to `decide`, and after how many seconds, since the last call."""
        found: list[tuple[Ref, float]] = []
        if self._early is not None:
            return found
        for res, due in self._due.items() if any(self._due.values()) else ():
            if due:
                found += [(Ref(res, key), after) for key, after in due.items()]
                due.clear()
        found += self._keys.due.items()
        self._keys.due.clear()
        for name in self._of_namespaces:
            found.append((Ref(resources.NAMESPACES, ObjectKey("", name)), 0.0))
        return found

    def _decide_nad(self, key: ObjectKey, now: str) -> Outcome:
        """What is rendered is written first; its echo has the NAD decided again."""
        rendered = self._udns.decide_nad(key)
        return rendered if rendered != Outcome() else self._networks.decide(key)

    def decide(self, ref: Ref, now: str) -> Outcome:
        """Returns what to write to an object, and its Events; `now` is the time (RFC 3339)."""
        outcome = self._deciders[ref.resource](ref.key, now)
        self._carry()
        return outcome

    def written(self, ref: Ref, patch: Patch) -> tuple[Event, ...]:
        """Call after a patch was taken, or its object was gone; returns Events to emit."""
        events: tuple[Event, ...] = ()
        if ref.resource is resources.NADS:
            self._networks.written(ref.key, patch)
        elif ref.resource is resources.PODS:
            events = self._pods.written(ref.key, patch)
            if patch.annotations.get(names.POD_NETWORKS):
                self._endpoints.use_annotated(ref.key, patch.about.uid)
        self._carry()
        return events

    def refused(self, ref: Ref, patch: Patch, error: errors.WeftError) -> tuple[Event, ...]:
        """Call when the API server refuses a patch as invalid; returns Events to emit."""
        if ref.resource is not resources.PODS:
            return ()
        events = self._pods.refused(ref.key, patch, error)
        self._carry()
        return events

    def keep_status(self, ref: Ref, patch: Patch, kept: object) -> bool:
        """Notes whether the server stored a status; returns whether it is the first not stored.

        `kept`: what it stored, None if it does not have the object.
        """
        if ref.resource is resources.NETWORKS:
            return self._statuses.keep(ref.key.name, is_served=kept is not None)
        if ref.resource is not resources.MULTINETWORKPOLICIES:
            return False
        return self._policies.keep_status(ref.key, patch, kept)

    def unstored(self, ref: Ref, error: errors.WeftError) -> tuple[Event, ...]:
        """Call when the API server refuses a replacement for a reason of this object alone;
        returns Events to emit."""
        if ref.resource is resources.NADS:
            self._udns.skip_nad(ref.key, error.in_full())
        elif ref.resource is resources.VMS:
            return self._machines.unstored(ref.key, error.what)
        else:
            self._endpoints.skip(ref.key)
        return ()

    def stored(self, ref: Ref, kept: Object) -> None:
        """Call with a replaced object as the API server stored it.

        Of a NAD others may have written a newer version, so it counts when the watch brings it.
        """
        if ref.resource is resources.PODENDPOINTS:
            self.set_endpoint(ref.key, podendpoint.read(kept))

    def _carry(self) -> None:
        """Passes the notes of each part to the parts after it, until there are none."""
        is_quiet = False
        while not is_quiet:
            is_quiet = True
            for nad in sorted(filter(None, self._allocations.take_changed())):
                self._networks.use(nad)
                self._udns.use_nad(nad)
            for name in self._allocations.take_changed_networks():
                self._statuses.touch(name)
                self._udns.use_network(name)
            self._machines.use_allocations(self._allocations.take_changed_allocations())
            if self._networks.affected:
                is_quiet = False
                self._carry_networks(self._networks.take_affected())
            for node in self._nodes.take_changed():
                is_quiet = False
                self._pods.use(By.NODE, node)
                self._udns.use_node(node)

    def _carry_networks(self, affected: networks.Affected) -> None:
        for name in affected.ended:
            self._nodes.end_network(name)
            self._statuses.end_network(name)
            self._udns.use_network(name)
        found = filter(None, map(self._networks.find, affected.nads))
        for name in dict.fromkeys(network.name for network in found):
            self._claims.use_network(name)
        for nad in affected.nads:
            self._pods.use(By.NAD, nad)
            self._statuses.use_nad(nad)
            self._udns.use_nad(nad)
        if affected.nads:
            self._policies.use_nad()
            self._machines.use_nads(affected.nads)
        for namespace in affected.namespaces:
            self._pods.use(By.GUEST, namespace)
            self._machines.use_namespace(namespace)
        for nad in affected.held:
            self._pods.use_held(nad)
