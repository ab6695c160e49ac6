"""Reads a node's chassis name and tunnel endpoints from Open vSwitch, and checks them.

The node's administrator sets them (ADR 0082), or `weft.node.switchsettings` does (ADR 0091).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from weft import errors, model, rows
from weft.api import nodeinfo
from weft.nic import bridgemappings, port
from weft.nic.bridgemappings import setting
from weft.ovsdb import replica

TUNNEL = "geneve"


class Moved(errors.WeftError):
    """The node's chassis name or tunnel endpoint changed: the process must restart."""

    retry = True


def own_info(node: str, columns: rows.Columns) -> model.NodeInfo:
    """Returns the chassis and endpoints in the Open_vSwitch row; missing fields are empty."""
    ids = port.external_ids(columns)
    return model.NodeInfo(
        name=node,
        chassis=str(ids.get("system-id", "")),
        encap_ips=_listed(setting(ids, "ovn-encap-ip")),
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def is_whole(own: model.NodeInfo) -> bool:
    """Whether chassis name and tunnel endpoint are known."""
    return bool(own.chassis and own.encap_ips)


@dataclass(frozen=True, slots=True)
class Needs:
    """The values that a node's Open vSwitch settings must keep.

    `remote` is `ovn-remote` as it was when the agent started, empty if it was not set;
    `physical_network` is that of the node's gateway, empty without a gateway.
    """

    node: str
    remote: str = ""
    physical_network: str = ""
    bridge: str = port.BRIDGE


def needs(node: str, ovs: replica.Replica, physical_network: str) -> Needs:
    """Returns the needs of an agent that starts now."""
    found = ovs.get("Open_vSwitch", "")
    ids = port.external_ids(found[1]) if found is not None else {}
    return Needs(node, setting(ids, "ovn-remote"), physical_network)


def trouble(needed: Needs, ovs: replica.Replica) -> str:
    """Returns why the switch cannot be this node's chassis any more; empty while it can."""
    found = ovs.get("Open_vSwitch", "")
    faults = [*_faults(needed, port.external_ids(found[1]) if found is not None else {})]
    if not faults:
        return ""
    return f"Open vSwitch of node {needed.node}: external_ids: {'; '.join(faults)}"


def _faults(needed: Needs, ids: Mapping[str, rows.Atom]) -> Iterator[str]:
    lost = [key for key in ("system-id", "ovn-encap-ip", "ovn-remote") if not setting(ids, key)]
    if lost:
        yield f"{', '.join(lost)} lost"
    kinds = _listed(setting(ids, "ovn-encap-type"))
    if TUNNEL not in kinds:
        yield f"ovn-encap-type is {','.join(kinds) or 'lost'}, and must be {TUNNEL}"
    bridge = setting(ids, "ovn-bridge")
    if bridge not in ("", needed.bridge):
        yield f"ovn-bridge is {bridge}, and must be {needed.bridge}"
    remote = setting(ids, "ovn-remote")
    if remote and needed.remote not in ("", remote):
        yield f"ovn-remote is {remote}, and was {needed.remote} (restart the agent if intended)"
    known = bridgemappings.parse(ids)
    if needed.physical_network and needed.physical_network not in known:
        yield f"{bridgemappings.KEY} lacks {needed.physical_network}"


async def await_own(ovs: replica.Replica, node: str) -> model.NodeInfo:
    """Waits until Open vSwitch has a chassis name and a tunnel endpoint; returns them.

    Raises InvalidInput for an invalid chassis name.
    """

    def is_complete(columns: rows.Columns | None) -> bool:
        return columns is not None and is_whole(own_info(node, columns))

    found = await ovs.wait_for("Open_vSwitch", "", is_complete)
    assert found is not None
    own = own_info(node, found[1])
    check_own(own)
    return own


def check_own(own: model.NodeInfo) -> None:
    """Raises InvalidInput for a chassis name that no port can be bound to."""
    subject = f"Open vSwitch of node {own.name}"
    nodeinfo.check_chassis(subject, "external_ids:system-id", own.chassis)


async def watch(own: model.NodeInfo, ovs: replica.Replica) -> NoReturn:
    """Raises Moved when Open vSwitch gets another chassis name or tunnel endpoint."""

    def differs(columns: rows.Columns | None) -> bool:
        if columns is None:
            return False
        now = own_info(own.name, columns)
        # A missing key is no change: it is written again, or `trouble` reports it.
        return now != own and is_whole(now)

    await ovs.wait_for("Open_vSwitch", "", differs)
    where = f"Open vSwitch of node {own.name}"
    raise Moved("chassis or tunnel endpoint was changed", where=where)
