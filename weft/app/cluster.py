"""Starts the cluster manager: puts its parts together, runs them, ends them in order.

Only composition: what is decided lives in weft.control.cluster.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_network

from weft import errors, model
from weft.api import clusternet
from weft.app import health, settings
from weft.control import decisions, loop
from weft.control.cluster import (
    claims,
    definitions,
    holdings,
    networks,
    nodes,
    pods,
    policies,
    signing,
)
from weft.kube import cache, events, lease, resources
from weft.kube.client import Client

log = logging.getLogger(__name__)

COMPONENT = "weft-cluster-manager"


class Manager:
    """One term of office: built anew, from the API alone, each time this copy becomes leader."""

    def __init__(self, client: Client, options: settings.ClusterManager) -> None:
        self._options = options
        self.recorder = events.Recorder(client, COMPONENT)
        self.nads = cache.Cache(client, resources.NADS)
        primary = primary_of(options)
        self.pod_cache = pods.watch(client, primary=primary is not None)
        held = holdings.Holdings()
        self.namespace_cache = policies.watch_namespaces(client)
        self.networks = networks.Networks(
            client,
            self.nads,
            self.namespace_cache,
            self.recorder,
            held,
            rules(options, primary),
            primary,
        )
        self.node_cache = nodes.watch(client)
        self.nodes = nodes.Nodes(client, self.node_cache, self.networks, held, self.recorder)
        self.claim_cache = claims.watch(client)
        self.claims = claims.Claims(client, self.claim_cache, self.networks, held)
        namespace = options.lease_namespace or client.namespace
        self.key_cache = decisions.watch_keys(client, namespace)
        self.signing = signing.Signing(client, self.key_cache, namespace)
        self.pods = pods.Pods(
            client,
            self.pod_cache,
            self.networks,
            self.nodes,
            self.claims,
            held,
            self.signing,
            self.recorder,
        )
        self.policy_cache = policies.watch(client)
        self.policies = policies.Policies(
            client,
            self.policy_cache,
            self.namespace_cache,
            self.pod_cache,
            self.networks,
            self.recorder,
        )
        self.is_started = False

    async def run(self) -> None:
        await loop.together(
            events=self.recorder.run(),
            nads=self.nads.run(),
            nodes=self.node_cache.run(),
            claims=self.claim_cache.run(),
            pods=self.pod_cache.run(),
            keys=self.key_cache.run(),
            namespaces=self.namespace_cache.run(),
            policies=self.policy_cache.run(),
            control=self._control(),
        )

    async def _control(self) -> None:
        for each in self._caches():
            await each.synced()
        await self.signing.prepare()
        # No await from here to the end of the starts: nothing may happen in between.
        self.signing.start()
        self.networks.start()
        self.nodes.start()
        self.claims.start()
        self.pods.start()
        self.policies.start()
        loop.settle()
        self.is_started = True
        log.info("in charge of %d networks, %d pods", len(self.networks), len(self.pod_cache))
        await loop.together(
            signing=self.signing.run(),
            networks=self.networks.run(),
            nodes=self.nodes.run(),
            claims=self.claims.run(),
            pods=self.pods.run(self._options.workers),
            policies=self.policies.run(),
        )

    def _caches(self) -> tuple[cache.Cache, ...]:
        return (
            self.nads,
            self.node_cache,
            self.claim_cache,
            self.namespace_cache,
            self.policy_cache,
            self.pod_cache,
            self.key_cache,
        )

    def not_ready(self) -> list[str]:
        reasons = [] if self.is_started else ["not synced yet"]
        parts = (self.networks, self.nodes, self.claims, self.pods, self.policies, self.signing)
        troubles = [*(each.trouble for each in self._caches()), self.signing.trouble]
        troubles += [each.queue.trouble for each in parts]
        return reasons + [trouble for trouble in troubles if trouble]

    def figures(self) -> Mapping[str, float]:
        return {
            "networks": len(self.networks),
            "nads": len(self.nads),
            "nodes": len(self.node_cache),
            "pods": len(self.pod_cache),
            "policies": len(self.policies),
            **self.pods.figures(),
        }


def primary_of(options: settings.ClusterManager) -> model.Network | None:
    """The cluster's own network, if weft is to serve it."""
    return clusternet.parse(options.cluster_subnets, mtu=options.default_mtu)


def rules(
    options: settings.ClusterManager, primary: model.Network | None = None
) -> definitions.Rules:
    """What the options ask of definitions; raises InvalidInput for ranges that are none."""
    setting = settings.RESERVED_SUBNETS
    own = primary.spec.subnets if primary is not None else ()
    reserved: list[tuple[str, model.Subnet]] = [
        ("the cluster's own network", subnet) for subnet in own
    ]
    for text in filter(None, map(str.strip, options.reserved_subnets.split(","))):
        try:
            reserved.append(("a range of the cluster's own", ip_network(text)))
        except ValueError:
            rule = "must be subnets such as 10.244.0.0/16, with commas between them"
            raise errors.InvalidInput("weft cluster-manager", setting.flag, text, rule) from None
    return definitions.Rules(
        options.default_mtu,
        options.underlay_mtu,
        tuple(reserved),
        settings.namespaces("weft cluster-manager", options.global_namespaces),
    )


def check(options: settings.ClusterManager) -> None:
    """Refuses what cannot work, in the setting's own words."""
    settings.check("weft cluster-manager", settings.CLUSTER_MANAGER, options)
    rules(options, primary_of(options))


async def run(
    options: settings.ClusterManager, on_start: Callable[[Manager], None] = lambda manager: None
) -> None:
    """The whole process, until cancelled."""
    check(options)
    in_office: list[Manager] = []
    electors: list[lease.Elector] = []

    def not_ready() -> list[str]:
        if in_office:
            return in_office[0].not_ready()
        # A copy that waits for the lease is ready as long as it could take the lease over.
        return [elector.trouble for elector in electors if elector.trouble]

    def figures() -> Mapping[str, float]:
        return {**(in_office[0].figures() if in_office else {}), "leading": float(bool(in_office))}

    async with Client.from_kubeconfig(options.kubeconfig or None) as client:

        async def govern() -> None:
            manager = Manager(client, options)
            in_office[:] = [manager]
            on_start(manager)
            await manager.run()

        async def lead() -> None:
            elector = lease.Elector(
                client,
                options.lease_name,
                options.lease_namespace or client.namespace,
                f"{socket.gethostname()}_{os.getpid()}",
            )
            electors[:] = [elector]
            await (elector.lead(govern) if options.leader_elect else govern())

        parts = {"manager": lead()}
        if options.health:
            parts["health"] = health.serve(options.health, not_ready, figures)
        await loop.together(**parts)


def main(options: settings.ClusterManager) -> None:
    """Blocks until the process is told to stop; raises what ended it otherwise."""
    loop.run(lambda: run(options))
