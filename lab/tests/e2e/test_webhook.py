"""A declaration that is wrong is refused at the door of a lab, in the words of the Event."""

from __future__ import annotations

import json

import pytest

from lab.tests.support.lab_pods import Kubectl
from lab.tests.support.labs import LabHouse
from tests.support import objects
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab
LAB = "webhook"
TRUSTED = "--for=jsonpath={.webhooks[0].clientConfig.caBundle}"
ASKED = 'admission webhook "weft.k8s.cni.cncf.io" denied the request: '


def test_a_conflicting_nad_is_refused_at_the_door(labs: LabHouse) -> None:
    labs.names.append(LAB)
    found = labs.json("lab", "up", "--name", LAB, "--nodes", "1", "--webhook")
    kubectl = Kubectl(labs, found["kubeconfig"])
    weft = "validatingwebhookconfiguration/weft"
    kubectl("wait", weft, TRUSTED, f"--timeout={PATIENCE:g}s")
    kubectl("create", "namespace", "other")
    kubectl.apply(objects.nad("blue", "10.9.0.0/24"))
    second = objects.nad("second", "10.8.0.0/24", namespace="other", name="blue")

    refusal = refused(labs, found["kubeconfig"], second)
    assert ASKED in refusal
    message = refusal.partition(ASKED)[2].strip()
    assert "blue" in message
    assert not kubectl("get", "network-attachment-definitions", "-n", "other", "-o", "name")

    kubectl("delete", weft)
    kubectl.apply(second)
    assert kubectl.event("second", "InvalidConfig", "other").strip() == message


def refused(labs: LabHouse, kubeconfig: str, obj: objects.Object) -> str:
    """What kubectl says of an object that is not taken."""
    done = labs.try_kubectl(kubeconfig, "apply", "-f", "-", stdin=json.dumps(obj))
    assert done.returncode != 0, done.stdout
    return str(done.stderr)
