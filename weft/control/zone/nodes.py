"""Parses a Node for a zone, and publishes this node's own annotations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weft import __version__, errors, model, names
from weft.api import nodeinfo
from weft.kube import cache, resources
from weft.kube.client import Client

log = logging.getLogger(__name__)

# Annotation to what it says of a node.
_FIELDS = {
    names.NODE_CHASSIS_ID: "chassis",
    names.NODE_ENCAP_IPS: "encap_ips",
    names.NODE_ID: "id",
    names.NODE_TRANSIT: "transit",
    names.NODE_SUBNETS: "subnets",
    names.NODE_GATEWAY: "gateway",
}


def read(obj: dict[str, Any], before: model.NodeInfo | None = None) -> model.NodeInfo | None:
    """What a node says; what of it cannot be understood is as it was before, or not there.

    One slip takes neither the node's tunnels nor its other networks away.
    """
    notes = dict(obj["metadata"].get("annotations") or {})
    kept: dict[str, Any] = {}
    while True:
        try:
            info = nodeinfo.parse({"metadata": {**obj["metadata"], "annotations": notes}})
            return replace(info, **kept)
        except errors.InvalidInput as error:
            log.warning("%s", error)
            broken = [name for name in _FIELDS if name in notes and error.field.startswith(name)]
            if not broken:
                return before
            for name in broken:
                del notes[name]
                if before is not None:
                    kept[_FIELDS[name]] = getattr(before, _FIELDS[name])


def slim(obj: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a Node, and weft's own condition; the rest of its status is large and
    changes with every heartbeat."""
    meta = obj["metadata"]
    kept = {key: meta[key] for key in ("name", "uid", "resourceVersion")}
    notes = meta.get("annotations") or {}
    kept["annotations"] = {key: notes[key] for key in (*_FIELDS, names.VERSION) if key in notes}
    slim = {"apiVersion": "v1", "kind": "Node", "metadata": kept}
    conditions = (obj.get("status") or {}).get("conditions") or ()
    own = [one for one in conditions if one.get("type") == names.OVN_CONDITION]
    return {**slim, "status": {"conditions": own}} if own else slim


def watch(client: Client) -> cache.Cache:
    return cache.Cache(client, resources.NODES, keep=slim)


def announcement(own: model.NodeInfo, *, primary: bool) -> dict[str, str | None]:
    """The annotations that this node's agent keeps on its Node.

    Its chassis, tunnel endpoints and version; and where weft is the `primary` network its gateway,
    which is another's to write otherwise.
    """
    notes: dict[str, str | None] = {**nodeinfo.render_zone(own.chassis, own.encap_ips)}
    notes[names.VERSION] = __version__
    return notes | nodeinfo.render_gateway(own.gateway) if primary else notes


def unannounced(
    nodes: cache.Cache, own: model.NodeInfo, notes: Mapping[str, str | None]
) -> errors.NotReady | None:
    """Why other nodes do not know this one as it is; None when its Node says what it should."""
    node = nodes.get(own.name)
    if node is None:
        return errors.NotReady(
            "does not exist yet", where=f"Node {own.name}", hint="is --node its exact name?"
        )
    there = node["metadata"]["annotations"]
    wrong = [key for key, value in notes.items() if there.get(key) != value]
    if not wrong:
        return None
    return errors.NotReady(
        f"does not say {', '.join(wrong)} as it should: other nodes may not reach its pods",
        where=f"Node {own.name}",
    )


async def announce(
    client: Client, nodes: cache.Cache, own: model.NodeInfo, notes: Mapping[str, str | None]
) -> None:
    """Write the announcement on this node's Node, unless it stands there."""
    lack = unannounced(nodes, own, notes)
    if lack is None:
        return
    if nodes.get(own.name) is None:
        raise lack
    await client.patch(resources.NODES, own.name, "", {"metadata": {"annotations": notes}})
    log.info("node %s announced as chassis %s", own.name, own.chassis)
