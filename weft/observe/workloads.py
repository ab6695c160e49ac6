"""Tells a pod's workload from its name, as Kubernetes' controllers make names.

Pure. Databases know a pod's name alone, so this is asked of names wherever pods are grouped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Controllers end a pod's name with characters of this set (apimachinery's `rand.String`).
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_DEPLOYMENT = re.compile(rf"(.+)-[{_SAFE}]{{6,10}}-[{_SAFE}]{{5}}")
_GENERATED = re.compile(rf"(.+)-[{_SAFE}]{{5}}")
_ORDINAL = re.compile(r"(.+?)-?(?:0|[1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """What makes pods that are alike: a Deployment, a DaemonSet, a StatefulSet, a VM pool."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def of(namespace: str, pod: str, machine: str = "") -> Workload:
    """The workload of a pod, or of the virtual machine in it.

    Names alone tell nothing of a pod that nobody generated; it is a workload of its own, with those
    whose names differ from its own in a number at the end.
    """
    for pattern in () if machine else (_DEPLOYMENT, _GENERATED):
        if found := pattern.fullmatch(pod):
            return Workload(namespace, found[1])
    called = machine or pod
    numbered = _ORDINAL.fullmatch(called)
    return Workload(namespace, numbered[1] if numbered else called)
