"""Network policies to read: one that is good, and changes to it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from weft import errors, names
from weft.api import policy
from weft.policy import netpolicy

ABSENT = object()


def written(*, mode: object = ABSENT, networks: object = "blue", **spec: object) -> dict[str, Any]:
    """The policy ns1/guard of all pods, as the API server has it; ABSENT fields are left out."""
    said = {"podSelector": {}, **spec}
    annotations = {names.POLICY_FOR: networks, names.POLICY_MODE: mode}
    return {
        "apiVersion": "k8s.cni.cncf.io/v1beta1",
        "kind": policy.KIND,
        "metadata": {
            "namespace": "ns1",
            "name": "guard",
            "uid": "u1",
            "annotations": {key: text for key, text in annotations.items() if text is not ABSENT},
        },
        "spec": copy.deepcopy({key: value for key, value in said.items() if value is not ABSENT}),
    }


def refused(obj: object) -> errors.InvalidInput:
    with pytest.raises(errors.InvalidInput) as caught:
        policy.parse(obj)
    return caught.value


def ingress(*rules: object) -> netpolicy.Policy:
    return policy.parse(written(ingress=list(rules)))


def peers(*found: object) -> netpolicy.Policy:
    return ingress({"from": list(found)})


def ports(*found: object) -> netpolicy.Policy:
    return ingress({"ports": list(found)})
