"""What a tenant's rights are worth on stock Kubernetes: RBAC, and weft's admission policy."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.chart import NAMESPACE
from tests.cluster.cluster import until
from tests.cluster.room import Room
from weft import names

pytestmark = pytest.mark.cluster
TENANT = "--as=tenant"


@pytest.fixture(scope="module")
def rented(here: Room) -> Iterator[Room]:
    """A namespace that a tenant may edit, with a pod on a network."""
    here.kubectl("create", "rolebinding", "tenant", "--clusterrole=edit", "--user=tenant")
    here.apply(here.nad("own", "10.80.0.0/24"))
    here.run(here.pod("pod", "own"))
    yield here
    here.delete("pod")


@pytest.mark.parametrize("key", [names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE])
def test_a_tenant_writes_none_of_wefts_annotations(rented: Room, key: str) -> None:
    rented.kubectl("annotate", TENANT, "pod", "pod", "own=1", "--overwrite")
    output = rented.kubectl(
        "annotate", TENANT, "--overwrite", "pod", "pod", f"{key}={{}}", ok=False
    )
    assert "written by weft alone" in output
    forged = rented.pod("forged")
    forged["metadata"]["annotations"] = {key: "{}"}
    output = rented.kubectl("apply", TENANT, "-f", "-", data=forged, ok=False)
    assert "written by weft alone" in output


def test_a_tenant_runs_pods_on_networks(rented: Room) -> None:
    made = rented.pod("mine", "own")
    rented.kubectl("apply", TENANT, "--server-side", "-f", "-", data=made)
    rented.ready("mine")
    assert rented.reaches("mine", rented.addresses("pod")[0])
    rented.kubectl("delete", TENANT, "pod", "mine")


@pytest.mark.parametrize("kind", ["secrets", "configmaps", "leases", "pods"])
def test_a_tenant_reads_and_writes_nothing_of_wefts(rented: Room, kind: str) -> None:
    """The administrator does, and the tenant reads his own pods: the command itself is right."""
    kubectl = rented.access.kubectl
    kubectl("get", "-n", NAMESPACE, kind)
    output = kubectl("get", TENANT, "-n", NAMESPACE, kind, ok=False)
    assert "forbidden" in output.lower()
    for verb in ("create", "update", "patch", "delete"):
        kubectl("auth", "can-i", verb, kind, "-n", NAMESPACE)
        answer = kubectl("auth", "can-i", verb, kind, TENANT, "-n", NAMESPACE, ok=False)
        assert answer.split()[0] == "no", answer
    rented.kubectl("get", TENANT, "pods")


def test_what_weft_decided_is_signed(rented: Room) -> None:
    notes = rented.access.get("-n", rented.namespace, "pod", "pod")["metadata"]["annotations"]
    assert json.loads(notes[names.POD_NETWORKS_SIGNATURE])["of"] == [f"{rented.namespace}/own"]


READS, WRITES = ("get", "list", "watch"), ("create", "update", "patch", "delete")
NADS = "network-attachment-definitions.k8s.cni.cncf.io"
POLICIES = "multi-networkpolicies.k8s.cni.cncf.io"
CLAIMS, NETWORKS = "ipamclaims.k8s.cni.cncf.io", "networks.weft.internal"
# What Kubernetes' own roles may do in a namespace, by weft's roles that are part of them.
AGGREGATED: dict[str, dict[str, tuple[str, ...]]] = {
    "view": {NADS: READS, POLICIES: READS, CLAIMS: READS},
    "edit": {NADS: READS, POLICIES: (*READS, *WRITES), CLAIMS: (*READS, *WRITES)},
    "admin": {NADS: READS, POLICIES: (*READS, *WRITES), CLAIMS: (*READS, *WRITES)},
}


def may(room: Room, who: str, verb: str, kind: str) -> bool:
    argv = ("auth", "can-i", verb, kind, f"--as={who}", "-n", room.namespace)
    done = subprocess.run(
        [room.access.program, *argv],
        env={**os.environ, "KUBECONFIG": str(room.access.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()[:1] == ["yes"]


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_a_role_of_kubernetes_has_what_wefts_roles_add(here: Room, role: str) -> None:
    """None of them declares networks, and without a binding nobody may anything."""
    user = f"with-{role}"
    here.kubectl("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    until(lambda: may(here, user, "get", NADS), "the controller that aggregates roles")
    for kind, verbs in AGGREGATED[role].items():
        found = {verb for verb in (*READS, *WRITES) if may(here, user, verb, kind)}
        assert found == set(verbs), kind
        assert not any(may(here, "nobody", verb, kind) for verb in verbs)


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_a_network_is_shown_to_who_reads_the_whole_cluster(here: Room, role: str) -> None:
    """It has no namespace, so that a binding for all of them shows it."""
    user, kubectl = f"all-with-{role}", here.access.kubectl
    kubectl("create", "clusterrolebinding", user, f"--clusterrole={role}", f"--user={user}")
    try:
        until(lambda: may(here, user, "list", NETWORKS), "the binding to count")
        assert not any(may(here, user, verb, NETWORKS) for verb in WRITES)
    finally:
        kubectl("delete", "clusterrolebinding", user)
