"""The NetConf of user-defined networks, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from weft import errors
from weft.api import userdefined
from weft.api.fields import Fields

Object = dict[str, Any]
CIDR = "10.9.0.0/24"
PERSISTENT = {"mode": "Enabled", "lifecycle": "Persistent"}


def read(topology: str, **block: Any) -> tuple[Object, list[str]]:
    found: list[errors.InvalidInput] = []
    raw = {"topology": topology, topology.lower(): {"role": "Secondary", **block}}
    config = userdefined.configuration(Fields("X n", "spec", raw, found), "n")
    return config, [each.in_full(named=False) for each in found]


def conf(topology: str, **block: Any) -> Object:
    config, problems = read(topology, **block)
    assert problems == []
    known = {"cniVersion": "1.1.0", "type": "ovn-k8s-cni-overlay", "name": "n", "role": "secondary"}
    assert known.items() <= config.items()
    return {key: value for key, value in config.items() if key not in known}


def test_layer2() -> None:
    found = conf("Layer2", subnets=[CIDR, "fd00::/64"], mtu=1300, ipam=PERSISTENT)
    assert found == {
        "topology": "layer2",
        "subnets": "10.9.0.0/24,fd00::/64",
        "mtu": 1300,
        "allowPersistentIPs": True,
        "persistentIPs": "vm",
    }
    assert conf("Layer2", ipam={"mode": "Disabled"}) == {"topology": "layer2"}


def test_layer3() -> None:
    subnets = [{"cidr": "10.64.0.0/16", "hostSubnet": 24}, {"cidr": "fd00::/48"}]
    assert conf("Layer3", subnets=subnets) == {
        "topology": "layer3",
        "subnets": "10.64.0.0/16/24,fd00::/48",
    }


def test_localnet() -> None:
    found = conf(
        "Localnet",
        physicalNetworkName="tenantblue",
        subnets=[CIDR],
        excludeSubnets=["10.9.0.0/28", "10.9.0.32/32"],
        vlan={"mode": "Access", "access": {"id": 200}},
        mtu=9000,
        ipam={"lifecycle": "Persistent"},
    )
    assert found == {
        "topology": "localnet",
        "physicalNetworkName": "tenantblue",
        "subnets": CIDR,
        "excludeSubnets": "10.9.0.0/28,10.9.0.32/32",
        "vlanID": 200,
        "mtu": 9000,
        "allowPersistentIPs": True,
        "persistentIPs": "vm",
    }


@pytest.mark.parametrize(
    ("topology", "block", "problem"),
    [
        ("Layer2", {"role": "Primary"}, 'spec.layer2.role "Primary": is not served: a pod\'s'),
        ("Layer2", {"role": "Third"}, 'spec.layer2.role "Third": must be Secondary'),
        ("Layer2", {}, "spec.layer2.subnets: are required unless ipam.mode is Disabled"),
        ("Layer2", {"subnets": [CIDR], "ipam": {"mode": "Disabled"}}, "must be absent"),
        ("Layer2", {"ipam": {"mode": "Disabled", "lifecycle": "Persistent"}}, "must be absent"),
        ("Layer2", {"subnets": [CIDR], "joinSubnets": [CIDR]}, "joinSubnets: is not a field here"),
        ("Layer2", {"subnets": CIDR}, "must be a list of strings"),
        ("Localnet", {"subnets": [CIDR], "vlan": {"mode": "Trunk"}}, "must be Access"),
        ("Layer4", {}, "must be one of Layer2, Layer3, Localnet"),
    ],
)
def test_what_is_wrong(topology: str, block: Object, problem: str) -> None:
    _, problems = read(topology, **block)
    assert problem in "; ".join(problems)


def test_the_field_of_the_topology_must_be_there() -> None:
    found: list[errors.InvalidInput] = []
    userdefined.configuration(Fields("X n", "spec", {"topology": "Layer2"}, found), "n")
    assert [each.field for each in found] == ["spec.layer2"]


def test_annotations_about_the_object_itself_are_not_carried() -> None:
    notes = {
        "k8s.ovn.org/x": "1",
        "weft/accepted-config": "1",
        "kubectl.kubernetes.io/last-applied-configuration": "1",
        "mine": "1",
    }
    assert userdefined.carried_annotations(notes) == {"mine": "1"}
