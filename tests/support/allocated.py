"""Pods that hold allocations, as a zone is told of them."""

from __future__ import annotations

from collections.abc import Mapping

from weft import model
from weft.api.pod import Pod
from weft.control.zone.objects import AllocatedPod
from weft.policy.netpolicy import NamedPorts


def allocated_pod(
    ref: model.PodRef,
    node: str,
    allocations: Mapping[str, model.Allocation],
    labels: Mapping[str, str] | None = None,
    named: NamedPorts | None = None,
    *,
    is_running: bool = False,
    created: str = "",
) -> AllocatedPod:
    pod = Pod(
        ref,
        version="1",
        created=created,
        node=node,
        is_running=is_running,
        primary=True,
        is_on_networks=True,
        labels=labels or {},
        named=named or {},
    )
    return AllocatedPod(pod, allocations)
