"""Keeps which Events pods have had, so that each is emitted once until another follows. Pure."""

from __future__ import annotations

from weft import errors
from weft.api.pod import Pod
from weft.control.cluster.outcome import Event, Subject
from weft.kube import resources
from weft.model import ObjectKey
from weft.reasons import Reason


class PodEvents:
    """The last Event of each pod, and those that are to be emitted when it is decided."""

    def __init__(self) -> None:
        self._emitted: dict[ObjectKey, str] = {}  # pod key: the message of its last Event
        self._queued: dict[ObjectKey, list[Event]] = {}

    def __len__(self) -> int:
        """The number of pods whose last Event still holds."""
        return len(self._emitted)

    def new(
        self, pod: Pod, error: errors.WeftError, reason: Reason = Reason.ERROR_ALLOCATING_POD
    ) -> tuple[Event, ...]:
        """Returns an Event on the pod, unless its last one had the same message."""
        message = error.in_full()
        if self._emitted.get(pod.key) == message:
            return ()
        self._emitted[pod.key] = message
        return (Event(Subject(resources.PODS, pod.key, pod.uid), reason, message),)

    def queue(self, pod: Pod, error: errors.WeftError) -> None:
        """Keeps an Event until `take`."""
        self._queued.setdefault(pod.key, []).extend(self.new(pod, error))

    def take(self, pod: ObjectKey) -> tuple[Event, ...]:
        """Returns the Events that were queued for a pod."""
        return tuple(self._queued.pop(pod, ()))

    def end(self, pod: ObjectKey) -> None:
        """What the last Event of a pod says is over."""
        self._emitted.pop(pod, None)

    def forget(self, pod: ObjectKey) -> None:
        """Forgets a pod that is gone."""
        self.end(pod)
        self._queued.pop(pod, None)
