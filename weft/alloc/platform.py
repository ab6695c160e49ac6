"""Refuses the addresses and MACs that a network's own routers and servers use.

Pure. These are those of the node's router on a layer3 network, and of the source of DHCP and router
advertisements.
"""

from __future__ import annotations

from ipaddress import ip_network

from weft import model, names, ranges


def objection(network: model.Network, allocation: model.Allocation) -> str:
    """Returns which address or MAC of an allocation belongs to the platform; "" if none does."""
    if allocation.mac == names.SERVER_MAC:
        return f"mac {allocation.mac} belongs to the network's DHCP server and router"
    if network.spec.subnets and names.SERVER_ADDRESS in (str(a.ip) for a in allocation.addresses):
        return f"{names.SERVER_ADDRESS} belongs to the network's DHCP server"
    for part in _parts(network, allocation):
        router, second = own(part)
        if any(address.ip in (router, second) for address in allocation.addresses):
            return f"{router} and {second} in {part} belong to the node"
        if allocation.mac == names.address_mac(router):
            return f"mac {allocation.mac} belongs to the node's router in {part}"
    return ""


def own(subnet: model.Subnet) -> tuple[model.Address, model.Address]:
    """Returns the node's own addresses in its subnet: the router's and the next, kept free."""
    router = ranges.router(subnet).ip
    return router, router + 1


def _parts(network: model.Network, allocation: model.Allocation) -> list[model.Subnet]:
    """Returns the node subnets of a layer3 network that contain the allocation's addresses."""
    spec = network.spec
    return [
        ip_network((int(address.ip), length), strict=False)
        for subnet, length in zip(spec.subnets, spec.host_prefix, strict=False)
        for address in allocation.addresses
        if address.version == subnet.version and address.ip in subnet
    ]
