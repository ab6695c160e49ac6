"""A policy names one NAD of a network, pods came by another; the one that it names goes."""

from __future__ import annotations

import pytest

from lab.tests.support.pods import Cluster, network_status
from tests.support.objects import nad, pod, policy

pytestmark = pytest.mark.lab

WEB = "10.100.0.50"
POLICY = policy("guard", "named", app="web", ingress=[])


def test_pods_stay_closed_also_for_an_agent_that_starts_then(pod_lab: Cluster) -> None:
    web = pod("web", [{"name": "used", "ips": [f"{WEB}/24"]}], labels={"app": "web"})
    pod_lab.create(nad("used", name="blue"), nad("named", name="blue"), POLICY)
    pod_lab.create(web, pod("client", networks="used"))
    (client,) = (
        status["ips"][0]
        for status in network_status(pod_lab.wait_ready("client"))
        if status["name"] == "default/used"
    )
    pod_lab.wait_ready("web")
    pod_lab.kubectl("wait", "multi-policy/guard", "--for=condition=Bound", "--timeout=60s")
    assert pod_lab.pings("web", client)
    assert not pod_lab.pings("client", WEB, patience=2)
    pod_lab.kubectl("delete", "net-attach-def", "named")
    message = pod_lab.wait_event("guard", "NetworkMissing")
    assert "network blue, which it was of, stays guarded" in message
    assert pod_lab.pings("web", client)
    assert not pod_lab.pings("client", WEB, patience=2)
    pod_lab.kill("agent")
    pod_lab.create(pod("later", networks="used"))
    pod_lab.wait_ready("later")
    assert pod_lab.pings("web", client)
    for source in ("client", "later"):
        assert not pod_lab.pings(source, WEB, patience=2)
