"""Finds mistakes in manifests before they are applied.

Pure: it calls the parsers that the cluster manager and the lab use. Only a cluster knows whether
named objects exist and whether addresses are free.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft import errors, model
from weft.api import nad, networkqos, objects, policy, policystatus, selection
from weft.cli import labs
from weft.control.cluster import nads, settlements, udns
from weft.kube import resources
from weft.model import ObjectKey
from weft.plan import manifests
from weft.policy import access

Object = Mapping[str, Any]

# The kinds that are checked, with their apiVersions, the preferred one first.
SERVED: Mapping[str, tuple[str, ...]] = {
    nad.KIND: (resources.NADS.api_version,),
    policy.KIND: tuple(
        each.api_version for each in resources.MULTINETWORKPOLICIES.in_each_version()
    ),
    resources.VMS.kind: (resources.VMS.api_version, "kubevirt.io/v1alpha3"),
    resources.VMIS.kind: (resources.VMIS.api_version, "kubevirt.io/v1alpha3"),
    selection.KIND: ("v1",),
    resources.NAMESPACES.kind: ("v1",),
    resources.UDNS.kind: (resources.UDNS.api_version,),
    resources.CUDNS.kind: (resources.CUDNS.api_version,),
    networkqos.KIND: (resources.NETWORKQOSES.api_version,),
}
# A hint names a known kind for a misspelt one whose length differs by at most so many characters.
MAX_LENGTH_DIFFERENCE = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in a file, or a note on an object that was not `checked`.

    `is_error`: the object would be refused. Otherwise it works, but part of it has no effect.
    """

    file: str
    message: str
    is_error: bool = True
    checked: bool = True

    @property
    def verdict(self) -> str:
        if not self.checked:
            return "not checked"
        return "error" if self.is_error else "warning"


def find(
    documents: Iterable[tuple[str, Any]], rules: nads.Rules, namespace: str
) -> Iterator[Mistake]:
    """Yield the mistakes in `documents`, which are pairs of file and object.

    `namespace` is that of objects that name none.
    """
    read: list[tuple[str, nads.Nad]] = []
    asking: list[tuple[str, Object]] = []
    labels: dict[str, Mapping[str, str]] = {}
    for file, obj in (pair for each in documents for pair in manifests.single(*each)):
        meta = obj.get("metadata") if isinstance(obj, Mapping) else None
        name = (meta.get("name") or meta.get("generateName")) if isinstance(meta, Mapping) else ""
        if not isinstance(meta, Mapping) or not name or not obj.get("kind"):
            yield Mistake(file, "an object has no kind or no metadata.name")
            continue
        obj = {**obj, "metadata": {"namespace": namespace, **meta, "name": name}}
        if broken := list(_malformed(obj)):
            yield from (Mistake(file, error.in_full()) for error in broken)
            continue
        yield from (
            Mistake(file, message, is_error=False, checked=False) for message in _overlooked(obj)
        )
        if obj["kind"] == nad.KIND:
            read.append((file, nads.read(obj, rules)))
        elif obj["kind"] == policy.KIND:
            yield from _policy(file, obj)
        elif obj["kind"] in (resources.UDNS.kind, resources.CUDNS.kind):
            yield from _user_defined(file, obj, rules)
        elif obj["kind"] == networkqos.KIND:
            yield from (Mistake(file, error.in_full()) for error in networkqos.problems(obj))
        else:
            asking.append((file, obj))
            if obj["kind"] == resources.NAMESPACES.kind:
                labels[obj["metadata"]["name"]] = obj["metadata"].get("labels") or {}
            yield from (Mistake(file, error.in_full()) for error in _of(obj))
    rule = access.AccessRule(rules.global_namespaces, labels.get)
    owned = _owned(read, rule)
    yield from _nads(read, owned)
    for file, obj in asking:
        yield from (Mistake(file, message) for message in _refused_networks(obj, owned, rule))


def count(documents: Iterable[tuple[str, Any]]) -> int:
    """The number of objects in `documents`; each item of a list counts."""
    return sum(1 for each in documents for _ in manifests.single(*each))


def _malformed(obj: Object) -> Iterator[errors.InvalidInput]:
    """The errors for which an API server refuses an object of any kind, or its apiVersion."""
    meta = obj["metadata"]
    called = f"{obj['kind']} {meta['namespace']}/{meta['name']}"
    for field in ("kind", "apiVersion"):
        if field in obj and not isinstance(obj[field], str):
            yield errors.InvalidInput(called, field, obj[field], "must be a string")
            return
    for field in ("name", "namespace"):
        if not isinstance(meta[field], str):
            rule = "must be a string"
            yield errors.InvalidInput(
                called, f"metadata.{field}", meta[field], rule, hint="put it in quotes"
            )
    for field in ("annotations", "labels"):
        yield from _not_strings(called, f"metadata.{field}", meta.get(field))
    if not isinstance(obj.get("spec") or {}, Mapping):
        yield errors.InvalidInput(called, "spec", obj["spec"], "must be an object")
    served = SERVED.get(obj["kind"], ())
    if served and obj.get("apiVersion", served[0]) not in served:
        rule = f"must be {' or '.join(served)}"
        yield errors.InvalidInput(called, "apiVersion", obj["apiVersion"], rule)


def _not_strings(called: str, field: str, value: Any) -> Iterator[errors.InvalidInput]:
    if not isinstance(value or {}, Mapping):
        yield errors.InvalidInput(called, field, value, "must be an object")
        return
    for key, one in (value or {}).items():
        if not isinstance(one, str):
            rule = "must be a string"
            yield errors.InvalidInput(called, f"{field}[{key}]", one, rule, hint="put it in quotes")


def _overlooked(obj: Object) -> Iterator[str]:
    """A note on an object of a kind that is not checked, unless it has a pod template."""
    kind, meta = obj["kind"], obj["metadata"]
    called = f"{kind} {meta['namespace']}/{meta['name']}"
    if kind in (resources.VMS.kind, resources.VMIS.kind) and not labs.installed():
        yield f"{called}: only its networks are checked; {labs.missing('the rest').in_full()}"
    if kind in SERVED or _template(obj) is not None:
        return
    near = [one for one in SERVED if abs(len(one) - len(kind)) <= MAX_LENGTH_DIFFERENCE]
    meant = difflib.get_close_matches(kind, near, 1, 0.8)
    hint = f"; did you mean {meant[0]}?" if meant else ""
    version = f" of {obj['apiVersion']}" if obj.get("apiVersion") else ""
    yield f"{called}: weft does not read this kind{version}{hint}"


def _template(obj: Object) -> Mapping[str, Any] | None:
    """The metadata of an object's pod template, if it has one."""
    spec = obj.get("spec")
    template = spec.get("template") if isinstance(spec, Mapping) else None
    inner = template.get("metadata") if isinstance(template, Mapping) else None
    return inner if isinstance(inner, Mapping) else None


def _of(obj: Object) -> list[errors.InvalidInput]:
    """The errors of a pod, of an object with a pod template, or of a virtual machine."""
    if obj["kind"] in (resources.VMS.kind, resources.VMIS.kind):
        found = labs.installed()
        return list(found.machine_problems(obj)) if found else []
    if obj["kind"] == selection.KIND:
        return selection.problems(obj)
    if obj["kind"] == resources.NAMESPACES.kind:
        return policy.logging_problems(obj)
    inner = _template(obj)
    if inner is None:
        return []
    meta = obj["metadata"]
    called = {"namespace": meta["namespace"], "name": f"{meta['name']} (of {obj['kind']})"}
    return selection.problems({"metadata": {**inner, **called}})


def _policy(file: str, obj: Object) -> Iterator[Mistake]:
    """The errors of a policy; if it has none, a warning for each part that is skipped."""
    found = policy.problems(obj)
    yield from (Mistake(file, error.in_full()) for error in found)
    subject = objects.subject(policy.KIND, obj)
    for part in () if found else policy.parse(obj).skipped:
        yield Mistake(file, f"{subject}: {policystatus.skipped_text(part)}", is_error=False)


def _user_defined(file: str, obj: Object, rules: nads.Rules) -> Iterator[Mistake]:
    """The error of a UserDefinedNetwork or ClusterUserDefinedNetwork."""
    kind, meta = resources.UDNS, obj["metadata"]
    if obj["kind"] != kind.kind:
        kind, meta = resources.CUDNS, {**meta, "namespace": ""}
    found = udns.read({**obj, "metadata": meta}, kind, rules)
    if found.problem:
        yield Mistake(file, f"{kind.kind} {found.subject.key}: {found.problem}")


def _owned(
    read: list[tuple[str, nads.Nad]], rule: access.AccessRule
) -> dict[str, settlements.Settlement]:
    """By network: which NADs are accepted, and which are refused.

    The network's owner is the NAD that is annotated as such, else the first in the files.
    """
    by_network: dict[str, list[settlements.Declaration]] = {}
    for member in settlements.as_declared(declared for _, declared in read):
        by_network.setdefault(member.spec.name, []).append(member)
    found = {}
    for name, members in by_network.items():
        owners = [m.nad.key for m in members if m.nad.annotated_owner == m.nad.key]
        first = (*owners, members[0].nad.key)[0]
        found[name] = settlements.settle(members, rule, first)
    return found


def _nads(
    read: list[tuple[str, nads.Nad]], owned: Mapping[str, settlements.Settlement]
) -> Iterator[Mistake]:
    """The mistakes of each NAD, then those of NADs that disagree on one network."""
    files = {declared.key: file for file, declared in read}
    for file, declared in read:
        where = f"{nad.KIND} {declared.key}"
        if declared.problem:
            yield Mistake(file, f"{where}: {declared.problem}")
        for _, message in declared.warnings:
            yield Mistake(file, f"{where}: {message}", is_error=False)
    for settled in owned.values():
        for key, message in settled.refused.items():
            yield Mistake(files[key], message)


def _refused_networks(
    obj: Object, owned: Mapping[str, settlements.Settlement], rule: access.AccessRule
) -> Iterator[str]:
    """The errors for networks that an object requests and that its namespace may not use.

    Networks and namespaces that are in no file are not judged.
    """
    called, inner = manifests.network_request(obj)
    namespace = called["namespace"]
    try:
        requested = selection.parse({"metadata": {**inner, **called}})
    except errors.InvalidInput:
        return
    for each in dict.fromkeys(attachment.nad for attachment in requested if attachment.nad):
        for settled in owned.values():
            if each not in settled.accepted or settled.spec is None:
                continue
            network = model.Network(settled.spec, 0, settled.lead)
            # Only a cluster knows the labels of a namespace that is in no file.
            is_open = settled.spec.access.selector is not None and rule.labels(namespace) is None
            has_own = namespace in {nad.namespace for nad in settled.accepted}
            if not (is_open or has_own or rule.admits(network, namespace)):
                pod = ObjectKey(namespace, called["name"])
                yield rule.pod_refusal(network, each, pod).in_full()
