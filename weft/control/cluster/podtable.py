"""Holds the pods, and finds those that name a NAD or an IPAMClaim, or run on a node.

Pure: the cluster manager's one table of pods, with its indexes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from weft.api.pod import Pod
from weft.control import index
from weft.model import ObjectKey

Name = str | ObjectKey | tuple[str, str, str]


class By(StrEnum):
    """The indexes of pods."""

    NAD = "NAD"
    CLAIM = "IPAMClaim"
    NODE = "node"
    MACHINE = "virtual machine"
    INSTANCE = "instance"  # of a virtual machine, by namespace, uid and the pod's node
    MIGRATION = "live migration"  # by the uid in the label of its target
    GUEST = "namespace"  # of pods that name NADs of other namespaces


class _Value(NamedTuple):
    by: By
    value: Name


class PodTable:
    """Pods by key."""

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, Pod] = {}
        self._index: dict[_Value, set[ObjectKey]] = {}
        self._by_uid: dict[str, ObjectKey] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[Pod]:
        return iter(self._pods.values())

    def get(self, key: ObjectKey) -> Pod | None:
        return self._pods.get(key)

    def keys(self) -> set[ObjectKey]:
        return set(self._pods)

    def by_uid(self, uid: str) -> Pod | None:
        """Returns the incarnation of a pod that has a uid, if it is there still."""
        found = self._pods.get(self._by_uid[uid]) if uid in self._by_uid else None
        return found if found is not None and found.uid == uid else None

    def find(self, by: By, value: Name) -> set[ObjectKey]:
        """Returns the keys of the pods with a value in an index."""
        return set(self.each(by, value))

    def each(self, by: By, value: Name) -> Collection[ObjectKey]:
        """Returns what `find` does, to read at once: it changes with the table."""
        return self._index.get(_Value(by, value), ())

    def set(self, key: ObjectKey, new: Pod | None) -> Pod | None:
        """Sets a pod, None: it is gone; returns its former state."""
        old = self._pods.pop(key, None)
        if old is not None and (new is None or old.uid != new.uid):
            self._by_uid.pop(old.uid, None)
        if new is not None:
            self._pods[key] = new
            self._by_uid[new.uid] = key
        if old is not None and new is not None and _is_found_alike(old, new):
            return old
        before, after = set(_values(old)), set(_values(new))
        for value in before - after:
            index.discard(self._index, value, key)
        for value in after - before:
            self._index.setdefault(value, set()).add(key)
        return old


def _is_found_alike(old: Pod, new: Pod) -> bool:
    return _found_by(old) == _found_by(new)


def _found_by(pod: Pod) -> tuple[object, ...]:
    of = pod.machine, pod.machine_uid, pod.migration
    return pod.request, pod.node, pod.uses_networks, of


def _values(pod: Pod | None) -> Iterable[_Value]:
    if pod is None or not pod.uses_networks:
        return
    for nad in pod.nads():
        yield _Value(By.NAD, nad)
    for claim in pod.claims():
        yield _Value(By.CLAIM, claim)
    if pod.machine:
        yield _Value(By.MACHINE, ObjectKey(pod.ref.namespace, pod.machine))
        yield _Value(By.INSTANCE, (pod.ref.namespace, pod.machine_uid, pod.node))
        if pod.migration:
            yield _Value(By.MIGRATION, ObjectKey(pod.ref.namespace, pod.migration))
    if pod.node:
        yield _Value(By.NODE, pod.node)
    if pod.uses_foreign_nads():
        yield _Value(By.GUEST, pod.ref.namespace)
