"""Defines the tunnel keys of weft's datapaths and ports, by which OVN's zones know them alike.

Nothing here is chosen: a key follows from a network's id and from what it is for, or there is an
order of those that may be.
"""

from __future__ import annotations

from collections.abc import Iterator

# Datapath keys come from the range that northd never allocates by itself; port keys
# below FIRST_POD_TUNNEL_KEY belong to weft (router, advertiser and localnet ports).
FIRST_DATAPATH_KEY = 16711683
FIRST_POD_TUNNEL_KEY = 10
LAST_POD_TUNNEL_KEY = 30719  # pods get them in turn; those above are of ports beside theirs
LAST_TUNNEL_KEY = 32767
MAX_NETWORKS = 4096
# Datapaths that exist in one zone only; each kind has room for all networks. Their keys are fixed
# too: after a lost Southbound database, a packet in connection tracking continues in the datapath
# that now has its key, which must be the same one and not one with other ACLs.
FIRST_LOCAL_KEY = 1 << 20
_LOCAL = ("node switch", "cluster router", "join switch", "gateway router", "external switch")
ROUTER_TUNNEL_KEY = 2
# Port keys, likewise fixed, that lead from a datapath of one zone to its neighbours.
_TOWARDS = {
    "cluster router": ("node switch", "transit switch", "join switch"),
    "join switch": ("cluster router", "gateway router"),
    "gateway router": ("join switch", "external switch"),
    "external switch": ("gateway router", "physical network"),
}
ADVERTISER_TUNNEL_KEY = 1
LOCALNET_TUNNEL_KEY = 3


def datapath_key(network_id: int) -> int:
    """24-bit tunnel key of a network's switch, the same in every zone."""
    return FIRST_DATAPATH_KEY + network_id


def stand_in_keys(tunnel_id: int) -> Iterator[int]:
    """Tunnel keys for a port beside the one with this key (`ports.stand_in`), the first choice
    first. No pod gets any of them."""
    count = LAST_TUNNEL_KEY - LAST_POD_TUNNEL_KEY
    return (LAST_POD_TUNNEL_KEY + 1 + (tunnel_id + step) % count for step in range(count))


def local_datapath_key(kind: str, network_id: int) -> int:
    """Tunnel key of a zone's own switch or router of this kind."""
    return FIRST_LOCAL_KEY + _LOCAL.index(kind) * MAX_NETWORKS + network_id


def local_port_key(kind: str, towards: str) -> int:
    """Tunnel key of the port that leads from such a switch or router to its neighbour."""
    return 1 + _TOWARDS[kind].index(towards)
