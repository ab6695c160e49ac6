"""A lab with everything in it, as a user meets it: kubectl, exec, stop and up again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support.objects import nad

pytestmark = pytest.mark.lab


def overlay_address(pod: Any) -> str:
    networks = json.loads(pod["metadata"]["annotations"]["k8s.ovn.org/pod-networks"])
    return str(networks["default/flat"]["ip_address"]).partition("/")[0]


def test_pods_talk_and_live_through_stop_and_up(labs: support.LabHouse) -> None:
    labs.names.append("whole")
    found = labs.json("lab", "up", "--name", "whole", "--nodes", "2")
    kubectl = Kubectl(labs, found["kubeconfig"])
    conditions = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    assert kubectl("get", "nodes", "-o", f"jsonpath={conditions}") == "True True"
    pods = [pod(name, node, networks="flat") for name, node in (("one", "node1"), ("two", "node2"))]
    kubectl.run_pods(nad("flat", "10.9.0.0/24"), *pods, pod("outsider", "node1"))
    ready = ("wait", "--for=condition=Ready", "pod/one", "pod/two", "--timeout=60s")
    address = overlay_address(kubectl.pod("two"))
    labs.reach("default/one", address)
    assert labs.is_deaf("default/outsider", address), "it is not on flat"
    assert labs.run("default/two", "hostname").stdout == "two\n"

    uids = {name: kubectl.pod(name)["metadata"]["uid"] for name in ("one", "two")}
    labs.weft("lab", "stop", "--name", "whole")
    labs.weft("lab", "up", "--name", "whole")
    kubectl(*ready)
    labs.reach("default/one", overlay_address(kubectl.pod("two")))
    assert {name: kubectl.pod(name)["metadata"]["uid"] for name in uids} == uids
    status = labs.json("lab", "status", "--name", "whole")
    assert status["cluster"]["api"] == "ok"
    assert [node["ready"] for node in status["cluster"]["nodes"]] == [True, True]

    labs.weft("lab", "down", "--name", "whole")
    assert labs.json("lab", "status", "--name", "whole", check=False)["exists"] is False
