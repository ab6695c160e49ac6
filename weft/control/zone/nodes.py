"""Publishes what this node's agent says of it on its Node: annotations and labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from weft import __version__, errors, model, names
from weft.api import nodeinfo
from weft.control.zone.objects import Node
from weft.kube import resources
from weft.kube.client import Client

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Announcement:
    """The annotations that this node's agent keeps on its Node, and the labels that begin as those
    for physical networks."""

    annotations: Mapping[str, str | None]
    labels: Mapping[str, str] = field(default_factory=dict)


def announcement(
    own: model.NodeInfo, *, primary: bool, mappings: Mapping[str, str] | None = None
) -> Announcement:
    """Returns what this node's agent keeps on its Node.

    Its chassis, tunnel endpoints and version; the bridge of each physical network in `mappings`;
    and its gateway where weft serves the `primary` network, which otherwise another plugin writes.
    """
    desired: dict[str, str | None] = {**nodeinfo.render_zone(own.chassis, own.encap_ips)}
    desired[names.VERSION] = __version__
    desired |= nodeinfo.render_mappings(mappings or {})
    if primary:
        desired |= nodeinfo.render_gateway(own.gateway)
    return Announcement(desired, nodeinfo.mapping_labels(mappings or {}))


def unannounced(
    node: Node | None, own: model.NodeInfo, desired: Announcement
) -> errors.NotReady | None:
    """Returns why other nodes do not know this one; None when its Node says all that it should."""
    if node is None:
        return errors.NotReady(
            "does not exist yet", where=f"Node {own.name}", hint="is --node its exact name?"
        )
    notes = desired.annotations
    wrong = [key for key, value in notes.items() if node.annotations.get(key) != value]
    wrong += sorted(key for key, _ in desired.labels.items() ^ node.labels.items())
    if not wrong:
        return None
    return errors.NotReady(
        f"does not say {', '.join(wrong)} as it should: other nodes may not reach its pods",
        where=f"Node {own.name}",
    )


async def announce(
    client: Client, node: Node | None, own: model.NodeInfo, desired: Announcement
) -> None:
    """Writes what is desired to this node's Node unless it is there; NotReady without a Node."""
    lack = unannounced(node, own, desired)
    if lack is None:
        return
    if node is None:
        raise lack
    meta: dict[str, object] = {"annotations": desired.annotations}
    if labels := {**dict.fromkeys(node.labels), **desired.labels}:
        meta["labels"] = labels
    await client.patch(resources.NODES, own.name, "", {"metadata": meta})
    log.info("node %s announced as chassis %s", own.name, own.chassis)
