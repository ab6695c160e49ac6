"""Defines the informers of a node agent; each object is parsed once.

An object that parses to an equal value is no change: a heartbeat, a status, or an annotation with
known content wakes no subscriber.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from weft.api import networkqos, pod, podendpoint, policy
from weft.api.podendpoint import PodEndpoint
from weft.control import signingkeys
from weft.control.zone import nads, objects
from weft.kube import cache, resources
from weft.kube.client import Client, Object

T = TypeVar("T")


class Informers:
    """`node` is this agent's own. `default_mtu` counts for NADs that name none. `primary`: weft
    serves the default network. `keys_namespace` has the ConfigMap of public keys.

    `endpoints`: pods of other nodes are known by their PodEndpoints, and `pods` has those of the
    own node alone (ADR 0100).
    """

    def __init__(
        self,
        client: Client,
        node: str,
        *,
        default_mtu: int,
        primary: bool,
        keys_namespace: str,
        endpoints: bool = False,
    ) -> None:
        def follow(
            res: resources.Resource, read: Callable[[Object], T], **options: Any
        ) -> cache.Informer[T]:
            return cache.Informer(client, res, read, attrgetter("uid", "version"), **options)

        self.nads = follow(resources.NADS, partial(nads.read, default_mtu=default_mtu))
        here = f"spec.nodeName={node}" if endpoints else ""
        self.pods = follow(resources.PODS, partial(pod.read, primary=primary), field_selector=here)
        self.endpoints = follow(resources.PODENDPOINTS, podendpoint.read) if endpoints else None
        # The kubelet's status is most of a Node and changes every few minutes (ADR 0094). Only the
        # own Node is read with it: this agent keeps weft's condition there.
        self.nodes = follow(resources.NODES, objects.node, metadata_only=True)
        own = f"metadata.name={node}"
        self.own_node = follow(resources.NODES, objects.node, field_selector=own)
        self.namespaces = follow(resources.NAMESPACES, objects.namespace, metadata_only=True)
        self.policies = follow(resources.MULTINETWORKPOLICIES, policy.read, may_be_unknown=True)
        read_qos = networkqos.Reader(node)
        self.qos = follow(resources.NETWORKQOSES, read_qos, may_be_unknown=True)
        self.keys = signingkeys.watch(client, keys_namespace)

    def all(self) -> tuple[cache.Informer[Any], ...]:
        """Returns all informers."""
        nodes = self.nodes, self.own_node
        others = (self.endpoints,) if self.endpoints is not None else ()
        return (
            self.nads,
            self.pods,
            self.keys,
            *nodes,
            self.namespaces,
            self.policies,
            self.qos,
            *others,
        )

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Returns what follows each kind until cancelled, by the kind's name."""
        found = {each.name: each.run() for each in self.all() if each is not self.endpoints}
        if self.endpoints is not None:
            found[self.endpoints.name] = self._follow(self.endpoints)
        return found

    async def _follow(self, endpoints: cache.Informer[PodEndpoint]) -> None:
        """Lists endpoints once all are written: with fewer, a zone would take rows of running pods
        away. The list comes after the news, as two watches keep no order."""
        await signingkeys.known(self.keys, endpoints=True)
        await endpoints.run()
