"""What does a Node say of its zone, and how does this node say it of its own?"""

from __future__ import annotations

import logging
from typing import Any

from weft import errors, model, names
from weft.api import nodeinfo
from weft.kube import cache, resources
from weft.kube.client import Client

log = logging.getLogger(__name__)

_NOTES = (
    names.NODE_CHASSIS_ID,
    names.NODE_ENCAP_IPS,
    names.NODE_ID,
    names.NODE_TRANSIT,
    names.NODE_SUBNETS,
    names.NODE_GATEWAY,
)


def read(obj: dict[str, Any]) -> model.NodeInfo | None:
    """None where what a node says cannot be understood."""
    try:
        return nodeinfo.parse(obj)
    except errors.InvalidInput as error:
        log.warning("%s", error)
        return None


def slim(obj: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a Node; its status is large and changes with every heartbeat."""
    meta = obj["metadata"]
    kept = {key: meta[key] for key in ("name", "uid", "resourceVersion")}
    notes = meta.get("annotations") or {}
    kept["annotations"] = {key: notes[key] for key in _NOTES if key in notes}
    return {"apiVersion": "v1", "kind": "Node", "metadata": kept}


def watch(client: Client) -> cache.Cache:
    return cache.Cache(client, resources.NODES, keep=slim)


async def announce(
    client: Client, nodes: cache.Cache, own: model.NodeInfo, *, primary: bool = False
) -> None:
    """Write this node's chassis and tunnel endpoints on its Node, unless they stand there.

    And where weft is the `primary` network its gateway, which is another's to write otherwise.
    """
    node = nodes.get(own.name)
    if node is None:
        raise errors.NotReady(
            "does not exist yet", where=f"Node {own.name}", hint="is --node its exact name?"
        )
    notes: dict[str, str | None] = {**nodeinfo.render_zone(own.chassis, own.encap_ips)}
    if primary:
        notes |= nodeinfo.render_gateway(own.gateway)
    there = node["metadata"]["annotations"]
    if any(there.get(key) != value for key, value in notes.items()):
        await client.patch(resources.NODES, own.name, "", {"metadata": {"annotations": notes}})
        log.info("node %s announced as chassis %s", own.name, own.chassis)
