"""The processes that `scale` measures: the real cluster manager, and agents without a switch.

    python -m bench.scaleparts manager KUBECONFIG
    python -m bench.scaleparts agent KUBECONFIG NODE [NB SB]

An agent has its informers and its zone, and, with the addresses of two databases, the writer of
their rows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from bench import ports
from bench.processes import Found, Traffic, serve
from weft.app import cluster, settings
from weft.control import loop
from weft.control.zone import informers, nads, pods, state, writer
from weft.kube.client import Client
from weft.model import ObjectKey
from weft.ovn import tables
from weft.ovsdb.replica import Replica

ENDPOINTS = bool(os.environ.get(settings.POD_ENDPOINTS.env))


async def manage(kubeconfig: str) -> None:
    managers: list[cluster.Manager] = []
    traffic: list[Traffic] = []

    def began(manager: cluster.Manager) -> None:
        managers.append(manager)
        traffic.append(Traffic(manager._client))

    def figures() -> Found:
        writing = managers[0].writer if managers else None
        counted = traffic[0].figures() if traffic else {}
        return {**counted, "queued": len(writing) if writing is not None else None}

    options = settings.ClusterManager(kubeconfig=kubeconfig, pod_endpoints=ENDPOINTS)
    await loop.together(manager=cluster.run(options, began), figures=serve(figures))


class Agent:
    """The part of an agent that costs the API server something."""

    def __init__(self, client: Client, node: str) -> None:
        self._traffic = Traffic(client)
        self.informers = found = informers.Informers(
            client,
            node,
            default_mtu=1400,
            primary=False,
            keys_namespace="default",
            endpoints=ENDPOINTS,
        )
        self.zone = state.Zone(node, f"chassis-{node}")
        self._pods = pods.ZonePods(
            self.zone, found.pods, found.keys, self._changed, lambda *_: None, found.endpoints
        )
        self._writer: writer.OvnWriter | None = None
        self._arrived: dict[ObjectKey, float] = {}

    def _changed(self) -> None:
        if self._writer is not None and len(self.zone):
            self._writer.wake()

    async def run(self, databases: list[str]) -> None:
        async with AsyncExitStack() as stack:
            nb: Replica | None = None
            if databases:
                nb, sb = [
                    await stack.enter_async_context(
                        await Replica.open(address, name, known, patience=20)
                    )
                    for address, name, known in zip(
                        databases,
                        (tables.NORTHBOUND, tables.SOUTHBOUND),
                        ((*tables.NB, ports.COUNTS), tables.SB),
                        strict=True,
                    )
                ]
                self._writer = writer.OvnWriter(self.zone, nb, sb)
            await loop.together(
                **self.informers.tasks(),
                control=self._control(nb),
            )

    async def _control(self, nb: Replica | None) -> None:
        for each in self.informers.all():
            await each.synced()
        await self._pods.known()
        found = self.informers
        found.namespaces.subscribe(lambda key, _, new: self.zone.set_namespace(key.name, new))
        found.nads.subscribe(self._nad_changed)
        self._pods.start()
        found.nodes.subscribe(
            lambda key, _, new: self.zone.set_node(key.name, new.info if new is not None else None)
        )
        found.pods.subscribe(self._arrives)
        if found.endpoints is not None:
            found.endpoints.subscribe(self._arrives)
        loop.settle()
        parts: dict[str, Any] = {}
        if self._writer is not None and nb is not None:
            parts["writer"] = asyncio.create_task(self._writer.run())
            self._writer.wake()
            await self._writer.settled()
            await ports.caught_up(nb)
        else:
            self.zone.desired()
            self.zone.forget_changes()
        await serve(self.figures)

    def _nad_changed(self, key: ObjectKey, _: object, new: Any) -> None:
        before = self.zone.networks.get(key)
        self.zone.set_nad(key, nads.standing(new, before) if new is not None else None)
        self._changed()

    def _arrives(self, key: ObjectKey, _: object, new: object) -> None:
        """Notes when a pod of another node has its port here; subscribed after the zone."""
        if new is None:
            self._arrived.pop(key, None)
        elif key not in self._arrived and key in self.zone._ports_of_pod:
            self._arrived[key] = time.monotonic()

    def figures(self) -> Found:
        networks = [name for name in self.zone._local if self.zone.realised(name)]
        return {
            **self._traffic.figures(),
            "pods": len(self.informers.pods)
            + (len(self.informers.endpoints) if self.informers.endpoints is not None else 0),
            "networks": len(networks),
            "ports": sum(len(list(self.zone.ports_on(name))) for name in networks),
            "arrived": {
                str(key): at for key, at in self._arrived.items() if key.name.startswith("lone")
            },
        }


async def serve_agent(kubeconfig: str, node: str, *databases: str) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        await Agent(client, node).run(list(databases))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    kind, *rest = sys.argv[1:]
    uvloop.run(manage(*rest) if kind == "manager" else serve_agent(*rest))
