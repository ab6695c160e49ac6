"""UserDefinedNetworks and ClusterUserDefinedNetworks as users write them, valid or broken.

`INVALID` and `CLUSTER_INVALID` have by case the network, and a part of what an API server says.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tests.support import objects
from weft.kube.resources import CUDNS, UDNS

Object = dict[str, Any]
FOUR, SIX = "10.9.0.0/24", "fd00:9::/64"
LAYER2 = {"role": "Secondary", "subnets": [FOUR, SIX]}
LAYER3 = {"role": "Secondary", "subnets": [{"cidr": "10.64.0.0/16", "hostSubnet": 24}]}
LOCALNET = {"role": "Secondary", "physicalNetworkName": "blue", "subnets": [FOUR]}
PRIMARY = {"role": "Primary", "subnets": [FOUR]}


def network(topology: str, block: Mapping[str, Any]) -> Object:
    return {"topology": topology, topology.lower(): dict(block)}


def udn(spec: Object, name: str = "db") -> Object:
    return {**objects.named(UDNS, name), "spec": copy.deepcopy(spec)}


def cudn(spec: Object, name: str = "pay", **labels: str) -> Object:
    chosen = {"namespaceSelector": {"matchLabels": labels}}
    return {**objects.named(CUDNS, name), "spec": {**chosen, "network": copy.deepcopy(spec)}}


def two(**block: Any) -> Object:
    return network("Layer2", {**LAYER2, **block})


def routed(*subnets: Object, **block: Any) -> Object:
    return network("Layer3", {**LAYER3, **({"subnets": list(subnets)} if subnets else {}), **block})


def physical(**block: Any) -> Object:
    return network("Localnet", {**LOCALNET, **block})


def part(cidr: str, length: int | None = None) -> Object:
    return {"cidr": cidr, **({"hostSubnet": length} if length is not None else {})}


VALID = {
    "layer2": two(mtu=1280, ipam={"mode": "Enabled", "lifecycle": "Persistent"}),
    "layer2 without addresses": network(
        "Layer2", {"role": "Secondary", "ipam": {"mode": "Disabled"}}
    ),
    "layer2 with a small MTU": two(subnets=[FOUR], mtu=576),
    "layer3": routed(part("10.64.0.0/16", 24), part("fd00::/48", 64), mtu=1400),
    "primary": network(
        "Layer2",
        {
            **PRIMARY,
            "reservedSubnets": ["10.9.0.0/28"],
            "infrastructureSubnets": ["10.9.0.16/28"],
            "defaultGatewayIPs": ["10.9.0.17"],
            "joinSubnets": ["100.65.0.0/16"],
        },
    ),
}
INVALID = {
    "no topology": ({"layer2": LAYER2}, "spec.topology"),
    "topology": (network("Flat", LAYER2), "spec.topology"),
    "no field of the topology": ({"topology": "Layer2"}, "layer2 is required with topology"),
    "field of another": (
        {**two(), "layer3": LAYER3},
        "layer3 is required with topology Layer3, and goes with no other",
    ),
    "no role": (network("Layer2", {"subnets": [FOUR]}), "spec.layer2.role"),
    "role": (two(role="Third"), "spec.layer2.role"),
    "no subnets": (network("Layer2", {"role": "Secondary"}), "subnets are required unless"),
    "subnets without addresses": (two(ipam={"mode": "Disabled"}), "subnets must be absent"),
    "no subnets listed": (two(subnets=[]), "should have at least 1 items"),
    "no subnet": (two(subnets=["10.9.0.0"]), "must be a subnet such as"),
    "three subnets": (two(subnets=[FOUR, SIX, "10.8.0.0/24"]), "must have at most 2 items"),
    "one family twice": (two(subnets=[FOUR, "10.8.0.0/24"]), "different address families"),
    "ipam": (two(ipam={}), "spec.layer2.ipam"),
    "lifecycle": (two(ipam={"lifecycle": "Brief"}), "spec.layer2.ipam.lifecycle"),
    "lifecycle without addresses": (
        two(ipam={"mode": "Disabled", "lifecycle": "Persistent"}),
        "lifecycle Persistent needs mode Enabled",
    ),
    "small MTU": (two(mtu=575), "spec.layer2.mtu"),
    "large MTU": (two(mtu=65537), "spec.layer2.mtu"),
    "MTU of IPv6": (two(mtu=1279), "mtu must be at least 1280"),
    "join subnets": (two(joinSubnets=["100.65.0.0/16"]), "joinSubnets is for role Primary"),
    "reserved subnets": (
        two(reservedSubnets=["10.9.0.0/28"]),
        "reservedSubnets is for role",
    ),
    "gateway": (two(defaultGatewayIPs=["10.9.0.1", "fd00:9::1"]), "defaultGatewayIPs is for role"),
    "gateway outside": (
        network("Layer2", {**PRIMARY, "defaultGatewayIPs": ["10.8.0.1"]}),
        "defaultGatewayIPs must lie in subnets",
    ),
    "reserved outside": (
        network("Layer2", {**PRIMARY, "reservedSubnets": ["10.8.0.0/28"]}),
        "reservedSubnets must lie in subnets",
    ),
    "reserved with host bits": (
        network("Layer2", {**PRIMARY, "reservedSubnets": ["10.9.0.1/28"]}),
        "reservedSubnets must have no bits set",
    ),
    "primary without addresses": (
        network("Layer2", {"role": "Primary", "ipam": {"mode": "Disabled"}}),
        "ipam.mode Disabled is for role Secondary",
    ),
    "routed without subnets": (network("Layer3", {"role": "Secondary"}), "spec.layer3.subnets"),
    "short node subnet": (routed(part("10.64.0.0/16", 16)), "hostSubnet must be longer"),
    "long node subnet": (routed(part("10.64.0.0/16", 32)), "must be less than 32"),
    "three routed": (
        routed(part("10.64.0.0/16"), part("fd00::/48"), part("10.65.0.0/16")),
        "at most two subnets",
    ),
    "routed of one family": (
        routed(part("10.64.0.0/16", 24), part("10.65.0.0/16", 24)),
        "must be of different address families",
    ),
    "routed overlap": (
        routed(part("10.64.0.0/16", 24), part("10.64.1.0/24", 28), role="Primary"),
        "subnets must not overlap",
    ),
    "routed MTU of IPv6": (routed(part("fd00::/48"), mtu=1279), "mtu must be at least 1280"),
    "localnet of a namespace": (physical(), "spec.topology"),
}
CLUSTER_INVALID = {
    "primary localnet": (physical(role="Primary"), "spec.network.localnet.role"),
    "physical network": (physical(physicalNetworkName="a:b"), "must have no comma and no colon"),
    "no physical network": (physical(physicalNetworkName=""), "physicalNetworkName"),
    "excluded outside": (physical(excludeSubnets=["10.8.0.1/32"]), "must lie in subnets"),
    "excluded of none": (
        network(
            "Localnet",
            {
                **{key: LOCALNET[key] for key in ("role", "physicalNetworkName")},
                "excludeSubnets": ["10.9.0.1/32"],
                "ipam": {"mode": "Disabled"},
            },
        ),
        "excludeSubnets need subnets",
    ),
    "26 excluded": (
        physical(excludeSubnets=[f"10.9.0.{n}/32" for n in range(26)]),
        "must have at most 25 items",
    ),
    "VLAN": (physical(vlan={"mode": "Access", "access": {"id": 4095}}), "vlan.access.id"),
    "VLAN without a number": (physical(vlan={"mode": "Access"}), "access is required with mode"),
    "transport of secondary": (
        {**two(), "transport": "EVPN"},
        "transport EVPN is for role",
    ),
}
