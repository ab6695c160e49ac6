"""Attaches pods to physical networks: waits for the node's mapping, and announces new NICs.

Open vSwitch reports a port installed on a node that has no mapping for its network, so an ADD
checks this itself (ADR 0103).
"""

from __future__ import annotations

import asyncio
import logging

from weft import errors, model, names, rows
from weft.host import netns, rawsocket
from weft.nic import bridgemappings, plan, port
from weft.node.dependencies import Dependencies
from weft.ovn import announcement

log = logging.getLogger(__name__)


def missing(spec: model.NetworkSpec, deps: Dependencies) -> errors.NotReady | None:
    """Returns why the node does not lead to the physical network of a localnet; None if it does,
    or the network is no localnet."""
    if spec.topology is not model.Topology.LOCALNET:
        return None
    found = deps.ovs.get("Open_vSwitch", "")
    known = bridgemappings.parse(port.external_ids(found[1]) if found is not None else {})
    bridge = known.get(spec.physical_network)
    where = f"network {spec.name} on node {deps.node}"
    if bridge is None:
        listed = f" (it has {', '.join(sorted(known))})" if known else ""
        return errors.NotReady(
            f"{bridgemappings.KEY} of the node's Open vSwitch lacks physical network "
            f"{spec.physical_network}{listed}",
            where=where,
            hint=f"add {spec.physical_network}:<bridge> to external_ids:{bridgemappings.KEY} "
            "there, or run the pod on a node that has it",
        )
    if deps.ovs.get("Bridge", bridge) is None:
        return errors.NotReady(
            f"{bridgemappings.KEY} of the node's Open vSwitch leads to bridge {bridge}, which "
            "does not exist",
            where=where,
            hint=f"make bridge {bridge} in Open vSwitch there, or correct the mapping",
        )
    return None


async def mapped(spec: model.NetworkSpec, deps: Dependencies) -> None:
    """Waits until the node leads to the physical network of a localnet."""
    changed = asyncio.Event()
    ends = [
        deps.ovs.subscribe(table, lambda *_: changed.set()) for table in ("Open_vSwitch", "Bridge")
    ]
    try:
        while missing(spec, deps) is not None:
            changed.clear()
            await changed.wait()
    finally:
        for end in ends:
            end()


async def joined(spec: model.NetworkSpec, deps: Dependencies) -> None:
    """Waits until ovn-controller has joined the zone's switch to the mapping's bridge."""
    if spec.topology is model.Topology.LOCALNET:
        name = names.patch_port(names.localnet_switch_port(spec.name))
        await deps.ovs.wait_for("Interface", name, _is_open)


def narrow(spec: model.NetworkSpec, deps: Dependencies) -> str:
    """Returns why large packets of a localnet do not leave the node; empty if they do.

    The bridge's own port is not on their way, and patch ports have no MTU.
    """
    settings = deps.ovs.get("Open_vSwitch", "")
    known = bridgemappings.parse(port.external_ids(settings[1]) if settings is not None else {})
    name = known.get(spec.physical_network, "")
    bridge = deps.ovs.get("Bridge", name)
    if spec.topology is not model.Topology.LOCALNET or bridge is None:
        return ""
    ports, interfaces = deps.ovs.rows("Port"), deps.ovs.rows("Interface")
    mtu, device = bridgemappings.narrowest(bridge[1], ports, interfaces)
    if not mtu or mtu >= spec.mtu:
        return ""
    return (
        f"network {spec.name} on node {deps.node}: port {device} of bridge {name} has MTU {mtu}, "
        f"and the network {spec.mtu}: larger packets are lost (raise the MTU of {device}, if the "
        f"physical network has it, or set mtu of the network to {mtu})"
    )


def _is_open(columns: rows.Columns | None) -> bool:
    return columns is not None and port.number(columns) > 0


async def announce(nic: plan.Nic, namespace: str) -> None:
    """Sends the announcements of a NIC out of it; a failure is logged alone."""
    try:
        await netns.run_inside(
            namespace,
            rawsocket.send,
            nic.interface,
            announcement.frames(nic.mac, nic.addresses),
        )
    except (OSError, netns.Gone) as error:
        log.warning("interface %s is not announced on its network: %s", nic.device, error)
