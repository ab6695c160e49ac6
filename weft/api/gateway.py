"""Parses the settings of a node's gateway."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from weft import errors, model, names
from weft.api import notation

_Read = TypeVar("_Read", model.Interface, model.Address)


def parse(
    node: str,
    *,
    addresses: str,
    next_hops: str = "",
    physical_network: str = "physnet",
    endpoints: Collection[str] = (),
) -> model.Gateway | None:
    """The node's gateway, None if it has no address; raises the first problem.

    `endpoints` are the node's tunnel endpoints. Pods send from the gateway's address: if it were an
    endpoint, other nodes would accept a pod's packets as tunnel packets.
    """
    own = _listed("--gateway-address", addresses, notation.interface)
    hops = _listed("--gateway-next-hop", next_hops, notation.address)
    if not own:
        if hops:
            rule = "is given without --gateway-address, and a gateway needs an address"
            raise errors.InvalidInput("weft node", "--gateway-next-hop", next_hops, rule)
        return None
    for hop in hops:
        if not any(hop in address.network for address in own):
            rule = f"is not on the network of --gateway-address {addresses}"
            raise errors.InvalidInput("weft node", "--gateway-next-hop", str(hop), rule)
    for address in own:
        if str(address.ip) in endpoints:
            rule = "is the node's tunnel endpoint (ovn-encap-ip); the gateway needs one of its own"
            raise errors.InvalidInput("weft node", "--gateway-address", str(address), rule)
    if not physical_network:
        rule = "is empty; it must name the gateway's network in ovn-bridge-mappings"
        raise errors.InvalidInput("weft node", "--physical-network", None, rule)
    return model.Gateway(
        mac=names.address_mac(min(own, key=lambda address: address.version).ip),
        addresses=own,
        next_hops=hops,
        interface_id=names.localnet_port(node, physical_network),
    )


def _listed(flag: str, text: str, read: Callable[[str], _Read]) -> tuple[_Read, ...]:
    """A comma list with at most one item of each family."""
    found: dict[int, _Read] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        try:
            one = read(item)
        except ValueError as error:
            raise errors.InvalidInput("weft node", flag, item, str(error)) from None
        if one.version in found:
            rule = f"is a second IPv{one.version} address; give one of each family"
            raise errors.InvalidInput("weft node", flag, item, rule)
        found[one.version] = one
    return tuple(found.values())
