"""Lists the address ranges that weft keeps for itself, and computes a node's address in each.

The joints between routers, the same on every cluster: a node's address follows from its id, so
that every zone knows it without asking. Addresses of pods and nodes' subnets do not live here.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_network

from weft import model

# By family; as ovn-kubernetes has them.
TRANSIT: tuple[model.Subnet, ...] = (ip_network("100.88.0.0/16"), ip_network("fd97::/64"))
JOIN: tuple[model.Subnet, ...] = (ip_network("100.64.0.0/16"), ip_network("fd98::/64"))

# Node ids: 0 means none yet, 1 is the cluster router's place on the join switch.
FIRST_NODE_ID = 2
MAX_NODES = 5000


def numbered(subnet: model.Subnet, number: int) -> model.Interface:
    """The address with this number in `subnet`, with the subnet's prefix length."""
    make = IPv4Interface if subnet.version == 4 else IPv6Interface
    return make((int(subnet.network_address) + number, subnet.prefixlen))


def transit(node_id: int) -> tuple[model.Interface, ...]:
    """A node's addresses on every transit switch, one of each family."""
    return tuple(numbered(subnet, node_id) for subnet in TRANSIT)


def join(node_id: int) -> tuple[model.Interface, ...]:
    """The addresses of a node's gateway router on the join switch, one of each family."""
    return tuple(numbered(subnet, node_id) for subnet in JOIN)


def router(subnet: model.Subnet) -> model.Interface:
    """The router's address in a node's subnet: its pods' gateway."""
    return numbered(subnet, 1)


def dns_servers(subnets: Iterable[model.Subnet]) -> tuple[model.Address, ...]:
    """The addresses of a network's DNS server where it names none: the last of each family."""
    found: dict[int, model.Address] = {}
    for subnet in subnets:
        last = subnet.broadcast_address - (1 if subnet.version == 4 else 0)
        found.setdefault(subnet.version, last)
    return tuple(found.values())
