"""Reads from Open vSwitch which chassis this node is, and where its tunnels end."""

from __future__ import annotations

from weft import model, rows
from weft.api import nodeinfo
from weft.nic import port
from weft.ovsdb import replica


def own_info(node: str, columns: rows.Columns) -> model.NodeInfo:
    """This node's chassis and endpoints, as the Open_vSwitch row says them so far."""
    ids = port.external_ids(columns)
    endpoints = str(ids.get("ovn-encap-ip", "")).split(",")
    return model.NodeInfo(
        name=node,
        chassis=str(ids.get("system-id", "")),
        encap_ips=tuple(text.strip() for text in endpoints if text.strip()),
    )


def is_whole(own: model.NodeInfo) -> bool:
    """Whether the switch was told all that a chassis needs."""
    return bool(own.chassis and own.encap_ips)


def trouble(node: str, ovs: replica.Replica) -> str:
    """Why the switch does not know its chassis any more; empty while it does."""
    found = ovs.get("Open_vSwitch", "")
    if found is not None and is_whole(own_info(node, found[1])):
        return ""
    where = f"Open vSwitch of node {node}"
    return f"{where}: external_ids have lost system-id or ovn-encap-ip"


async def await_own(ovs: replica.Replica, node: str) -> model.NodeInfo:
    """Waits until the switch was told its chassis and endpoint."""

    def told(columns: rows.Columns | None) -> bool:
        return columns is not None and is_whole(own_info(node, columns))

    found = await ovs.wait_for("Open_vSwitch", "", told)
    assert found is not None
    own = own_info(node, found[1])
    check_own(own)
    return own


def check_own(own: model.NodeInfo) -> None:
    """Refuses an identity that no port can be bound to."""
    subject = f"Open vSwitch of node {own.name}"
    nodeinfo.check_chassis(subject, "external_ids:system-id", own.chassis)
