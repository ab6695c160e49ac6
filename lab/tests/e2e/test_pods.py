"""Pods in the lab, from manifest to packets and away again: kubelet, meta-plugin, CNI and OVN."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.support import pods
from lab.tests.support.pods import Cluster
from tests.support.objects import nad, pod
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def cluster(pod_lab: Cluster) -> Iterator[Cluster]:
    pod_lab.create(nad("blue", mtu=1300))
    yield pod_lab
    assert pod_lab.left() == pods.NOTHING


def test_two_pods_reach_each_other_and_leave_nothing(cluster: Cluster) -> None:
    cluster.create(pod("a", networks="blue"), pod("b", networks="blue"), pod("outsider"))
    one, other = cluster.wait_ready("a"), cluster.wait_ready("b")
    first, second = pods.network_status(other)
    assert (first["interface"], first["default"]) == ("eth0", True)
    assert (second["name"], second["interface"], second["mtu"]) == ("default/blue", "net1", 1300)
    for address in (*second["ips"], other["status"]["podIP"]):
        assert cluster.pings("a", address)
    cluster.wait_ready("outsider")
    assert not cluster.pings("outsider", second["ips"][0], patience=2), "it is not on blue"
    reasons = cluster.events("a")
    assert reasons["Scheduled"] == ["Successfully assigned default/a to node1"]
    net1 = next(message for message in reasons["AddedInterface"] if "net1" in message)
    listed = pods.network_status(one)[1]["ips"]
    assert net1.startswith(f"Add net1 [{listed[0]}/24 ")
    assert net1.endswith("] from default/blue")
    assert {"Pulled", "Created", "Started"} <= set(reasons)
    cluster.delete("a", "b", "outsider")
    assert cluster.left() == pods.NOTHING


def test_a_pod_waits_for_its_nad_and_starts_when_it_comes(cluster: Cluster) -> None:
    cluster.create(pod("early", networks="blue,later@data0"))
    cluster.wait_event("early", "NoNetworkFound")
    assert "net1" not in str(cluster.get("early")["metadata"]["annotations"])
    cluster.create(nad("later", subnets="10.9.0.0/24"))
    made = cluster.wait_ready("early")
    assert [entry["interface"] for entry in pods.network_status(made)] == ["eth0", "net1", "data0"]
    cluster.delete("early")


def test_all_interfaces_or_none(cluster: Cluster) -> None:
    cluster.create(nad("odd", type="no-such-plugin", netAttachDefName=""))
    cluster.create(pod("partial", networks="blue,odd"))
    message = cluster.wait_event("partial", "FailedCreatePodSandBox")
    assert 'failed to find plugin "no-such-plugin"' in message
    cluster.delete("partial")
    assert cluster.left() == pods.NOTHING


def test_the_default_route_goes_where_it_is_asked_for(cluster: Cluster) -> None:
    requested = [{"name": "blue", "default-route": ["10.100.0.250"]}]
    cluster.create(pod("led", networks=json.dumps(requested)))
    made = cluster.wait_ready("led")
    assert [entry.get("default", False) for entry in pods.network_status(made)] == [True, False]
    assert pods.network_status(made)[1]["gateway"] == ["10.100.0.250"]
    listed = cluster.run("led", "ip", "route").splitlines()
    chosen = [line.split() for line in listed if line.startswith("default")]
    assert chosen == [["default", "via", "10.100.0.250", "dev", "net1"]]
    cluster.delete("led")


def test_a_pod_on_its_nodes_own_network(cluster: Cluster) -> None:
    cluster.create(pod("host", networks="blue", hostNetwork=True))
    made = cluster.wait_ready("host")
    address = cluster.node_address()
    status = made["status"]
    assert (status["podIP"], status["hostIP"]) == (address, address)
    assert status["podIPs"] == [{"ip": address}]
    assert "k8s.v1.cni.cncf.io/network-status" not in made["metadata"]["annotations"]
    assert "AddedInterface" not in cluster.events("host")
    argv = ("busybox", "readlink", "/proc/self/ns/net")
    assert cluster.run("host", *argv) == cluster.house.run("node1", *argv, lab=cluster.name).stdout
    assert cluster.run("host", "hostname") == "node1\n"
    left = cluster.left()
    assert left == {**pods.NOTHING, "pods": left["pods"], "firsts": left["firsts"]}
    cluster.kill("kubelet")
    cluster.create(pod("after"))  # runs only when a new kubelet is at work
    cluster.wait_ready("after")
    assert cluster.get("host")["status"] == status
    cluster.delete("host", "after", grace=0)
    assert cluster.left() == pods.NOTHING


@pytest.mark.parametrize(
    ("policy", "status", "phase"),
    [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")],
)
def test_a_pod_that_ends(cluster: Cluster, policy: str, status: int, phase: str) -> None:
    name = f"ends-{policy.lower()}-{status}"
    script = f"echo bye; exit {status}"
    cluster.create(pod(name, networks="blue", script=script, restartPolicy=policy))
    ended = cluster.wait(name, pods.has_ended)
    assert ended["status"]["phase"] == phase
    state = ended["status"]["containerStatuses"][0]["state"]["terminated"]
    assert state["exitCode"] == status
    assert cluster.left() == pods.NOTHING
    cluster.delete(name)


def test_a_pod_that_crashes_is_started_again_with_pauses(cluster: Cluster) -> None:
    cluster.create(pod("crash", script="exit 1"))

    def waits(made: dict[str, Any]) -> bool:
        entry = (made["status"].get("containerStatuses") or [{"state": {}}])[0]
        reason = (entry["state"].get("waiting") or {}).get("reason")
        return bool(reason == "CrashLoopBackOff" and entry["restartCount"])

    cluster.wait("crash", waits)
    cluster.delete("crash")


def test_a_command_that_is_not_there(cluster: Cluster) -> None:
    cluster.create(pod("nope", command=["/nope"], restartPolicy="Never"))
    assert "/nope" in cluster.wait_event("nope", "Failed")
    cluster.delete("nope")


def test_grace(cluster: Cluster) -> None:
    polite = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"
    deaf = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    cluster.create(
        pod("polite", script=polite, terminationGracePeriodSeconds=600),
        pod("deaf", script=deaf, terminationGracePeriodSeconds=600),
    )
    for name in ("polite", "deaf"):
        cluster.wait_ready(name)
    cluster.delete("polite")  # its grace is longer than this waits
    cluster.delete("deaf", grace=1)
    assert cluster.left() == pods.NOTHING


def test_pods_outlive_their_kubelet(cluster: Cluster) -> None:
    cluster.create(pod("survivor", networks="blue"))
    before = cluster.wait_ready("survivor")
    cluster.kill("kubelet")
    cluster.create(pod("witness"))  # runs only when a new kubelet is at work
    cluster.wait_ready("witness")
    after = cluster.get("survivor")
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    cluster.delete("survivor", "witness")
    assert cluster.left() == pods.NOTHING


def test_a_pod_that_its_kubelet_left_half_made_is_cleaned_up(cluster: Cluster) -> None:
    requested = json.dumps([{"name": "blue", "ips": ["10.100.0.77"]}])
    cluster.create(pod("first", networks=requested))
    cluster.wait_ready("first")
    cluster.create(
        pod("second", networks=requested)
    )  # its interface is asked for, and not to be had
    end = time.monotonic() + PATIENCE
    while len(cluster.left()["firsts"]) < 2 and time.monotonic() < end:
        pass  # nobody tells of a sandbox in the making
    assert len(cluster.left()["firsts"]) == 2
    cluster.kill("kubelet")
    cluster.create(pod("after"))  # runs only when a new kubelet is at work
    cluster.wait_ready("after")
    cluster.delete("second", "first", "after", grace=0)
    assert cluster.left() == pods.NOTHING


@pytest.mark.parametrize("victim", ["vswitchd", "agent", "ovn-controller"])
def test_the_network_comes_back(cluster: Cluster, victim: str) -> None:
    cluster.create(pod("a", networks="blue"), pod("b", networks="blue"))
    cluster.wait_ready("a")
    address = pods.network_status(cluster.wait_ready("b"))[1]["ips"][0]
    assert cluster.pings("a", address)
    cluster.kill(victim)
    assert cluster.pings("a", address)
    cluster.create(pod("late", networks="blue"))  # flows that are left would not do for this one
    cluster.wait_ready("late")
    assert cluster.pings("late", address)
    cluster.delete("a", "b", "late")
