"""What a pod's manifest asks for is so in the lab, or is told at the pod."""

from __future__ import annotations

import json

import pytest

from tests.support.pods import Cluster, pod

pytestmark = pytest.mark.lab


def test_fields_without_effect_are_named_once(pod_lab: Cluster) -> None:
    asked = pod("asks", readinessGates=[{"conditionType": "x"}], volumes=[{"name": "v"}])
    asked["spec"]["containers"][0]["livenessProbe"] = {"exec": {"command": ["true"]}}
    pod_lab.create(asked, pod("plain"))
    pod_lab.wait_ready("plain")
    said = pod_lab.wait_event("asks", "FieldIgnored")
    assert said == (
        "not followed by the lab: containers[c].livenessProbe, readinessGates, volumes[v].emptyDir"
    )
    assert "FieldIgnored" not in pod_lab.events("plain")
    pod_lab.delete("asks", "plain", grace=0)


def test_a_slip_is_refused_or_told_by_kubectl_and_dropped(pod_lab: Cluster) -> None:
    """As the reference server does: where kubectl does not ask for more, the field goes."""
    text = json.dumps(pod("slip", dnsPolicyy="None"))
    with pytest.raises(AssertionError, match=r'unknown field "spec\.dnsPolicyy"'):
        pod_lab.kubectl("create", "-f", "-", stdin=text)
    pod_lab.kubectl("create", "--validate=ignore", "-f", "-", stdin=text)
    made = pod_lab.wait_ready("slip")
    assert "dnsPolicyy" not in made["spec"]
    pod_lab.delete("slip", grace=0)
