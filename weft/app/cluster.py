"""Runs the cluster manager: composes its parts, runs them, and ends them in order.

`weft.control.cluster` makes the decisions.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from weft import __version__, names
from weft.api.podsignature import TrustedKeys
from weft.app import health, manageroptions, settings, webhook
from weft.control import loop, signingkeys
from weft.control.cluster import informers, networkqos, signing, state, unknown, writer
from weft.control.signingkeys import PublicKeys
from weft.kube import cache, events, lease
from weft.kube.client import Client
from weft.metrics import Figures, Metric
from weft.model import ObjectKey

log = logging.getLogger(__name__)

COMPONENT = "weft-cluster-manager"
CREATE = "`kubectl create -f deploy/chart/crds/podendpoints.yaml` makes the kind if it is missing"


class Manager:
    """One run as leader: built from the API's objects each time this copy becomes leader."""

    def __init__(self, client: Client, options: settings.ClusterManager) -> None:
        self._client, self._options = client, options
        self._primary = settings.default_network(options)
        self._rules = manageroptions.rules(options, self._primary)
        namespace = options.lease_namespace or client.namespace
        self._signing = signing.Signing(client, namespace)
        self._keys = signingkeys.watch(client, namespace)
        self._informers = informers.Informers(
            *(client, self._rules),
            primary=self._primary is not None,
            endpoints=options.pod_endpoints,
        )
        self.recorder = events.Recorder(client, COMPONENT)
        self._qos = networkqos.QosStatuses(
            client, self.recorder, self._informers.qos, self._informers.nodes
        )
        self.cluster: state.Cluster | None = None
        self.writer: writer.ApiWriter | None = None

    async def run(self) -> None:
        """Runs all parts until cancelled; raises the error of the first that fails."""
        followed = {each.resource.plural: each.run() for each in self._followed()}
        await loop.together(events=self.recorder.run(), control=self._control(), **followed)

    async def _control(self) -> None:
        for each in (*self._informers.declared(), self._keys):
            await each.synced()
        held = await self._signing.prepare(signingkeys.trusted(self._keys))
        cluster = self.cluster = state.Cluster(held, self._rules, self._primary, time.monotonic)
        writing = self.writer = writer.ApiWriter(
            self._client, cluster, self.recorder, pod_workers=self._options.workers
        )

        def keys_changed(_: ObjectKey, __: PublicKeys | None, new: PublicKeys | None) -> None:
            known = new or PublicKeys(TrustedKeys())
            cluster.set_keys(known.trusted, has_endpoints=known.has_endpoints)
            writing.wake()

        def end_recovery() -> None:
            cluster.end_recovery()
            writing.wake()

        self._keys.subscribe(keys_changed)
        self._informers.connect(cluster, writing)
        cluster.begin()
        if cluster.is_recovering:
            asyncio.get_running_loop().call_later(unknown.PATIENCE, end_recovery)
        loop.settle()
        log.info("in charge of %d networks, %d pods", self._networks(), len(self._informers.pods))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_endpoints(cluster, writing))
            group.create_task(self._qos.run())
            await writing.run()

    async def _keep_endpoints(self, cluster: state.Cluster, writing: writer.ApiWriter) -> None:
        """Begins with PodEndpoints when all are listed; allocations do not wait for that."""
        endpoints = self._informers.endpoints
        if endpoints is not None:
            await endpoints.synced()
        cluster.keep_endpoints(are_kept=endpoints is not None)
        writing.wake()

    def _followed(self) -> tuple[cache.Informer[Any], ...]:
        return (*self._informers.all(), self._keys)

    def _networks(self) -> int:
        return self.cluster.network_count if self.cluster is not None else 0

    @property
    def is_started(self) -> bool:
        return self.writer is not None

    def not_ready(self) -> list[str]:
        """Returns why the manager is not ready; empty: ready."""
        reasons = [] if self.is_started else ["not synced yet"]
        troubles = [self.recorder.trouble, self._signing.trouble, self._qos.trouble]
        troubles += [each.trouble for each in self._followed()]
        endpoints = self._informers.endpoints
        if endpoints is not None and endpoints.trouble and not endpoints.is_synced:
            troubles.append(f"no PodEndpoints are written until they are listed: {CREATE}")
        troubles += [self.writer.trouble] if self.writer is not None else []
        return reasons + [trouble for trouble in troubles if trouble]

    def figures(self) -> Figures:
        if self.cluster is None or self.writer is None:
            return {}
        return {
            Metric.NADS: len(self._informers.nads),
            Metric.NODES: len(self._informers.nodes),
            Metric.PODS: len(self._informers.pods),
            **self.writer.figures(),
            **self.cluster.figures(events.now()),
        }


async def run(
    options: settings.ClusterManager, on_start: Callable[[Manager], None] = lambda manager: None
) -> None:
    """Runs the cluster manager until cancelled; raises InvalidInput for invalid options.

    `on_start` gets the manager each time that this copy becomes leader.
    """
    manageroptions.check(options)
    in_office: list[Manager] = []
    electors: list[lease.Elector] = []
    webhooks: list[webhook.Webhook] = []

    def not_ready() -> list[str]:
        # A copy that waits for the lease is ready while it could take the lease over.
        troubles = [client.liveness.trouble]
        troubles += [each.trouble for each in electors] + [each.trouble for each in webhooks]
        reasons = [trouble for trouble in troubles if trouble]
        return reasons + (in_office[0].not_ready() if in_office else [])

    def figures() -> Figures:
        return {
            **(in_office[0].figures() if in_office else {}),
            Metric.LEADING: float(bool(in_office)),
        }

    client = Client.from_kubeconfig(options.kubeconfig or None, component=COMPONENT)
    async with client:

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
                annotations={names.VERSION: __version__},
            )
            electors[:] = [elector] if options.leader_elect else []
            await (elector.lead(govern) if options.leader_elect else govern())

        tasks = {"manager": lead(), "liveness": client.liveness.run()}
        if options.webhook:
            rules = manageroptions.rules(options, settings.default_network(options))
            webhooks.append(webhook.Webhook(client, options.webhook, rules))
            tasks["webhook"] = webhooks[0].run()
        if options.health:
            tasks["health"] = health.serve(options.health, not_ready, figures)
        await loop.together(**tasks)


def main(options: settings.ClusterManager) -> None:
    """Runs until a signal ends the process; raises the error that ends it otherwise."""
    loop.run(lambda: run(options))
