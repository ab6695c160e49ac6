from __future__ import annotations

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
