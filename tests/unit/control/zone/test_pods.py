"""Pods as a zone reads them, out of what its cache keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weft import names
from weft.control.zone import pods
from weft.policy import words

DECIDED = {
    "default/blue": {
        "ip_addresses": ["10.1.0.5/24"],
        "mac_address": "0a:58:0a:01:00:05",
        "tunnel_id": 11,
    }
}


def pod(**changed: Any) -> dict[str, Any]:
    notes = {
        names.NETWORKS: "blue",
        names.POD_NETWORKS: json.dumps(DECIDED),
        "other": "x" * 1000,
    }
    return {
        "metadata": {
            "name": "web",
            "namespace": "default",
            "uid": "u1",
            "resourceVersion": "7",
            "labels": {"vm": "vm1", "app": "x"},
            "annotations": changed.get("annotations", notes),
            "managedFields": [{}],
        },
        "spec": {"nodeName": "node1", "containers": [{}], **changed.get("spec", {})},
        "status": {"phase": changed.get("phase", "Running"), "conditions": [{}]},
    }


def test_a_pod_with_its_allocations():
    read = pods.read(pods.slim(pod()))
    assert read.ref.key == "default/web"
    assert read.ref.uid == "u1"
    assert read.node == "node1"
    assert read.allocations["default/blue"].tunnel_id == 11


@pytest.mark.parametrize(
    "changed",
    [
        {"annotations": {names.NETWORKS: "blue"}},
        {"annotations": {names.NETWORKS: "blue", names.POD_NETWORKS: "{"}},
        {"annotations": {names.NETWORKS: "blue", names.POD_NETWORKS: "{}"}},
        {"annotations": None},
        {"spec": {"nodeName": ""}},
        {"spec": {"hostNetwork": True}},
        {"phase": "Succeeded"},
        {"phase": "Failed"},
    ],
)
def test_a_pod_that_holds_no_ports(changed):
    assert pods.read(pods.slim(pod(**changed))) is None
    assert pods.read(pod(**changed)) is None


def test_what_is_kept_of_a_pod_is_little():
    kept = pods.slim(pod())
    assert len(json.dumps(kept)) < 500
    assert set(kept["metadata"]["annotations"]) == {names.NETWORKS, names.POD_NETWORKS}
    assert pods.slim(pod(annotations={})) == {
        "metadata": {"name": "web", "namespace": "default", "uid": "u1", "resourceVersion": "7"}
    }


def test_what_policies_ask_of_a_pod_is_kept():
    """Its labels, and its named ports: the first of a name, in containers that last."""
    web = {"name": "web", "containerPort": 80}
    containers = [
        {"ports": [web, {"containerPort": 1}, {"name": "dns", "containerPort": 53}]},
        {"ports": [{"name": "dns", "containerPort": 54, "protocol": "UDP"}]},
        {"ports": [{"name": "web", "containerPort": 81}, {"name": "x", "protocol": "NONE"}]},
    ]
    passing = {"ports": [{"name": "early", "containerPort": 9}]}
    sidecar = {"restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 7}]}
    full = pod(spec={"containers": containers, "initContainers": [passing, sidecar]})
    read = pods.read(pods.slim(full))
    assert read == pods.read(full)
    assert read.labels == {"vm": "vm1", "app": "x"}
    assert read.named == {
        (words.Protocol.TCP, "web"): 80,
        (words.Protocol.TCP, "dns"): 53,
        (words.Protocol.UDP, "dns"): 54,
        (words.Protocol.TCP, "side"): 7,
    }


def test_the_clusters_own_network_counts_only_where_weft_serves_it():
    own = {"default": {"ip_addresses": ["10.128.2.5/23"], "mac_address": "0a:58:0a:80:02:05"}}
    only = pod(annotations={names.POD_NETWORKS: json.dumps(own)})
    assert pods.read(pods.slim(only)) is None
    assert list(pods.read(pods.slim(only), primary=True).allocations) == ["default"]


def test_what_a_pod_chose_as_its_first_network_is_kept():
    kept = pods.slim(pod(annotations={names.CHOSEN_DEFAULT: "blue"}))
    assert kept["metadata"]["annotations"] == {names.CHOSEN_DEFAULT: "blue"}
