"""Named ports of pods."""

from __future__ import annotations

from typing import Any

import pytest

from weft.api import podports
from weft.policy.netpolicy import Protocol

TCP, UDP = Protocol.TCP, Protocol.UDP


def pod(*containers: object, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


def container(*ports: object, **more: Any) -> dict[str, Any]:
    return {"name": "c", "ports": list(ports), **more}


def test_names_are_by_protocol() -> None:
    web = {"name": "web", "containerPort": 80}
    dns = {"name": "dns", "containerPort": 53, "protocol": "UDP"}
    tcp = {"name": "dns", "containerPort": 54, "protocol": "TCP"}
    nameless = {"containerPort": 99}
    assert podports.named_ports(pod(container(web, dns), container(tcp, nameless))) == {
        (TCP, "web"): 80,
        (UDP, "dns"): 53,
        (TCP, "dns"): 54,
    }


def test_the_first_of_a_name_counts() -> None:
    one, two = ({"name": "web", "containerPort": number} for number in (80, 81))
    assert podports.named_ports(pod(container(one), container(two))) == {(TCP, "web"): 80}


def test_containers_that_stay_beside_the_others_count() -> None:
    web = {"name": "web", "containerPort": 80}
    begins = pod(initContainers=[container(web)])
    stays = pod(initContainers=[container(web, restartPolicy="Always")])
    assert podports.named_ports(begins) == {}
    assert podports.named_ports(stays) == {(TCP, "web"): 80}


@pytest.mark.parametrize(
    "obj",
    [
        None,
        {},
        {"spec": []},
        {"spec": {"containers": {}}},
        pod(5, {"ports": [None, "x"]}),
        pod(container({"name": "a"}, {"name": 1, "containerPort": 1})),
        pod(container({"name": "a", "containerPort": "1"})),
        pod(container({"name": "a", "containerPort": 1, "protocol": "ICMP"})),
        pod(container({"name": "a", "containerPort": 1, "protocol": []})),
    ],
)
def test_what_makes_no_sense_has_no_name(obj: object) -> None:
    assert podports.named_ports(obj) == {}


def test_the_ports_of_a_pod_are_read_once_somebody_asks() -> None:
    pod = {"spec": {"containers": [{"ports": [{"name": "web", "containerPort": 80}]}]}}
    found = podports.NamedPorts(pod)
    assert found == podports.named_ports(pod)
    assert (len(found), found[Protocol.TCP, "web"]) == (1, 80)
    assert found.get((Protocol.UDP, "web")) is None
