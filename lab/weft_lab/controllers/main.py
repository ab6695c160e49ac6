"""Runs what the lab needs of a cluster's own controllers, in one process.

These are the scheduler, the allocator of nodes' pod ranges, and the VM controller.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from weft import errors
from weft.control import loop
from weft.kube import cache, client, events, queue, resources
from weft.model import ObjectKey
from weft_lab import foreground, layout, spec
from weft_lab.controllers import orphans
from weft_lab.kubelet import scheduler
from weft_lab.vm import migrationkey

log = logging.getLogger(__name__)

METRICS = f"unix:{layout.CONTROLLERS_SOCKET}"
VM_CONTROLLER = "weft_lab.vm.controller"
GUESTS = "weft_lab.vm.ready"
NODE_PREFIX = 24


@dataclass(frozen=True, slots=True)
class Config:
    kubeconfig: str


async def run(config: Config) -> None:
    """Until cancelled."""
    async with client.Client.from_kubeconfig(config.kubeconfig) as api:
        recorder = events.Recorder(api, "default-scheduler")
        indexes = {"node": scheduler.node_of, "affinity": scheduler.concerned}
        pods = cache.Cache(api, resources.PODS, indexes=indexes, keep=keep_pod)
        nodes = cache.Cache(api, resources.NODES)
        parts = {
            "events": recorder.run(),
            "pods": pods.run(),
            "nodes": nodes.run(),
            "scheduler": scheduler.Scheduler(api, pods, nodes, recorder).run(),
            "node ranges": Ranges(api, nodes).run(),
            "orphans": orphans.Orphans(api, pods, nodes).run(),
        }
        if importlib.util.find_spec(VM_CONTROLLER) is not None:
            parts["vm controller"] = importlib.import_module(VM_CONTROLLER).run(api, METRICS)
            await migrationkey.make(api)
            parts["guests"] = prepare_guests()
        log.info("scheduling")
        await loop.together(**parts)


async def prepare_guests() -> None:
    """Make what guests need; a guest that starts earlier makes it itself."""
    await importlib.import_module(GUESTS).prepare()
    await asyncio.Event().wait()


def keep_pod(pod: dict[str, Any]) -> dict[str, Any]:
    """The fields of a pod that a scheduler reads."""
    meta, spec = pod["metadata"], pod["spec"]
    kept = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "labels")
    fields = ("nodeName", "nodeSelector", "affinity", "schedulerName", "topologySpreadConstraints")
    return {
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {name: spec[name] for name in fields if name in spec},
        "status": {"phase": (pod.get("status") or {}).get("phase", "")},
    }


class Ranges:
    """Gives every node a part of the cluster's pod range, which it keeps."""

    def __init__(self, api: client.Client, nodes: cache.Cache) -> None:
        self._api, self._nodes = api, nodes
        self._queue = queue.Queue[ObjectKey]("node ranges")
        self._given: dict[str, str] = {}

    async def run(self) -> None:
        await self._nodes.synced()
        self._nodes.subscribe(lambda name, old, new: self._queue.add(name))
        await self._queue.run(self._reconcile, workers=1)

    async def _reconcile(self, key: ObjectKey) -> None:
        name, node = key.name, self._nodes.get(key)
        if node is None:
            self._given.pop(name, None)
            return
        if (node.get("spec") or {}).get("podCIDR"):
            return
        known = (n.get("spec", {}).get("podCIDR", "") for n in self._nodes.objects())
        chosen = self._given.get(name) or choose_range([*known, *self._given.values()])
        self._given[name] = chosen
        body = {"spec": {"podCIDR": chosen, "podCIDRs": [chosen]}}
        await self._api.patch(resources.NODES, name, "", body)


def choose_range(taken: Iterable[str]) -> str:
    """The lowest free part, from the second on, so that node1 has 10.244.1.0/24."""
    used = set(taken)
    parts = spec.PODS.subnets(new_prefix=NODE_PREFIX)
    next(parts)
    for part in parts:
        if str(part) not in used:
            return str(part)
    raise errors.Exhausted(f"every /{NODE_PREFIX} of {spec.PODS} belongs to a node")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="controllers", description="the lab's controllers")
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API")
    config = Config(parser.parse_args(argv).kubeconfig)
    return foreground.serve(lambda: run(config))


if __name__ == "__main__":
    sys.exit(main())
