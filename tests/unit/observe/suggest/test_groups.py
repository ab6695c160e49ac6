"""Which pods are one group, and by which labels."""

from __future__ import annotations

import pytest

from weft import names
from weft.observe.reach import Member
from weft.observe.suggest import groups
from weft.observe.suggest.groups import Group
from weft.observe.workloads import Workload
from weft.policy import netpolicy


def member(
    pod: str,
    *,
    namespace: str = "shop",
    machine: str = "",
    workload: Workload | None = None,
    labels: dict[str, str] | None = None,
) -> Member:
    end = netpolicy.Endpoint(namespace, pod, labels or {}, {}, "blue", (), {})
    return Member(f"{namespace}/{pod}", "node1", "net1", "", end, machine, workload=workload)


def group(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


@pytest.mark.parametrize(
    "key",
    [
        "pod-template-hash",
        "controller-revision-hash",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "job-name",
        "kubevirt.io",
        "kubevirt.io/nodeName",
        "kubevirt.io/created-by",
        "topology.kubernetes.io/zone",
        names.VM_NAME,
    ],
)
def test_labels_of_one_pod_or_one_rollout_do_not_count(key: str) -> None:
    assert groups.stable({"app": "web", key: "x"}) == {"app": "web"}


def test_a_workload_is_known_by_what_its_pods_share() -> None:
    made = Workload("shop", "web", "Deployment")
    one = member("web-x", workload=made, labels={"app": "web", "color": "green"})
    two = member("web-y", workload=made, labels={"app": "web", "color": "blue"})
    found = groups.grouped([one, two])
    assert set(found.values()) == {Group("shop", group(app="web"), "web")}
    assert found[one.id].has(two)


def test_pods_that_share_nothing_are_known_by_their_own() -> None:
    one, two = member("x-1", labels={"app": "a"}), member("x-2", labels={"app": "b"})
    found = groups.grouped([one, two])
    assert found[one.id] == Group("shop", group(app="a"), "x-1")
    assert not found[one.id].has(two)


def test_a_machine_is_known_by_its_labels_and_else_by_its_name() -> None:
    own = {names.VM_NAME: "db", "kubevirt.io": "virt-launcher"}
    bare = member("virt-launcher-db-x", machine="db", labels=own)
    assert groups.grouped([bare])[bare.id] == Group("shop", ((names.VM_NAME, "db"),), "db")
    labelled = member("virt-launcher-db-x", machine="db", labels={**own, "app": "db"})
    assert groups.grouped([labelled])[labelled.id].labels == group(app="db")


def test_who_has_no_label_is_all_of_its_namespace() -> None:
    bare, other = member("bare"), member("other", namespace="team")
    found = groups.grouped([bare])[bare.id]
    assert found == Group("shop")
    assert found.has(bare)
    assert not found.has(other)
