"""Edits a MultiNetworkPolicy: says what the edit would do, by the rules of `weft plan`, then
applies it.

The text is the object's own, as `kubectl edit` shows it, without what programs keep there for
themselves. An edit of an object that somebody else has changed meanwhile is refused by its
resourceVersion.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml

from weft import errors, names
from weft.api.machine import OBJECT_NAME
from weft.app import manageroptions, settings
from weft.console.page import Access, NoSuchObject, Object, Outcome, Page, Question, Read, Reading
from weft.decode import budget, yamltext
from weft.kube import resources
from weft.plan import effects, manifests
from weft.plan import reading as plans
from weft.plan.effects import Plan

MOST_PAIRS = 150 * 150  # that a preview judges: some seconds
NEW = "+"  # in the place of a name, which cannot be one
_KIND = resources.MULTINETWORKPOLICIES
_FIELD = "manifest"
_HIDDEN = ("managedFields",)
# Annotations that no user writes; they stay as they are.
_KEPT = (names.ACCEPTED_POLICY, "kubectl.kubernetes.io/last-applied-configuration")
_RULES = manageroptions.rules(settings.ClusterManager())
_TEMPLATE = """\
apiVersion: {version}
kind: {kind}
metadata:
  name: allow-web
  namespace: {namespace}
  annotations:
    k8s.v1.cni.cncf.io/policy-for: {namespace}/NETWORK
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector:
        matchLabels:
          app: client
    ports:
    - protocol: TCP
      port: 80
"""


@dataclass(frozen=True, slots=True)
class Editor:
    """`manifest`: the object as YAML. `is_new`: there is none yet."""

    namespace: str
    name: str
    manifest: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """What somebody has typed, and what it would do, if that could be said. `seen`: the mark of a
    text of which it was asked; no other is applied."""

    manifest: str
    plan: Plan | None = None
    seen: str = ""


def _mark(manifest: str) -> str:
    """Tells texts apart, whichever ends of lines a browser sends."""
    return hashlib.sha256("\n".join(manifest.strip().splitlines()).encode()).hexdigest()


def view(reading: Reading, asked: Question) -> Editor:
    """The policy of the path, or the beginning of a new one; raises NoSuchObject."""
    namespace, name = _named(asked)
    if name == NEW:
        new = _TEMPLATE.format(version=_KIND.api_version, kind=_KIND.kind, namespace=namespace)
        return Editor(namespace, "", new, is_new=True)
    for each in reading.of(_KIND):
        if each["metadata"]["name"] == name and each["metadata"]["namespace"] == namespace:
            return Editor(namespace, name, _written(each), is_new=False)
    why = reading.lack(_KIND) or "there is no such policy"
    raise NoSuchObject(why, where=f"{_KIND.kind} {namespace}/{name}")


def _named(asked: Question, *, may_be_new: bool = True) -> tuple[str, str]:
    """Namespace and name of the path; raises InvalidInput, since they become parts of another
    path."""
    namespace, name = asked.path["namespace"], asked.path["name"]
    for field, given in (("namespace", namespace), ("name", name)):
        is_new = may_be_new and field == "name" and given == NEW
        if not is_new and not OBJECT_NAME.fullmatch(given):
            raise errors.InvalidInput("address", field, given, "is no object's name")
    return namespace, name


def _written(obj: Object) -> str:
    meta = {key: value for key, value in obj["metadata"].items() if key not in _HIDDEN}
    notes = meta.get("annotations") or {}
    meta["annotations"] = {key: value for key, value in notes.items() if key not in _KEPT}
    named = {"apiVersion": obj.get("apiVersion", _KIND.api_version), "kind": _KIND.kind}
    whole = {**named, "metadata": meta, "spec": obj.get("spec") or {}}
    return str(yaml.safe_dump(whole, sort_keys=False, width=100))


def parsed(manifest: str, asked: Question) -> Object:
    """The policy in a text; raises InvalidInput, or WeftError for what is no policy of the path."""
    namespace, name = _named(asked)
    subject = f"{_KIND.kind} {namespace}/{name}"
    try:
        document = yamltext.parse_one(manifest, budget.FILE)
    except (budget.Exceeded, budget.Malformed) as error:
        raise errors.InvalidInput(subject, _FIELD, None, str(error)) from None
    values = [one for _, one in manifests.single(subject, document.value)]
    if len(values) > 1:
        rule = f"is a List of {len(values)} objects: this page takes one"
        raise errors.InvalidInput(subject, _FIELD, None, rule)
    obj = plans.named(subject, values[0] if values else None, namespace)
    meta: Mapping[str, Any] = obj["metadata"]
    for each in ("annotations", "labels"):
        if not isinstance(meta.get(each) or {}, Mapping):
            rule = "must be a mapping of names to texts"
            raise errors.InvalidInput(subject, f"metadata.{each}", meta[each], rule)
    for field, found, expected in (
        ("kind", obj["kind"], _KIND.kind),
        ("metadata.namespace", meta["namespace"], namespace),
        ("metadata.name", meta["name"], name),
    ):
        is_new_name = field == "metadata.name" and expected == NEW
        if found != expected and not is_new_name:
            raise errors.InvalidInput(subject, field, found, f"must be {expected} on this page")
    return obj


async def preview(access: Access, asked: Question, form: Mapping[str, str]) -> Outcome:
    """Say what the edit would do; nothing is written."""
    manifest = form.get(_FIELD, "")
    seen = _mark(manifest)
    try:
        obj = parsed(manifest, asked)
        world = await plans.world(access.client, [obj], (asked.path["namespace"],))
        judge = functools.partial(effects.plan, most_pairs=MOST_PAIRS)
        found = await access.computing.run(judge, world, [obj], _RULES)
    except errors.WeftError as error:
        return Outcome(error.in_full(), failed=True, result=Edit(manifest, seen=seen))
    return Outcome("Nothing is written yet.", result=Edit(manifest, found, seen))


async def apply(access: Access, asked: Question, form: Mapping[str, str]) -> Outcome:
    """Write the policy with the viewer's rights; of another text than was shown, say what it would
    do."""
    manifest = form.get(_FIELD, "")
    if form.get("seen") != _mark(manifest):
        return await preview(access, asked, form)
    try:
        obj = parsed(manifest, asked)
        if asked.path["name"] == NEW:
            made = await access.client.create(_KIND, obj)
            name = str(made["metadata"]["name"])
            return Outcome(f"{name} is created.", to=_page_of(made, asked))
        if not obj["metadata"].get("resourceVersion"):
            # Without it the edit would overwrite what others have changed.
            where = f"{_KIND.kind} {asked.path['namespace']}/{asked.path['name']}"
            rule, hint = "is needed, to see whether others have changed it", "load the page again"
            field = "metadata.resourceVersion"
            raise errors.InvalidInput(where, field, None, rule, hint=hint)
        there = await access.client.get(_KIND, asked.path["name"], asked.path["namespace"])
        made = await access.client.update(_KIND, _with_kept(obj, there))
    except errors.WeftError as error:
        return Outcome(error.in_full(), failed=True, result=Edit(manifest))
    name = str(made["metadata"]["name"])
    return Outcome(f"{name} is applied.", result=Edit(_written(made)))


def _page_of(made: Object, asked: Question) -> str:
    segments = (made["metadata"]["namespace"], made["metadata"]["name"])
    path = "/".join(["/policies", *(quote(str(each), safe="") for each in segments)])
    return f"{path}?namespace={asked.namespace}" if asked.namespace else path


def _with_kept(obj: Object, there: Object) -> Object:
    """The edited object with the annotations that the editor does not show."""
    before = there["metadata"].get("annotations") or {}
    kept = {key: before[key] for key in _KEPT if key in before}
    meta: Mapping[str, Any] = obj["metadata"]
    notes = {**(meta.get("annotations") or {}), **kept}
    return {**obj, "metadata": {**meta, "annotations": notes}}


async def delete(access: Access, asked: Question, _: Mapping[str, str]) -> Outcome:
    """Delete the policy of the path."""
    namespace, name = _named(asked, may_be_new=False)
    await access.client.delete(_KIND, name, namespace)
    to = f"/policies?namespace={asked.namespace}" if asked.namespace else "/policies"
    return Outcome(f"{namespace}/{name} is deleted.", to=to)


def _heading(asked: Question) -> str:
    if asked.path["name"] == NEW:
        return f"New policy in {asked.path['namespace']}"
    return f"Policy {asked.path['namespace']}/{asked.path['name']}"


PAGE = Page(
    name="policy",
    path="/policies/{namespace}/{name}",
    heading=_heading,
    under="policies",
    reads=(Read(_KIND),),
    view=view,
    actions={"preview": preview, "apply": apply, "delete": delete},
    is_live=False,
)
