"""`kubectl replace` takes the annotations off a NAD that pods use; their traffic goes on."""

from __future__ import annotations

import json

import pytest

from lab.tests.support.lab_pods import Kubectl, pinging, pod
from lab.tests.support.labs import LabHouse
from tests.support.objects import nad
from tests.support.patience import PATIENCE
from weft import names

pytestmark = pytest.mark.lab


def test_a_nad_is_replaced_under_traffic(labs: LabHouse) -> None:
    labs.names.append("replaced")
    kubectl = Kubectl(
        labs, labs.json("lab", "up", "--name", "replaced", "--nodes", "2")["kubeconfig"]
    )
    flat = nad("flat", "10.9.0.0/24")
    kubectl.run_pods(flat, *(pod(f"p{n}", f"node{n}", networks="flat") for n in (1, 2)))

    def notes() -> dict[str, str]:
        there = json.loads(kubectl("get", "net-attach-def", "flat", "-o", "json"))
        kept = (names.NETWORK_ID, names.NETWORK_NAME, names.ACCEPTED_CONFIG)
        return {key: there["metadata"]["annotations"][key] for key in kept}

    before = notes()
    path = names.NETWORK_ID.replace(".", r"\.")
    again = f"--for=jsonpath={{.metadata.annotations.{path}}}={before[names.NETWORK_ID]}"
    with pinging(labs, "p1", kubectl.address("p2", "net1")) as counted:
        for _ in range(5):
            stored = json.loads(kubectl("replace", "-f", "-", "-o", "json", stdin=json.dumps(flat)))
            assert before.keys().isdisjoint(stored["metadata"].get("annotations", {}))
            kubectl("wait", again, "net-attach-def/flat", f"--timeout={PATIENCE:g}s")
    assert notes() == before
    assert counted.sent > 10
    assert not counted.lost
