"""What an end is called, and what is not an end of a way that can be followed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.observe.explain.test_question import asked, on_blue, world
from weft import errors
from weft.observe.explain import naming

SERVICE = {
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd96::10"]},
    "status": {"loadBalancer": {"ingress": [{"hostname": "lb"}, {"ip": "192.0.2.80"}]}},
}
NODE = {
    "metadata": {"name": "node1"},
    "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
}


def cluster() -> naming.Found:
    """With addresses on the cluster's own network, of a pod, a node and a Service."""
    there = on_blue("b", 2)
    there["status"] = {**there["status"], "podIP": "10.244.1.5", "podIPs": [{"ip": "10.244.1.5"}]}
    found = world(pods=(on_blue("a", 1), there))
    return replace(found, services=(SERVICE,), nodes=(NODE,))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (
            "10.96.0.10",
            "is the address of Service shop/web, on the cluster's own network, which is",
        ),
        ("fd96::10", "is the address of Service shop/web"),
        ("192.0.2.80", "is the address of Service shop/web"),
        ("192.0.2.1", "is the address of node node1"),
        ("10.244.1.5", "is the address of pod default/b"),
        ("svc/web", "is a Service, on the cluster's own network, which is not followed"),
        ("224.0.0.251", "is a multicast address, at which all who listen get a packet"),
        ("ff02::1", "is a multicast address"),
        ("255.255.255.255", "is the broadcast address"),
        ("0.0.0.0", "is an address that each end has for itself alone"),
        ("::1", "is an address that each end has for itself alone"),
        ("web.example.org", "is no pod, .*; names of DNS are not looked up"),
    ],
)
def test_what_cannot_be_followed_is_named(target: str, told: str) -> None:
    for ends in ({"target": target}, {"source": target, "target": "a"}):
        with pytest.raises(errors.InvalidInput, match=told):
            asked(cluster(), **ends)


@pytest.mark.parametrize("target", ["b", "10.9.0.2", "default/b", "pod/b@net1"])
def test_an_end_on_a_network_of_wefts_is_followed(target: str) -> None:
    found: Any = asked(cluster(), target=target)
    assert found.target.name == "default/b"
