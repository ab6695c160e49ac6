"""Defines what is decided of one object: patches to write and Events to tell.

Pure data. How a patch is sent, and what becomes of one that is refused, is the writer's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from weft.kube.resources import Resource
from weft.reasons import EventReason


class Ref(NamedTuple):
    """An object by name, whichever incarnation: `key` is "namespace/name" or "name"."""

    resource: Resource
    key: str


class Subject(NamedTuple):
    """One incarnation of an object; `namespace` is "" where its kind has none."""

    resource: Resource
    namespace: str
    name: str
    uid: str

    def as_object(self) -> dict[str, Any]:
        """No more of the object than an Event needs to say which one it is about."""
        meta = {"namespace": self.namespace, "name": self.name, "uid": self.uid}
        kept = {name: value for name, value in meta.items() if value}
        res = self.resource
        return {"apiVersion": res.api_version, "kind": res.kind, "metadata": kept}


class Event(NamedTuple):
    about: Subject
    reason: EventReason
    message: str


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch of one incarnation; None removes an annotation or a key of `data`.

    `version`: it was decided for this resourceVersion, and counts for no other. A `status` goes to
    the subresource, alone. `creates`: the object is made where it is not there. `settles`: when it
    has come back, and nothing else, nothing is left to decide.
    """

    about: Subject
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    finalizers: tuple[str, ...] | None = None
    status: Mapping[str, Any] | None = None
    data: Mapping[str, str | None] | None = None
    version: str = ""
    creates: bool = False
    settles: bool = False

    @property
    def subresource(self) -> str:
        return "" if self.status is None else "status"

    def body(self) -> dict[str, Any]:
        meta: dict[str, Any] = {"uid": self.about.uid, "resourceVersion": self.version}
        meta = {name: value for name, value in meta.items() if value}
        if self.annotations:
            meta["annotations"] = dict(self.annotations)
        if self.finalizers is not None:
            meta["finalizers"] = list(self.finalizers)
        said = {"status": self.status, "data": self.data}
        return {"metadata": meta, **{name: value for name, value in said.items() if value}}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`events` are told at once, and `patches` then sent in turn.

    `again`: seconds after which the object is due again, whatever happens; 0 for never.
    """

    patches: tuple[Patch, ...] = ()
    events: tuple[Event, ...] = ()
    again: float = 0.0


NOTHING = Outcome()
