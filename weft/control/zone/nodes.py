"""What does a Node say of its zone, and how does this node say it of its own?"""

from __future__ import annotations

import logging
from typing import Any

from weft import errors, model
from weft.api import nodeinfo
from weft.kube import client as kube
from weft.kube import resources

log = logging.getLogger(__name__)


def read(obj: dict[str, Any]) -> model.NodeInfo | None:
    """None where what a node says cannot be understood."""
    try:
        return nodeinfo.parse(obj)
    except errors.InvalidInput as error:
        log.warning("%s", error)
        return None


async def announce(client: kube.Client, own: model.NodeInfo) -> None:
    """Write this node's chassis and tunnel endpoints on its Node, unless they stand there."""
    notes = nodeinfo.render_zone(own.chassis, own.encap_ips)
    node = await client.get(resources.NODES, own.name)
    there = node["metadata"].get("annotations") or {}
    if any(there.get(key) != value for key, value in notes.items()):
        await client.patch(resources.NODES, own.name, "", {"metadata": {"annotations": notes}})
        log.info("node %s announced as chassis %s", own.name, own.chassis)
