"""Defines the informers of the cluster manager, and passes each change to its state.

Objects are parsed once, here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from weft.api import networkqos, pod, podendpoint
from weft.control.cluster import machines, nads, objects, udns
from weft.control.cluster.outcome import Ref
from weft.control.cluster.state import Cluster
from weft.control.cluster.writer import ApiWriter
from weft.kube import cache, resources
from weft.kube.client import Client
from weft.model import ObjectKey


class Parsed(Protocol):
    """One incarnation of an object, at one resourceVersion."""

    @property
    def uid(self) -> str: ...

    @property
    def version(self) -> str: ...


T = TypeVar("T", bound=Parsed)


Declarations = tuple[cache.Informer[nads.Nad], cache.Informer[objects.Namespace]]


def declarations(client: Client, rules: nads.Rules) -> Declarations:
    """Returns informers of NADs and Namespaces alone, for the admission webhook."""
    version = attrgetter("uid", "version")
    return (
        cache.Informer(client, resources.NADS, partial(nads.read, rules=rules), version),
        cache.Informer(client, resources.NAMESPACES, objects.namespace, version),
    )


class Informers:
    """One informer for each kind; `primary`: weft serves the default network; `endpoints`: the
    manager keeps PodEndpoints."""

    def __init__(
        self, client: Client, rules: nads.Rules, *, primary: bool, endpoints: bool = False
    ) -> None:
        def follow(
            res: resources.Resource,
            read: Callable[..., T],
            *,
            may_be_unknown: bool = False,
            may_be_denied: bool = False,
        ) -> cache.Informer[T]:
            return cache.Informer(
                client,
                res,
                read,
                attrgetter("uid", "version"),
                may_be_unknown=may_be_unknown,
                may_be_denied=may_be_denied,
            )

        self.namespaces = follow(resources.NAMESPACES, objects.namespace)
        self.nads = follow(resources.NADS, partial(nads.read, rules=rules))
        self.nodes = follow(resources.NODES, objects.node)
        self.claims = follow(resources.IPAMCLAIMS, objects.ipam_claim, may_be_unknown=True)
        self.pods = follow(resources.PODS, partial(pod.read, primary=primary))
        self.policies = follow(
            resources.MULTINETWORKPOLICIES, objects.multi_network_policy, may_be_unknown=True
        )
        self.udns, self.cudns = (
            follow(kind, partial(udns.read, resource=kind, rules=rules), may_be_unknown=True)
            for kind in (resources.UDNS, resources.CUDNS)
        )
        self.qos = follow(resources.NETWORKQOSES, networkqos.Reader(), may_be_unknown=True)
        self.machines, self.instances, self.migrations = (
            follow(
                kind,
                partial(machines.read, resource=kind),
                may_be_unknown=True,
                may_be_denied=True,
            )
            for kind in (resources.VMS, resources.VMIS, resources.VMIMS)
        )
        self.networks = follow(resources.NETWORKS, objects.network_object, may_be_unknown=True)
        self.endpoints = follow(resources.PODENDPOINTS, podendpoint.read) if endpoints else None

    def all(self) -> tuple[cache.Informer[Any], ...]:
        """Returns all informers."""
        own = (self.endpoints,) if self.endpoints is not None else ()
        return (*self.declared(), *own)

    def declared(self) -> tuple[cache.Informer[Any], ...]:
        """Returns the informers of what allocations depend on, and of their networks' statuses."""
        declared = self.nads, self.nodes, self.claims, self.namespaces, self.policies
        of_machines = self.machines, self.instances, self.migrations
        return (*declared, *of_machines, self.pods, self.networks, self.udns, self.cudns, self.qos)

    def connect(self, cluster: Cluster, writer: ApiWriter) -> None:
        """Passes all objects, and each later change, to `cluster`, and wakes `writer`."""

        def set_namespace(key: ObjectKey, new: objects.Namespace | None) -> None:
            cluster.set_namespace(key.name, new)

        def set_node(key: ObjectKey, new: objects.Node | None) -> None:
            cluster.set_node(key.name, new)

        def set_network(key: ObjectKey, new: objects.NetworkObject | None) -> None:
            cluster.set_network(key.name, new)

        self._subscribe(self.namespaces, set_namespace, writer)
        self._subscribe(self.nads, cluster.set_nad, writer)
        self._subscribe(self.nodes, set_node, writer)
        self._subscribe(self.claims, cluster.set_claim, writer)
        self._subscribe(self.pods, cluster.set_pod, writer)
        self._subscribe(self.policies, cluster.set_policy, writer)
        self._subscribe(self.networks, set_network, writer)
        for each in (self.udns, self.cudns):
            self._subscribe(each, partial(_set_udn, cluster, each.resource), writer)
        for of_machines in (self.machines, self.instances, self.migrations):
            set_machine = partial(_set_machine, cluster, of_machines.resource)
            self._subscribe(of_machines, set_machine, writer)
        if self.endpoints is not None:
            self._subscribe(self.endpoints, cluster.set_endpoint, writer)

    @staticmethod
    def _subscribe(
        informer: cache.Informer[T],
        set_object: Callable[[ObjectKey, T | None], None],
        writer: ApiWriter,
    ) -> None:
        def changed(key: ObjectKey, _: T | None, new: T | None) -> None:
            set_object(key, new)
            ref = Ref(informer.resource, key)
            if new is None:
                writer.forget(ref)
            writer.wake(ref, new.version if new is not None else "")

        informer.subscribe(changed)


def _set_udn(
    cluster: Cluster, resource: resources.Resource, key: ObjectKey, new: udns.Udn | None
) -> None:
    cluster.set_udn(Ref(resource, key), new)


def _set_machine(
    cluster: Cluster,
    resource: resources.Resource,
    key: ObjectKey,
    new: machines.Machine | machines.LiveMigration | None,
) -> None:
    cluster.set_machine(Ref(resource, key), new)
