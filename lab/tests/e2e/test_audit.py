"""What a policy in audit mode would drop passes, and stands on the policy as an Event."""

from __future__ import annotations

import pytest

from lab.tests.support.pods import Cluster, network_status
from tests.support.objects import nad, pod, policy

pytestmark = pytest.mark.lab

POLICY = policy("trial", mode="audit", app="web", ingress=[])
WEB = "10.100.0.50"


def test_an_audited_policy_tells_whom_it_would_have_dropped(pod_lab: Cluster) -> None:
    web = pod("web", [{"name": "blue", "ips": [f"{WEB}/24"]}], labels={"app": "web"})
    # A new connection a second: a node may come to know of the policy after the pods.
    client = pod("client", networks="blue", script=f"while :; do ping -c 2 -W 1 {WEB}; done")
    pod_lab.create(nad("blue"), POLICY, web, client)
    (other,) = (
        status["ips"][0]
        for status in network_status(pod_lab.wait_ready("client"))
        if status["name"] == "default/blue"
    )
    assert pod_lab.wait_event("trial", "WouldDrop") == (
        f"would have dropped ICMP from pod default/client ({other}) "
        f"to pod default/web ({WEB}) on network blue"
    )
    assert pod_lab.pings("client", WEB)
