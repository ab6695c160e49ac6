from __future__ import annotations

from typing import Any

import pytest

from weft.observe import workloads


@pytest.mark.parametrize(
    ("pod", "name"),
    [
        ("web-7d9f8b6c5-xk2lp", "web"),  # a Deployment's
        ("payments-api-7d9f8b6c5-xk2lp", "payments-api"),
        ("node-exporter-z8x4v", "node-exporter"),  # a DaemonSet's
        ("db-0", "db"),  # a StatefulSet's
        ("db-12", "db"),
        ("web-front", "web-front"),  # generated names have no vowels
        ("web", "web"),
        ("web1", "web"),
        ("7", "7"),
    ],
)
def test_the_workload_of_a_pod(pod: str, name: str) -> None:
    assert workloads.of("shop", pod) == workloads.Workload("shop", name)


def test_machines_go_by_their_own_name() -> None:
    assert workloads.of("shop", "virt-launcher-vm1-x1y2z", "vm1").name == "vm"
    assert workloads.of("shop", "virt-launcher-a-bcdfg", "a-bcdfg").name == "a-bcdfg"


def owned(name: str, *above: tuple[str, str], labels: dict[str, str] | None = None) -> Any:
    """An object whose controllers are `above`, of kind and name."""
    references = [
        {"kind": kind, "name": by, "uid": f"uid-{by}", "controller": True} for kind, by in above
    ]
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": f"uid-{name}",
            "labels": labels or {},
            "ownerReferences": references,
        }
    }


HASHED = {"pod-template-hash": "7d9"}


@pytest.mark.parametrize(
    ("pod", "above", "workload"),
    [
        (owned("a", ("DaemonSet", "agents")), [], ("agents", "DaemonSet")),
        (owned("db7", ("StatefulSet", "db7x")), [], ("db7x", "StatefulSet")),
        (
            owned("a", ("ReplicaSet", "web-7d9"), labels=HASHED),
            [owned("web-7d9", ("Deployment", "web"))],
            ("web", "Deployment"),
        ),
        (owned("a", ("ReplicaSet", "web-7d9"), labels=HASHED), [], ("web", "Deployment")),
        (owned("a", ("ReplicaSet", "web-7d9")), [], ("web-7d9", "ReplicaSet")),
        (
            owned("a", ("Job", "nightly-2")),
            [owned("nightly-2", ("CronJob", "nightly"))],
            ("nightly", "CronJob"),
        ),
        (
            owned("a", ("VirtualMachineInstance", "vm1")),
            [
                owned("vm1", ("VirtualMachine", "vm1x")),
                owned("vm1x", ("VirtualMachinePool", "farm")),
            ],
            ("farm", "VirtualMachinePool"),
        ),
    ],
)
def test_what_controls_a_pod_is_its_workload(
    pod: Any, above: list[Any], workload: tuple[str, str]
) -> None:
    found = workloads.controlled([pod], above)
    assert found == {f"shop/{pod['metadata']['name']}": workloads.Workload("shop", *workload)}


def test_without_a_telling_controller_names_count() -> None:
    single = owned("a", ("VirtualMachineInstance", "vm1"))
    assert workloads.controlled([owned("web-7d9f8b6c5-xk2lp"), single], []) == {}


def test_objects_that_control_each_other_end() -> None:
    circle = [owned("one", ("Job", "two")), owned("two", ("Job", "one"))]
    assert workloads.controlled([owned("a", ("Job", "one"))], circle)
