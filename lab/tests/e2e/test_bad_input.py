"""What a user reads about each mistake, in a whole lab, and that mistakes harm nothing else."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from lab.tests.support import pods
from lab.tests.support.pods import Cluster
from tests.support import bad_input
from tests.support.bad_input import Case
from tests.support.bad_input import good as nad
from tests.support.objects import Object, pod
from tests.support.patience import PATIENCE
from weft import names
from weft.kube import client, resources
from weft.model import ObjectKey

pytestmark = pytest.mark.lab
PEER, SHUT = "10.100.0.200", "10.100.0.201"


class Received:
    """Events of the lab by object and reason."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], list[str]] = {}
        self.changed = asyncio.Event()

    def note(self, key: ObjectKey, old: Object | None, new: Object | None) -> None:
        if new is not None and old is None:
            about = new["involvedObject"]
            place = (f"{about['kind']}/{about['name']}", new["reason"])
            self.messages.setdefault(place, []).append(new["message"])
            self.changed.set()

    def find(self, case: Case) -> str:
        """The Event that the case waits for, "" if it has not come."""
        messages = self.messages.get((case.about, case.reason), [])
        return next((one for one in messages if all(word in one for word in case.words)), "")


def switches(cluster: Cluster) -> set[str]:
    listed = cluster.house.run("node1", "ovn-nbctl", "ls-list", lab=cluster.name).stdout
    return {line.split()[1] for line in listed.splitlines()}


@pytest.fixture(scope="module")
def own_switches(pod_lab: Cluster) -> set[str]:
    """Those of the default network, which are there while any pod is."""
    pod_lab.create(pod("first"))
    pod_lab.wait_ready("first")
    found = switches(pod_lab)
    pod_lab.delete("first", grace=0)
    return found


@pytest.fixture(scope="module")
def cluster(pod_lab: Cluster, own_switches: set[str]) -> Cluster:
    """Two good pods that talk; everything else comes after them."""
    pod_lab.create(*bad_input.NETWORKS)
    pod_lab.create(
        pod("one", networks="good"),
        pod("other", networks=json.dumps([{"name": "good", "ips": [PEER]}])),
        *bad_input.HOLDERS,
    )
    for name in ("one", "other", "holder", "tiny-1", "tiny-2"):
        pod_lab.wait_ready(name)
    assert pod_lab.pings("one", PEER)
    return pod_lab


@pytest.fixture(scope="module")
def received(cluster: Cluster) -> Received:
    """All mistakes applied at once, and what was said by the time that all was said."""
    found = Received()

    async def work(api: client.Client) -> None:
        async with pods.following(api, resources.EVENTS) as events:
            events.subscribe(found.note)
            for case in bad_input.ALL:
                await api.create(bad_input.KINDS[case.obj["kind"]], case.obj)
            try:
                async with asyncio.timeout(PATIENCE):
                    while not all(map(found.find, bad_input.ALL)):
                        found.changed.clear()
                        await found.changed.wait()
            except TimeoutError:
                pass  # each test says what it misses

    cluster.api(work)
    return found


@pytest.mark.parametrize("case", bad_input.ALL, ids=lambda case: case.name)
def test_a_mistake_is_reported_at_its_object(received: Received, case: Case) -> None:
    messages = received.find(case)
    assert messages, received.messages.get((case.about, case.reason)) or received.messages
    for noise in ("{'", "['", "None", "Traceback", "Error(", "Failed to parse network config: Net"):
        assert noise not in messages.removeprefix("Failed to parse network config: Net")
    assert messages.count("NetworkAttachmentDefinition default/") <= 2


def test_what_kubectl_shows(received: Received, cluster: Cluster) -> None:
    described = cluster.kubectl("describe", "network-attachment-definitions", "small-mtu")
    assert "Warning  InvalidConfig" in described
    assert "spec.config.mtu 500: must be at least 576" in described
    assert "is held by Pod default/holder" in cluster.kubectl("describe", "pod", "s-taken-ip")
    assert "did you mean Always?" in cluster.kubectl("describe", "vm", "v-strategy")
    assert "selects no peer" in cluster.kubectl("describe", "multi-policy", "y-peer")
    listed = cluster.kubectl("get", "vm", "v-net", "v-mac")
    assert listed.count("Invalid") == 2


def test_pods_and_networks_without_mistakes_go_on(received: Received, cluster: Cluster) -> None:
    assert cluster.pings("one", PEER)
    cluster.create(pod("later", networks="good"))
    cluster.wait_ready("later")
    assert cluster.pings("later", PEER)
    for case in (*bad_input.ELEMENTS, *bad_input.MACHINES):
        if case.obj["kind"] == "Pod":
            statuses = cluster.get(case.name)["status"].get("containerStatuses") or ()
            assert not any(entry["started"] for entry in statuses), case.name


def test_an_edit_that_breaks_a_nad_breaks_no_pod(received: Received, cluster: Cluster) -> None:
    change(cluster, nad("good", mtu=5))
    assert "mtu 5: must be at least 576" in cluster.wait_event("good", "InvalidConfig")
    cluster.create(pod("patient", networks="good"))
    assert "default/good: is invalid" in cluster.wait_event("patient", "ErrorAllocatingPod")
    assert cluster.pings("one", PEER)
    cluster.kill("agent")  # what it has in memory is not what keeps the network
    assert cluster.pings("one", PEER)
    change(cluster, nad("good"))
    cluster.wait_ready("patient")
    assert cluster.pings("patient", PEER)


def test_an_edit_that_breaks_a_policy_opens_nothing(received: Received, cluster: Cluster) -> None:
    shut = pod("shut", networks=json.dumps([{"name": "good", "ips": [SHUT]}]))
    shut["metadata"]["labels"] = {"app": "shut"}
    closing = bad_input.policy("closing", podSelector={"matchLabels": {"app": "shut"}})
    cluster.create(closing, shut)
    cluster.wait_ready("shut")
    assert cluster.pings("shut", PEER), "its replies come back"
    assert not cluster.pings("one", SHUT, patience=2)
    cluster.kubectl("annotate", "--overwrite", "multi-policy/closing", f"{names.POLICY_FOR}=")
    cluster.kubectl("wait", "multi-policy/closing", "--for=condition=Accepted=False")
    assert "accepted last stays in force" in cluster.wait_event("closing", "InvalidPolicy")
    assert not cluster.pings("one", SHUT, patience=2)
    cluster.kill("agent")  # what it has in memory is not what keeps the pod shut
    cluster.create(pod("after", networks="good"))
    cluster.wait_ready("after")  # by the agent that was started anew
    assert not cluster.pings("after", SHUT, patience=2)
    cluster.kubectl("delete", "multi-policy/closing")
    assert cluster.pings("after", SHUT)


def test_who_waited_goes_on_when_the_mistake_is_mended(
    received: Received, cluster: Cluster
) -> None:
    agreed = nad("differs")
    agreed["spec"]["config"] = agreed["spec"]["config"].replace('"differs"', '"good"')
    change(cluster, nad("small-mtu", subnets="10.120.0.0/24"), agreed)
    cluster.create(nad("missing", subnets="10.121.0.0/24"))
    cluster.delete("holder", "tiny-1", grace=0)
    cluster.kubectl("annotate", "--overwrite", "pod/s-mac", "k8s.v1.cni.cncf.io/networks=good@data")
    mended = bad_input.machine("v-mac", lambda spec, template: None)
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(mended))
    for name in ("s-invalid", "s-differs", "s-missing", "s-absent"):
        cluster.wait_ready(name)
    for name in ("s-taken-ip", "s-exhausted", "s-mac"):
        cluster.wait_ready(name)
    assert pods.network_status(cluster.get("s-taken-ip"))[1]["ips"][0] == bad_input.HELD_ADDRESS
    cluster.kubectl("wait", "vm/v-mac", "--for=jsonpath={.status.printableStatus}=Stopped")


def test_nothing_is_left(received: Received, cluster: Cluster, own_switches: set[str]) -> None:
    for kind in (resources.MULTINETWORKPOLICIES, resources.VMS, resources.PODS, resources.NADS):
        cluster.api(partial(delete_all, kind=kind))
    # The zone works in order: when the last pod is in, what went before it is out.
    cluster.create(nad("last", subnets="10.110.0.0/24"), pod("last", networks="last"))
    cluster.wait_ready("last")
    assert switches(cluster) == own_switches | {"(last_ovn_layer2_switch)"}
    cluster.delete("last")
    assert cluster.left() == pods.NOTHING


async def delete_all(api: client.Client, kind: resources.Resource) -> None:
    """Returns when none is there any more, nor what belonged to it."""
    async with pods.following(api, kind) as there:
        keys = set(there.keys())
        for key in keys:
            await api.delete(kind, key.name, "default")
        await pods.gone(there, keys)


def change(cluster: Cluster, *nads: Object) -> None:
    async def work(api: client.Client) -> None:
        for obj in nads:
            name, body = obj["metadata"]["name"], {"spec": obj["spec"]}
            await api.patch(resources.NADS, name, "default", body)

    cluster.api(work)
