"""A tenant writes another pod's identity on his own pod: no packet of his passes for the other's,
and none of the other's reaches him; nor does who edits a running pod's cut it off.

An admission policy refuses both at the door. Here it is taken away: weft holds without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pinging, pod
from tests.support.objects import nad, policy
from weft import names

pytestmark = pytest.mark.lab

Object = dict[str, Any]
BOTH = (names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE)


def guard() -> Object:
    """Only pods labelled `friend` come in to `guarded`."""
    friends = {"podSelector": {"matchLabels": {"app": "friend"}}, "namespaceSelector": {}}
    return policy(app="guarded", policyTypes=["Ingress"], ingress=[{"from": [friends]}])


def labelled(name: str, node: str, app: str, namespace: str = "default") -> Object:
    return pod(name, node, "default/blue", labels={"app": app}, namespace=namespace)


def unguarded(kubectl: Kubectl) -> None:
    """Take away the policy by which only weft writes its annotations on pods."""
    kubectl("delete", "validatingadmissionpolicybinding", "weft-pods")


def notes(kubectl: Kubectl, name: str) -> dict[str, str]:
    found = kubectl.pod(name)["metadata"]["annotations"]
    return {each: found[each] for each in BOTH}


def echoes(labs: support.LabHouse, target: str) -> int:
    """Echo requests that a pod has received."""
    lines = labs.run(target, "cat", "/proc/net/snmp").stdout.splitlines()
    heads, values = (line.split() for line in lines if line.startswith("Icmp:"))
    return int(values[heads.index("InEchos")])


def pings(labs: support.LabHouse, target: str, address: str) -> bool:
    """Whether any of three is answered."""
    argv = ("ping", "-c", "3", "-i", "0.3", "-W", "1", address)
    return labs.run(target, *argv, check=False).returncode == 0


@contextmanager
def stopped(labs: support.LabHouse, found: Object, service: str) -> Iterator[int]:
    """A service of the lab does nothing for as long as the scope lasts."""
    (pid,) = [one["pid"] for one in found["services"] if one["name"] == service]
    labs.run("lab", "busybox", "kill", "-STOP", str(pid))
    try:
        yield pid
    finally:
        labs.run("lab", "busybox", "kill", "-CONT", str(pid), check=False)


def await_notes(kubectl: Kubectl, name: str, wanted: dict[str, str]) -> None:
    for each, text in wanted.items():
        path = each.replace(".", "\\.")
        condition = f"--for=jsonpath={{.metadata.annotations.{path}}}={text}"
        kubectl("wait", condition, f"pod/{name}", "--timeout=60s")


@pytest.mark.parametrize("is_signed", [False, True], ids=["its own words", "the other's, signed"])
def test_who_takes_a_friends_identity_is_no_friend(labs: support.LabHouse, is_signed: bool) -> None:
    labs.names.append("stolen")
    found = labs.json("lab", "up", "--name", "stolen", "--nodes", "2")
    kubectl = Kubectl(labs, found["kubeconfig"])
    unguarded(kubectl)
    kubectl("create", "namespace", "tb")
    kubectl.run_pods(
        nad("blue", "10.9.0.0/24"),
        guard(),
        labelled("friend", "node1", "friend"),
        labelled("guarded", "node2", "guarded"),
    )
    friend, guarded = kubectl.address("friend", "net1"), kubectl.address("guarded", "net1")
    labs.reach("default/friend", guarded)

    thief = labelled("thief", "node2", "other", "tb")
    theirs = notes(kubectl, "friend")
    entry = json.loads(theirs[names.POD_NETWORKS])["default/blue"]
    thief["metadata"]["annotations"] |= (
        theirs if is_signed else {names.POD_NETWORKS: json.dumps({"default/blue": entry})}
    )
    kubectl.apply(thief)
    kubectl("-n", "tb", "wait", "--for=condition=Ready", "pod/thief", "--timeout=60s")
    made = json.loads(kubectl("-n", "tb", "get", "pod", "thief", "-o", "json"))
    given = json.loads(made["metadata"]["annotations"][names.POD_NETWORKS])["default/blue"]
    assert given["mac_address"] != entry["mac_address"]
    assert given["ip_addresses"] != entry["ip_addresses"]
    assert entry["mac_address"] not in labs.run("tb/thief", "ip", "link").stdout

    assert not pings(labs, "tb/thief", guarded)
    labs.run("node2", "ovn-appctl", "-t", "ovn-controller", "recompute")
    before = echoes(labs, "tb/thief")
    for _ in range(3):
        labs.reach("default/guarded", friend)
    assert echoes(labs, "tb/thief") == before, "what is for the friend reaches the friend"
    assert echoes(labs, "default/friend") >= 3

    # The test would notice: to his own address packets come, and as a friend he comes in.
    labs.reach("default/friend", given["ip_addresses"][0].partition("/")[0])
    assert echoes(labs, "tb/thief") > before
    kubectl("-n", "tb", "label", "--overwrite", "pod", "thief", "app=friend")
    labs.reach("tb/thief", guarded)


def test_what_is_edited_on_a_running_pod_cuts_it_off_for_no_packet(labs: support.LabHouse) -> None:
    labs.names.append("edited")
    found = labs.json("lab", "up", "--name", "edited", "--nodes", "2")
    kubectl = Kubectl(labs, found["kubeconfig"])
    unguarded(kubectl)
    kubectl.run_pods(
        nad("blue", "10.9.0.0/24"),
        pod("p1", "node1", networks="blue"),
        pod("p2", "node2", networks="blue"),
    )
    before = notes(kubectl, "p2")
    own, blue = kubectl.address("p2"), kubectl.address("p2", "net1")
    with pinging(labs, "p1", own) as first, pinging(labs, "p1", blue) as second:
        for edit in ([f"{name}-" for name in BOTH], ["--overwrite", f"{BOTH[0]}={{garbage"]):
            kubectl("annotate", "pod", "p2", *edit)
            await_notes(kubectl, "p2", before)
        with stopped(labs, found, "lab/cluster-manager"):
            for edit in ([f"{name}-" for name in BOTH], ["--overwrite", f"{BOTH[0]}={{garbage"]):
                kubectl("annotate", "pod", "p2", *edit)
                await_notes(kubectl, "p2", before)  # by the agent of its node
            with stopped(labs, found, "node2/agent") as agent:
                kubectl("annotate", "pod", "p2", "--overwrite", f"{BOTH[0]}={{garbage")
                labs.run("lab", "busybox", "kill", "-9", str(agent))
            await_notes(kubectl, "p2", before)  # by the one that comes after it
    assert first.sent > 20
    assert second.sent > 20
    assert not first.lost
    assert not second.lost

    # The negative control: where nobody puts it back, nobody does.
    found = labs.json("lab", "status", "--name", "edited")
    with stopped(labs, found, "lab/cluster-manager"), stopped(labs, found, "node2/agent"):
        kubectl("annotate", "pod", "p2", *[f"{name}-" for name in BOTH])
        assert not set(BOTH) & set(kubectl.pod("p2")["metadata"]["annotations"])
    await_notes(kubectl, "p2", before)
    labs.reach("default/p1", blue)
