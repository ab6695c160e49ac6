"""What is wrong with the objects in a user's files, before any cluster has seen them?

Pure; asks the same code that a cluster manager and the lab ask. Whether what the objects name
exists, and whether an address is free, only a cluster knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft import errors
from weft.api import nad, objects, policy, policystatus, selection
from weft.control.cluster import definitions
from weft.kube import resources

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mistake:
    """`is_error`: nothing can come of the object; otherwise it works, but hardly as meant."""

    file: str
    message: str
    is_error: bool = True


def find(
    documents: Iterable[tuple[str, Any]], rules: definitions.Rules, namespace: str
) -> Iterator[Mistake]:
    """All that can be known of `documents`, pairs of file and object, in their order."""
    read: list[tuple[str, definitions.Definition]] = []
    for file, obj in (pair for each in documents for pair in _single(*each)):
        meta = obj.get("metadata") if isinstance(obj, Mapping) else None
        if not isinstance(meta, Mapping) or not meta.get("name") or not obj.get("kind"):
            yield Mistake(file, "an object has no kind or no metadata.name")
            continue
        obj = {**obj, "metadata": {"namespace": namespace, **meta}}
        if obj["kind"] == nad.KIND:
            read.append((file, definitions.read(obj, rules)))
        elif obj["kind"] == policy.KIND:
            yield from _policy(file, obj)
        else:
            yield from (Mistake(file, _told(error)) for error in _of(obj))
    yield from _definitions(read)


def _single(file: str, document: Any) -> Iterator[tuple[str, Any]]:
    """The objects of a list, as kubectl prints one, or the object itself."""
    if isinstance(document, Mapping) and isinstance(document.get("items"), list):
        yield from ((file, item) for item in document["items"])
    elif document is not None:  # nothing between two separators
        yield file, document


def _of(obj: Object) -> list[errors.InvalidInput]:
    """Of a pod, of whatever makes pods from a template, or of a virtual machine."""
    if obj["kind"] in (resources.VMS.kind, resources.VMIS.kind):
        from weft.lab.vm import validation

        is_vm = obj["kind"] == resources.VMS.kind
        return validation.machine_findings(obj) if is_vm else validation.instance_findings(obj)
    if obj["kind"] == selection.KIND:
        return selection.problems(obj)
    if obj["kind"] == resources.NAMESPACES.kind:
        return policy.logging_problems(obj)
    spec = obj.get("spec")
    template = spec.get("template") if isinstance(spec, Mapping) else None
    inner = template.get("metadata") if isinstance(template, Mapping) else None
    if not isinstance(inner, Mapping):
        return []
    meta = obj["metadata"]
    called = {"namespace": meta["namespace"], "name": f"{meta['name']} (of {obj['kind']})"}
    return selection.problems({"metadata": {**inner, **called}})


def _policy(file: str, obj: Object) -> Iterator[Mistake]:
    """What breaks it, or else what of it is skipped: the rest is in force without it."""
    found = policy.problems(obj)
    yield from (Mistake(file, _told(error)) for error in found)
    subject = objects.subject(policy.KIND, obj)
    for part in () if found else policy.parse(obj).skipped:
        yield Mistake(file, f"{subject}: {policystatus.told(part)}", is_error=False)


def _definitions(read: list[tuple[str, definitions.Definition]]) -> Iterator[Mistake]:
    """Of each alone, then of those that declare one network."""
    files = {definition.key: file for file, definition in read}
    by_network: dict[str, list[definitions.Definition]] = {}
    for file, definition in read:
        where = f"{nad.KIND} {definition.key}"
        if definition.problem:
            yield Mistake(file, f"{where}: {definition.problem}")
        for _, said in definition.warnings:
            yield Mistake(file, f"{where}: {said}", is_error=False)
        if definition.spec is not None:
            by_network.setdefault(definition.spec.name, []).append(definition)
    for members in by_network.values():
        first = frozenset({members[0].key})  # the oldest, where files do not say
        for key, said in definitions.settle(members, first).refused.items():
            yield Mistake(files[key], said)


def _told(error: errors.WeftError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)
