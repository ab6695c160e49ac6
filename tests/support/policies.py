"""Network policies to read: one that is good, and changes to it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support import objects
from weft import errors, names
from weft.api import policy
from weft.policy import netpolicy

ABSENT = object()


def written(*, mode: object = ABSENT, networks: object = "blue", **spec: object) -> dict[str, Any]:
    """The policy ns1/guard of all pods, as the API server has it; ABSENT fields are left out."""
    made = objects.policy(namespace="ns1")
    made["spec"] = _present({"podSelector": {}, **spec})
    annotations = {names.POLICY_FOR: networks, names.POLICY_MODE: mode}
    made["metadata"] |= {"uid": "u1", "annotations": _present(annotations)}
    return copy.deepcopy(made)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not ABSENT}


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
