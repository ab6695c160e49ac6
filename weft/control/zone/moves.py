"""Decides which of a machine's pods has the port that both of them have, in one zone.

While a virtual machine migrates, two pods hold one allocation. The cluster manager says so, signed,
in the allocation of the second (ADR 0117); no label, owner or annotation of a pod counts. Until the
machine runs in the second pod, the first has the port in all zones but that of the second, where
the port waits for it. Then the second has it everywhere. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from weft import model
from weft.control import index
from weft.migration import Move
from weft.model import ObjectKey

Precedence = tuple[str, ...]


class Held(NamedTuple):
    """The ports that a pod has in this zone, by port key, and its precedence among duplicates."""

    pod: ObjectKey
    ports: dict[str, model.Port]
    precedence: Precedence = ()


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which pod has a port; the others of `withheld` have it no more, or not yet."""

    has_port: ObjectKey
    port: model.Port
    runs_in: ObjectKey
    withheld: frozenset[ObjectKey]


class Moves:
    """The ports that pods request, and which of them each has on node `here`."""

    def __init__(self, here: str) -> None:
        self._here = here
        self._requested: dict[ObjectKey, Held] = {}
        self._pods: dict[str, set[ObjectKey]] = {}  # by port key
        self._choices: dict[str, _Choice] = {}  # by port key, where several pods have one

    def set_ports(
        self, pod: ObjectKey, ports: dict[str, model.Port], precedence: Precedence = ()
    ) -> list[Held]:
        """Sets the ports that a pod requests; returns what it, and each pod affected, has now."""
        before = self._requested.pop(pod, None)
        for key in before.ports if before is not None else ():
            index.discard(self._pods, key, pod)
        if ports:
            self._requested[pod] = Held(pod, ports, precedence)
        for key in ports:
            self._pods.setdefault(key, set()).add(pod)
        affected = {pod: None}
        for key in {**(before.ports if before is not None else {}), **ports}:
            affected |= dict.fromkeys(self._decide(key))
        return [self._held(each) for each in affected]

    def moving(self) -> dict[str, model.Port]:
        """Returns the ports, by key, whose machines migrate, each as this zone has it."""
        found = ((key, chosen.port) for key, chosen in self._choices.items())
        return {key: port for key, port in found if port.move is not None}

    def _decide(self, key: str) -> Iterator[ObjectKey]:
        """Chooses who has a port; yields the other pods that this concerns."""
        pods, before = self._pods.get(key, ()), self._choices.pop(key, None)
        if len(pods) > 1:
            yield from sorted(pods)
            candidates = {each: self._requested[each].ports[key] for each in pods}
            if (chosen := choose(candidates, self._here)) is not None:
                self._choices[key] = chosen
        elif before is not None:
            yield from sorted(pods)

    def _held(self, pod: ObjectKey) -> Held:
        requested = self._requested.get(pod)
        if requested is None:
            return Held(pod, {})
        if not self._choices:
            return requested
        held, precedence = dict(requested.ports), requested.precedence
        for key in requested.ports:
            chosen = self._choices.get(key)
            if chosen is None:
                continue
            if chosen.has_port == pod:
                held[key] = chosen.port
                precedence = self._requested[chosen.runs_in].precedence
            elif pod in chosen.withheld:
                del held[key]
        return Held(pod, held, precedence)


def choose(candidates: Mapping[ObjectKey, model.Port], here: str) -> _Choice | None:
    """Chooses between the pods that have one port; None where nothing that is signed relates them:
    then they are duplicates."""
    sources = {pod: _source(pod, port, candidates) for pod, port in candidates.items()}
    left = {source for pod, source in sources.items() if source and _is_active(candidates[pod])}
    waiting = {pod for pod, source in sources.items() if source and not _is_active(candidates[pod])}
    standing = candidates.keys() - left - waiting
    if len(standing) != 1:
        return None
    (runs_in,) = standing
    port = candidates[runs_in]
    for pod in sorted(waiting):
        target = candidates[pod]
        if sources[pod] == runs_in and target.node != port.node:
            move = Move(port.node, target.node, target.pod.uid)
            has_port = pod if target.node == here else runs_in
            moved = replace(candidates[has_port], move=move)
            return _Choice(has_port, moved, runs_in, frozenset(candidates.keys() - {has_port}))
    return _Choice(runs_in, port, runs_in, frozenset(candidates.keys() - {runs_in}))


def _is_active(port: model.Port) -> bool:
    return port.allocation.migration is not None and port.allocation.migration.is_active


def _source(
    pod: ObjectKey, port: model.Port, candidates: Mapping[ObjectKey, model.Port]
) -> ObjectKey | None:
    """Returns the pod from which the machine comes, if it is there still."""
    migration = port.allocation.migration
    if migration is None:
        return None
    source = ObjectKey(pod.namespace, migration.source)
    there = candidates.get(source)
    return source if there is not None and there.pod.uid == migration.source_uid else None
