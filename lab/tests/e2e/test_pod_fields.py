"""What a pod's manifest asks for is so in the lab, or is told at the pod."""

from __future__ import annotations

import json
import os

import pytest

from lab.tests.support.pods import NOTHING, Cluster, network_status
from tests.support.objects import pod
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab


def test_fields_without_effect_are_named_once(pod_lab: Cluster) -> None:
    asked = pod("asks", readinessGates=[{"conditionType": "x"}], volumes=[{"name": "v"}])
    asked["spec"]["containers"][0]["livenessProbe"] = {"exec": {"command": ["true"]}}
    pod_lab.create(asked, pod("plain"))
    pod_lab.wait_ready("plain")
    message = pod_lab.wait_event("asks", "FieldIgnored")
    assert message == (
        "not followed by the lab: containers[c].livenessProbe, readinessGates, volumes[v].emptyDir"
    )
    assert "FieldIgnored" not in pod_lab.events("plain")
    pod_lab.delete("asks", "plain", grace=0)


def test_a_slip_is_refused_or_reported_by_kubectl_and_dropped(pod_lab: Cluster) -> None:
    """As the reference server does: where kubectl does not ask for more, the field goes."""
    text = json.dumps(pod("slip", dnsPolicyy="None"))
    with pytest.raises(AssertionError, match=r'unknown field "spec\.dnsPolicyy"'):
        pod_lab.kubectl("create", "-f", "-", stdin=text)
    pod_lab.kubectl("create", "--validate=ignore", "-f", "-", stdin=text)
    made = pod_lab.wait_ready("slip")
    assert "dnsPolicyy" not in made["spec"]
    pod_lab.delete("slip", grace=0)


def test_kernel_parameters_of_the_pods_own_network(pod_lab: Cluster) -> None:
    """Also of an interface that weft makes; and none of another namespace."""
    asked = {
        "net.ipv4.ip_default_ttl": "77",
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.eth0.medium_id": "7",
    }
    listed = [{"name": name, "value": value} for name, value in asked.items()]
    paths = [f"/proc/sys/{name.replace('.', '/')}" for name in asked]
    pod_lab.create(pod("router", securityContext={"sysctls": listed}), pod("plain"))
    pod_lab.wait_ready("router")
    pod_lab.wait_ready("plain")
    assert pod_lab.run("router", "cat", *paths).split() == ["77", "1", "7"]
    assert pod_lab.run("plain", "cat", paths[0]).split() == ["64"]
    assert "FieldIgnored" not in pod_lab.events("router")
    pod_lab.delete("router", "plain", grace=0)


def test_kernel_parameters_that_are_not_the_pods_own_are_refused(pod_lab: Cluster) -> None:
    def asks(name: str, value: str) -> dict[str, object]:
        return {"sysctls": [{"name": name, "value": value}]}

    pod_lab.create(
        pod("kernel", securityContext=asks("kernel.core_pattern", "x")),
        pod("odd", securityContext=asks("net.ipv4.ip_forward", "many")),
    )
    ended = pod_lab.wait("kernel", lambda made: made["status"]["phase"] == "Failed")
    assert ended["status"]["reason"] == "SysctlForbidden"
    assert "kernel.core_pattern" in pod_lab.wait_event("kernel", "SysctlForbidden")
    message = pod_lab.wait_event("odd", "FailedCreatePodSandBox")
    assert 'sysctl net.ipv4.ip_forward: value "many": is not taken by the kernel' in message
    pod_lab.delete("kernel", "odd", grace=0)


def test_what_a_pods_resolver_is_reported(pod_lab: Cluster) -> None:
    config = {"nameservers": ["10.1.1.1"], "searches": ["shop.example"]}
    aliases = [{"ip": "10.9.0.1", "hostnames": ["db"]}]
    pod_lab.create(pod("names", dnsPolicy="None", dnsConfig=config, hostAliases=aliases))
    pod_lab.wait_ready("names")
    told = pod_lab.run("names", "cat", "/etc/resolv.conf", "/etc/hosts")
    assert told.startswith("search shop.example\nnameserver 10.1.1.1\n")
    assert told.endswith("10.9.0.1\tdb\n")
    assert "FieldIgnored" not in pod_lab.events("names")
    with pytest.raises(AssertionError, match="at least one DNS nameserver"):
        pod_lab.kubectl("create", "-f", "-", stdin=json.dumps(pod("bare", dnsPolicy="None")))
    pod_lab.delete("names", grace=0)


def test_a_volume_of_the_downward_api(pod_lab: Cluster) -> None:
    """From its first start a container finds what its network was given; then what changes."""
    items = {
        "status": "metadata.annotations['k8s.v1.cni.cncf.io/network-status']",
        "label": "metadata.labels['x']",
    }
    listed = [{"path": path, "fieldRef": {"fieldPath": at}} for path, at in items.items()]
    asked = pod("informed", script="cp /etc/podinfo/status /tmp/first; sleep 1000")
    asked["spec"]["volumes"] = [{"name": "info", "downwardAPI": {"items": listed}}]
    mount = {"name": "info", "mountPath": "/etc/podinfo"}
    (container,) = asked["spec"]["containers"]
    container["volumeMounts"] = [mount]
    if os.geteuid() == 0:  # a pod of an ordinary user's lab has no other user
        container["securityContext"] = {"runAsUser": 1000}
    pod_lab.create(asked)
    made = pod_lab.wait_ready("informed")
    first = json.loads(pod_lab.run("informed", "cat", "/tmp/first"))
    assert first == network_status(made)
    refused = pod_lab.run("informed", "sh", "-c", "echo x > /etc/podinfo/label || echo refused")
    assert refused == "refused\n"
    watch = "until grep -q new /etc/podinfo/label; do sleep 0.1; done; echo seen"
    pod_lab.kubectl("label", "pod", "informed", "x=new")
    assert pod_lab.run("informed", "timeout", str(PATIENCE), "sh", "-c", watch) == "seen\n"
    assert "FieldIgnored" not in pod_lab.events("informed")
    pod_lab.delete("informed", grace=0)
    assert pod_lab.left() == NOTHING
