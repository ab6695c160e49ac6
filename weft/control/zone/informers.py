"""Defines the informers of a node agent; each object is parsed once.

An object that parses to an equal value is no change: a heartbeat, a status, or an annotation with
known content wakes no subscriber.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from weft.api import pod, policy
from weft.control import signingkeys
from weft.control.zone import nads, objects
from weft.kube import cache, resources
from weft.kube.client import Client, Object

T = TypeVar("T")


class Informers:
    """`node` is this agent's own. `default_mtu` counts for NADs that name none. `primary`: weft
    serves the default network. `keys_namespace` has the ConfigMap of public keys."""

    def __init__(
        self, client: Client, node: str, *, default_mtu: int, primary: bool, keys_namespace: str
    ) -> None:
        def follow(
            res: resources.Resource, read: Callable[[Object], T], **options: Any
        ) -> cache.Informer[T]:
            return cache.Informer(client, res, read, attrgetter("uid", "version"), **options)

        self.nads = follow(resources.NADS, partial(nads.read, default_mtu=default_mtu))
        self.pods = follow(resources.PODS, partial(pod.read, primary=primary))
        # The kubelet's status is most of a Node and changes every few minutes (ADR 0094). Only the
        # own Node is read with it: this agent keeps weft's condition there.
        self.nodes = follow(resources.NODES, objects.node, metadata_only=True)
        own = f"metadata.name={node}"
        self.own_node = follow(resources.NODES, objects.node, field_selector=own)
        self.namespaces = follow(resources.NAMESPACES, objects.namespace, metadata_only=True)
        self.policies = follow(resources.MULTINETWORKPOLICIES, policy.read, may_be_unknown=True)
        self.keys = signingkeys.watch(client, keys_namespace)

    def all(self) -> tuple[cache.Informer[Any], ...]:
        """Returns all informers."""
        nodes = self.nodes, self.own_node
        return self.nads, self.pods, self.keys, *nodes, self.namespaces, self.policies
