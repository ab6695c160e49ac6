"""Publishes this node's own annotations on its Node."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from weft import __version__, errors, model, names
from weft.api import nodeinfo
from weft.control.zone.objects import Node
from weft.kube import resources
from weft.kube.client import Client

log = logging.getLogger(__name__)


def announcement(own: model.NodeInfo, *, primary: bool) -> dict[str, str | None]:
    """Returns the annotations that this node's agent keeps on its Node.

    Its chassis, tunnel endpoints and version; and its gateway where weft serves the `primary`
    network, which otherwise another plugin writes.
    """
    desired: dict[str, str | None] = {**nodeinfo.render_zone(own.chassis, own.encap_ips)}
    desired[names.VERSION] = __version__
    return desired | nodeinfo.render_gateway(own.gateway) if primary else desired


def unannounced(
    node: Node | None, own: model.NodeInfo, desired: Mapping[str, str | None]
) -> errors.NotReady | None:
    """Returns why other nodes do not know this one; None when its Node has the annotations."""
    if node is None:
        return errors.NotReady(
            "does not exist yet", where=f"Node {own.name}", hint="is --node its exact name?"
        )
    wrong = [key for key, value in desired.items() if node.annotations.get(key) != value]
    if not wrong:
        return None
    return errors.NotReady(
        f"does not say {', '.join(wrong)} as it should: other nodes may not reach its pods",
        where=f"Node {own.name}",
    )


async def announce(
    client: Client, node: Node | None, own: model.NodeInfo, desired: Mapping[str, str | None]
) -> None:
    """Writes the annotations on this node's Node unless it has them; NotReady without a Node."""
    lack = unannounced(node, own, desired)
    if lack is None:
        return
    if node is None:
        raise lack
    await client.patch(resources.NODES, own.name, "", {"metadata": {"annotations": desired}})
    log.info("node %s announced as chassis %s", own.name, own.chassis)
