"""Defines the outcome of a decision about one object: patches to write and Events to emit.

Pure data. `writer.py` sends patches and handles their refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from weft.kube.resources import Resource
from weft.model import ObjectKey
from weft.reasons import EventReason


class Ref(NamedTuple):
    """An object by kind and name, in any incarnation."""

    resource: Resource
    key: ObjectKey


class Subject(NamedTuple):
    """One incarnation of an object."""

    resource: Resource
    key: ObjectKey
    uid: str

    @property
    def name(self) -> str:
        return self.key.name

    def as_object(self) -> dict[str, Any]:
        """Returns as much of the object as an Event needs to refer to it."""
        meta = {**self.key._asdict(), "uid": self.uid}
        kept = {name: value for name, value in meta.items() if value}
        res = self.resource
        return {"apiVersion": res.api_version, "kind": res.kind, "metadata": kept}


class Event(NamedTuple):
    """A Kubernetes Event to emit; `about` is its object."""

    about: Subject
    reason: EventReason
    message: str


class Marking(NamedTuple):
    """A condition of weft's, beside those of others, in the status of somebody else's object.

    It is True; without a reason it is removed.
    """

    about: Subject
    type: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch (RFC 7386) of one incarnation; None removes an annotation, label or key of
    `data`. `owners` replace the owner references, if there are any.

    `version`: the API server takes it for this resourceVersion only ("": any). A `status` goes to
    the subresource, alone. `creates`: the object is created if it does not exist. `removes`: the
    object is deleted, and nothing else is written. `settles`: the object needs no new decision when
    only this patch comes back from the informer.
    """

    about: Subject
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    finalizers: tuple[str, ...] | None = None
    status: Mapping[str, Any] | None = None
    data: Mapping[str, str | None] | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)
    owners: tuple[Mapping[str, Any], ...] = ()
    spec: Mapping[str, Any] | None = None
    version: str = ""
    creates: bool = False
    removes: bool = False
    settles: bool = False

    @property
    def subresource(self) -> str:
        return "" if self.status is None else "status"

    def body(self) -> dict[str, Any]:
        """Returns the patch as the API server takes it."""
        meta: dict[str, Any] = {"uid": self.about.uid, "resourceVersion": self.version}
        meta = {name: value for name, value in meta.items() if value}
        if self.annotations:
            meta["annotations"] = dict(self.annotations)
        if self.labels:
            meta["labels"] = dict(self.labels)
        if self.finalizers is not None:
            meta["finalizers"] = list(self.finalizers)
        if self.owners:
            meta["ownerReferences"] = [dict(each) for each in self.owners]
        fields = {"status": self.status, "data": self.data, "spec": self.spec}
        return {"metadata": meta, **{name: value for name, value in fields.items() if value}}


@dataclass(frozen=True, slots=True)
class Replacement:
    """An object of weft's own as it should be: without its kind, and created if `about` has no uid.

    Else the API server replaces only that incarnation, and only the resourceVersion in `body`.
    """

    about: Subject
    body: Mapping[str, Any]

    def as_object(self) -> dict[str, Any]:
        res = self.about.resource
        return {"apiVersion": res.api_version, "kind": res.kind, **self.body}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`events` are emitted at once; `patches`, `replacements` and `markings` are sent in turn.

    `again`: seconds after which the object is decided again, whatever happens; 0: never. `later`
    is the same of an object that waits for nothing until then.
    """

    patches: tuple[Patch, ...] = ()
    events: tuple[Event, ...] = ()
    again: float = 0.0
    replacements: tuple[Replacement, ...] = ()
    markings: tuple[Marking, ...] = ()
    later: float = 0.0


NOTHING = Outcome()
