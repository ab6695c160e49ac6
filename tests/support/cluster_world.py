"""A cluster manager in front of a MemoryApi, and the objects to show it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.support import objects
from tests.support.memory_api import MemoryApi
from tests.support.objects import Object
from weft import model, names
from weft.api import podnetworks, podsignature
from weft.app import settings
from weft.app.cluster import Manager
from weft.kube import resources
from weft.kube.resources import CONFIGMAPS, EVENTS, NODES, PODS, SECRETS

OPTIONS = settings.ClusterManager(workers=4)


def stored(obj: Object, uid: str = "", **status: Any) -> Object:
    """With what an API server adds of its own."""
    meta = obj["metadata"]
    meta |= {"uid": uid or f"{obj['kind']}-{str(resources.key(obj)).replace('/', '-')}"}
    meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
    meta.setdefault("annotations", {})
    return {**obj, "status": status}


def nad(name: str, network: str = "", namespace: str = "default", **config: Any) -> Object:
    merged = {"subnets": "10.1.0.0/24", "cniVersion": "1.0.0", "name": network or name, **config}
    return stored(objects.nad(name, namespace=namespace, **merged))


def raw_nad(name: str, config: str) -> Object:
    return stored(objects.raw_nad(name, config))


def pod(
    name: str,
    networks: object = "blue",
    uid: str = "",
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> Object:
    merged = {"nodeName": "node1", **spec}
    made = objects.pod(name, networks, namespace=namespace, labels=labels, **merged)
    return stored(made, uid, phase="Pending")


def node(name: str, **annotations: str) -> Object:
    """`annotations` by their last part: node_id for k8s.ovn.org/node-id."""
    notes = {f"k8s.ovn.org/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return stored(objects.node(name, notes))


def namespace(name: str, **labels: str) -> Object:
    return stored(objects.namespace(name, **labels))


def notes(api: MemoryApi, name: str) -> dict[str, Any]:
    """What a Node says of id, addresses between routers and subnets, decoded."""
    annotations = api.of(NODES, name)["metadata"]["annotations"]
    return {
        key.removeprefix("k8s.ovn.org/"): json.loads(value) for key, value in annotations.items()
    }


def allocations(api: MemoryApi, key: str) -> dict[str, Any]:
    """What a pod's annotation says by now."""
    text = api.of(PODS, f"default/{key}")["metadata"]["annotations"].get(names.POD_NETWORKS)
    return json.loads(text) if text else {}


def signer(api: MemoryApi) -> podsignature.Signer:
    """The cluster manager's key, as its Secret holds it."""
    (secret,) = api.all(SECRETS).values()
    return podsignature.Signer.load(base64.b64decode(secret["data"]["key"]).decode())


def signed(api: MemoryApi, key: str, entries: dict[str, Any]) -> Object:
    """A patch by which another copy of the cluster manager decides for a pod."""
    meta = api.of(PODS, f"default/{key}")["metadata"]
    text = json.dumps(entries)
    given = podnetworks.parse(
        {"metadata": {"annotations": {names.POD_NETWORKS: text}}}, primary=True
    )
    ref = model.PodRef(model.ObjectKey("default", key), meta["uid"])
    notes = {names.POD_NETWORKS: text}
    notes[names.POD_NETWORKS_SIGNATURE] = signer(api).sign(ref, given)
    return {"metadata": {"annotations": notes}}


def written(api: MemoryApi) -> list[str]:
    """The kinds of what was written in turn, but for the manager's key."""
    return [kind for _, kind, _ in api.writes if kind not in (SECRETS.kind, CONFIGMAPS.kind)]


def address(api: MemoryApi, key: str, nad_key: str = "default/blue") -> str:
    entry = allocations(api, key).get(nad_key, {})
    return str(entry.get("ip_address", ""))


def messages(api: MemoryApi, name: str) -> list[str]:
    """What the Events of the object called `name` say: "Reason: message"."""
    return [
        f"{event['reason']}: {event['message']}"
        for event in api.all(EVENTS).values()
        if event["involvedObject"]["name"] == name
    ]


async def settled(api: MemoryApi, manager: Manager) -> None:
    """Returns when everything was delivered and nobody has anything left to do now."""
    quiet = 0
    while quiet < 5:
        await asyncio.sleep(0)
        busy = (
            manager.writer is None
            or not api.is_drained()
            or len(manager.writer)
            or manager.recorder.is_busy
        )
        quiet = 0 if busy else quiet + 1


@asynccontextmanager
async def managed(
    api: MemoryApi, options: settings.ClusterManager = OPTIONS
) -> AsyncIterator[Manager]:
    """A cluster manager from its start to its sudden end."""
    manager = Manager(api, options)
    task = asyncio.create_task(manager.run())
    try:
        yield manager
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def manage(api: MemoryApi, options: settings.ClusterManager = OPTIONS) -> None:
    """Starts a cluster manager, lets it do all there is to do, and ends it."""
    async with managed(api, options) as manager:
        await settled(api, manager)
