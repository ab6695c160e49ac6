"""Registers the resources that this server offers, by group and version.

The registry changes while the server runs: a CustomResourceDefinition adds an entry. What an
entry does to objects is in its `Strategy`; how it is printed is in its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from weft_lab.apiserver import status

Object = dict[str, Any]
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `cell` reads it from an object."""

    name: str
    type: str
    cell: Callable[[Object], Any]
    priority: int = 0
    format: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One served form of a resource. `schema` is an OpenAPI schema, which may refer to others."""

    name: str
    schema: Mapping[str, Any]
    definition: str = ""
    columns: tuple[Column, ...] = ()
    served: bool = True
    has_status: bool = False
    warning: str = ""
    api_version: str = ""
    to_storage: Callable[[Object], Object] | None = None
    from_storage: Callable[[Object], Object] | None = None


def _nothing(_: Object) -> None:
    return None


def _no_change(_new: Object, _old: Object) -> None:
    return None


def _no_causes(_: Object) -> list[status.Cause]:
    return []


def _no_rules(_new: Object, _old: Object | None, _before: list[status.Cause]) -> list[status.Cause]:
    return []


def _no_change_rules(_new: Object, _old: Object) -> list[status.Cause]:
    return []


@dataclass(frozen=True, slots=True)
class Strategy:
    """What is particular to a type: its defaults and its rules. Every function is pure.

    `rules` gets a new object, the one before or None, and what is wrong with the new one already.
    """

    default: Callable[[Object], None] = _nothing
    create: Callable[[Object], None] = _nothing
    change: Callable[[Object, Object], None] = _no_change
    validate: Callable[[Object], list[status.Cause]] = _no_causes
    validate_change: Callable[[Object, Object], list[status.Cause]] = _no_change_rules
    rules: Callable[[Object, Object | None, list[status.Cause]], list[status.Cause]] = _no_rules
    unconditional_update: bool = True
    grace: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One type of objects; the first of `versions` that equals `storage` is how it is kept."""

    group: str
    plural: str
    kind: str
    namespaced: bool
    versions: tuple[Version, ...]
    storage: str
    singular: str = ""
    list_kind: str = ""
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    strategy: Strategy = Strategy()
    selectable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    custom: bool = False
    counted: bool = False  # metadata.generation counts the changes of spec
    answers_deleted: bool = False  # a deletion is answered with the object
    create_on_update: bool = False
    status_alone: bool = False  # /status writes no metadata
    name_rule: str = "subdomain"

    @property
    def id(self) -> str:
        return status.qualified(self.group, self.plural)

    @property
    def items_kind(self) -> str:
        return self.list_kind or f"{self.kind}List"

    def api_version(self, version: Version) -> str:
        """Of a version that another group lends its name to, that group's."""
        if version.api_version:
            return version.api_version
        return f"{self.group}/{version.name}" if self.group else version.name

    def named_by(self, version: Version) -> str:
        """The group in which errors name it."""
        return self.api_version(version).rpartition("/")[0]

    @property
    def stored_api_version(self) -> str:
        return f"{self.group}/{self.storage}" if self.group else self.storage

    def version(self, name: str) -> Version:
        return next(one for one in self.versions if one.name == name)


@dataclass(slots=True)
class Registry:
    """All resources by name; asks nothing of the objects."""

    _by_id: dict[str, Resource] = field(default_factory=dict)
    _by_path: dict[tuple[str, str, str], tuple[Resource, Version]] = field(default_factory=dict)
    generation: int = 0

    def add(self, resource: Resource) -> None:
        self.remove(resource.id)
        self._by_id[resource.id] = resource
        for version in resource.versions:
            if version.served:
                self._by_path[resource.group, version.name, resource.plural] = resource, version
        self.generation += 1

    def add_alias(self, group: str, resource: Resource, version: Version) -> None:
        """Serve the objects of `resource` under a second group, in another form."""
        self._by_path[group, version.name, resource.plural] = resource, version
        self.generation += 1

    def remove(self, name: str) -> None:
        gone = self._by_id.pop(name, None)
        if gone is None:
            return
        for version in gone.versions:
            self._by_path.pop((gone.group, version.name, gone.plural), None)
        self.generation += 1

    def get(self, name: str) -> Resource | None:
        return self._by_id.get(name)

    def find(self, group: str, version: str, plural: str) -> tuple[Resource, Version] | None:
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        group, _, version = api_version.rpartition("/")
        for resource in self._by_id.values():
            if resource.group == group and resource.kind == kind:
                return resource if any(v.name == version for v in resource.versions) else None
        return None

    def __iter__(self) -> Iterator[Resource]:
        return iter(tuple(self._by_id.values()))

    def groups(self) -> dict[str, list[str]]:
        """Group to its served versions, best first; the core group is the empty name."""
        found: dict[str, set[str]] = {}
        for group, version, _ in self._by_path:
            found.setdefault(group, set()).add(version)
        return {group: sorted(names, key=version_rank) for group, names in found.items()}

    def of(self, group: str, version: str) -> list[tuple[Resource, Version]]:
        return [
            entry for key, entry in self._by_path.items() if key[0] == group and key[1] == version
        ]


def version_rank(name: str) -> tuple[int, int, int, str]:
    """Sort key: v2 before v1 before v1beta2 before v1alpha1, and anything else last."""
    body, stage = name[1:], 0
    for word, rank in (("alpha", 2), ("beta", 1)):
        if word in body:
            major, _, minor = body.partition(word)
            if name.startswith("v") and major.isdigit() and (minor.isdigit() or not minor):
                return (rank, -int(major), -int(minor or 0), "")
            return (3, 0, 0, name)
    if name.startswith("v") and body.isdigit():
        return (stage, -int(body), 0, "")
    return (3, 0, 0, name)


def read_path(obj: Object, path: tuple[str, ...]) -> str:
    """A field as selectors see it: text, empty when it is not there."""
    found: Any = obj
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
        if found is None:
            return ""
    if isinstance(found, bool):
        return "true" if found else "false"
    return found if isinstance(found, str) else str(found)
