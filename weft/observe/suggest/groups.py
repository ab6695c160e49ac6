"""Groups the members of a network by labels that outlast a single pod. Pure.

A policy that names a pod by what changes with each restart guards nothing tomorrow. What
controllers write for themselves is left out: hashes of templates, ordinals, uids, nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weft import names
from weft.observe import workloads
from weft.observe.reach import Member

# Labels that differ between the pods of one workload, or change when it is rolled out.
_UNSTABLE = frozenset(
    {
        "pod-template-hash",
        "pod-template-generation",
        "rollouts-pod-template-hash",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "job-completion-index",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "app.kubernetes.io/version",
        "helm.sh/chart",
        "kubernetes.io/hostname",
        names.VM_NAME,
    }
)
_UNSTABLE_PREFIXES = (
    "batch.kubernetes.io/",
    "kubevirt.io",
    "topology.kubernetes.io/",
    "security.istio.io/",
)


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """The members in `namespace` that have all of `labels`; none: all members there.

    `name` is that of the workload, "" for all of a namespace.
    """

    namespace: str
    labels: tuple[tuple[str, str], ...] = ()
    name: str = ""

    def has(self, member: Member) -> bool:
        end = member.endpoint
        return end.namespace == self.namespace and all(
            end.labels.get(key) == value for key, value in self.labels
        )


def stable(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that another pod of the same workload has, too."""
    return {
        key: value
        for key, value in labels.items()
        if key not in _UNSTABLE and not key.startswith(_UNSTABLE_PREFIXES)
    }


def grouped(members: Iterable[Member]) -> dict[str, Group]:
    """The group of each member, by its id: the members of its workload, by what they share.

    Where those share no stable label, each is by its own; a virtual machine without any is by its
    name, which it keeps. Who has no label at all is in the group of the whole namespace.
    """
    by_workload: dict[workloads.Workload, list[Member]] = {}
    for member in members:
        end = member.endpoint
        workload = member.workload or workloads.of(end.namespace, end.pod, member.machine)
        by_workload.setdefault(workload, []).append(member)
    found = {}
    for workload, listed in by_workload.items():
        shared = _shared(listed)
        for member in listed:
            if shared:
                group = Group(workload.namespace, tuple(sorted(shared.items())), workload.name)
            else:
                group = _alone(member)
            found[member.id] = group
    return found


def _shared(listed: list[Member]) -> dict[str, str]:
    first, *rest = [stable(each.endpoint.labels) for each in listed]
    return {
        key: value for key, value in first.items() if all(one.get(key) == value for one in rest)
    }


def _alone(member: Member) -> Group:
    end = member.endpoint
    own = stable(end.labels)
    if not own and member.machine and end.labels.get(names.VM_NAME) == member.machine:
        own = {names.VM_NAME: member.machine}
    name = (member.machine or end.pod) if own else ""
    return Group(end.namespace, tuple(sorted(own.items())), name)
