"""Each kind through every verb: selectors, tables, patches, apply, a watch, errors.

Objects of the whole cluster have the case's namespace in their names, and are listed and deleted
by a label that only they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.tests.conformance.cases import access, admissions
from lab.tests.conformance.cases.objects import (
    CRDS,
    NAMESPACES,
    NODES,
    VMIS,
    Object,
    meta,
    node,
)
from lab.tests.conformance.cases.writes import EACH
from lab.tests.conformance.exchange import (
    APPLY,
    MERGE,
    PARTIAL,
    PARTIALS,
    PATCH,
    STRATEGIC,
    TABLE,
    Ask,
    Case,
    Said,
)

_OURS = {"of": "{ns}"}
_SELECTED = "labelSelector=of%3D{ns}"
_VMI = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "VirtualMachineInstance",
    "metadata": meta("vmi"),
    "spec": {"domain": {"devices": {}}},
}
_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta("{ns}-k")}
_RULE = access.rule(["get"], ["pods"])
# Nobody, so that a binding to all of the cluster lets none of the other cases do more.
_ABSENT = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "absent"}

_NO_REQUEST = {
    "apiGroups": ["no.such"],
    "apiVersions": ["*"],
    "operations": ["*"],
    "resources": ["*"],
}


def definition(group: str) -> Object:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"size": {"type": "integer", "minimum": 1, "default": 3}},
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": meta(f"widgets.{group}"),
        "spec": {
            "group": group,
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


_CLUSTER_WIDE: tuple[tuple[str, Object], ...] = (
    (NODES, node("{ns}-k")),
    (NAMESPACES, _NAMESPACE),
    (access.ROLES, access.role("r", _RULE)),
    (access.BINDINGS, access.binding("b", "r")),
    (access.CLUSTER_ROLES, access.role("{ns}-r", _RULE, kind="ClusterRole")),
    (
        access.CLUSTER_BINDINGS,
        {
            **access.binding("{ns}-b", "view", _ABSENT, kind="ClusterRole"),
            "kind": "ClusterRoleBinding",
        },
    ),
    (CRDS, definition("{ns}.example.com")),
    (admissions.POLICIES, admissions.policy("k", {"expression": "true"})),
    (admissions.BINDINGS, admissions.binding("k", "Deny")),
    (
        admissions.WEBHOOKS,
        admissions.hook("https://127.0.0.1:1/x", rules=[_NO_REQUEST], failurePolicy="Ignore"),
    ),
)
KINDS = (*EACH, (VMIS, _VMI), *_CLUSTER_WIDE)


@dataclass(frozen=True)
class _Kind:
    path: str
    obj: Object

    @property
    def title(self) -> str:
        newer = "events.k8s.io" in self.path
        return f"{self.path.rpartition('/')[2]}{'-new' if newer else ''}"

    @property
    def name(self) -> str:
        return f"{self.path}/{self.obj['metadata']['name']}"

    @property
    def settled(self) -> Ask:
        """A definition is accepted some time after it is made: asked until its type is served."""
        if self.path != CRDS:
            return Ask("GET", self.name)
        group = self.obj["spec"]["group"]
        return Ask("GET", f"/apis/{group}/v1/namespaces/{{ns}}/widgets", until=200)

    def with_meta(self, **more: Any) -> Object:
        return {**self.obj, "metadata": {**self.obj["metadata"], "labels": _OURS, **more}}


def _reads(kind: _Kind) -> Case:
    """Written twice and read in each form, then watched from its beginning."""
    path, name = kind.path, kind.name

    def watched(accept: str) -> Ask:
        def since(answers: Said) -> str:
            begin = answers[0]["metadata"]["resourceVersion"]
            return f"{path}?watch=1&timeoutSeconds=1&resourceVersion={begin}&{_SELECTED}"

        return Ask("GET", since, accept=accept, lines=True)

    plain = kind.obj["metadata"]["name"]
    return Case(
        f"read-{kind.title}",
        (
            Ask("GET", f"{path}?{_SELECTED}"),
            Ask("POST", path, kind.with_meta()),
            kind.settled,
            Ask("GET", f"{path}?{_SELECTED}"),
            Ask("GET", f"{path}?{_SELECTED}", accept=TABLE),
            Ask("GET", name, accept=TABLE),
            Ask("GET", name, accept=PARTIAL),
            Ask("GET", f"{path}?{_SELECTED}", accept=PARTIALS),
            Ask("GET", f"{path}?{_SELECTED}&fieldSelector=metadata.name%3D{plain}"),
            Ask("GET", f"{path}?{_SELECTED}&fieldSelector=metadata.name!%3D{plain}"),
            Ask("GET", f"{path}?{_SELECTED}&fieldSelector=metadata.uid%3Dx"),
            Ask("GET", f"{path}?{_SELECTED}&fieldSelector=spec.odd%3Dx"),
            Ask("GET", f"{path}?labelSelector=of%20in%20({{ns}},none),!absent"),
            Ask("GET", f"{path}?labelSelector=of%20in"),
            Ask("GET", f"{path}?{_SELECTED}&limit=1"),
            Ask("GET", f"{name}/status"),
            Ask("GET", f"{name}/scale"),
            Ask("GET", f"{name}-absent"),
            Ask("GET", name, user="tenant"),
            Ask("GET", f"{path}?{_SELECTED}", user="nobody", accept=TABLE),
            Ask("PATCH", name, {"metadata": {"annotations": {"a": "b"}}}, MERGE),
            Ask("DELETE", f"{path}?{_SELECTED}&dryRun=All"),
            Ask("DELETE", name),
            watched("application/json"),
            watched(TABLE),
        ),
    )


def _changes(kind: _Kind) -> Case:
    """Each verb that writes, and each language of patches."""
    path, name = kind.path, kind.name
    note = {"metadata": {"annotations": {"a": "b"}}}
    add = {"op": "add", "path": "/metadata/annotations", "value": {"a": "b", "c/d": "e"}}
    return Case(
        f"change-{kind.title}",
        (
            Ask("POST", f"{path}?dryRun=All", kind.with_meta()),
            Ask("POST", path, kind.with_meta()),
            kind.settled,
            Ask("GET", name),
            Ask("POST", path, kind.with_meta()),
            Ask("PUT", name, lambda answers: answers[3]),
            Ask("PUT", name, lambda answers: {**answers[3], "metadata": _with(answers[3], x="y")}),
            Ask("PUT", name, lambda answers: answers[3]),
            Ask("PUT", f"{name}-absent", kind.with_meta()),
            Ask("PATCH", name, note, MERGE),
            Ask("PATCH", name, {"metadata": {"annotations": {"a": None}}}, MERGE),
            Ask("PATCH", name, note, STRATEGIC),
            Ask("PATCH", name, {"metadata": {"finalizers": ["example.com/a"]}}, STRATEGIC),
            Ask("PATCH", name, {"metadata": {"finalizers": None}}, STRATEGIC),
            Ask("PATCH", name, [add], PATCH),
            Ask("PATCH", name, [{"op": "test", "path": "/metadata/annotations/a"}], PATCH),
            Ask("PATCH", name, [{"op": "remove", "path": "/metadata/annotations/c~1d"}], PATCH),
            Ask("PATCH", name, {"metadata": {"labels": {"a": "/"}}}, MERGE),
            Ask("PATCH", f"{name}?fieldValidation=Strict", {"own": 1}, MERGE),
            Ask("PATCH", f"{name}/status", {"metadata": {"annotations": {"s": "t"}}}, MERGE),
            Ask("POST", f"{path}?fieldValidation=Strict", {**kind.with_meta(), "own": 1}),
            Ask("POST", f"{path}?dryRun=All", {**kind.obj, "metadata": {"name": "No Name"}}),
            Ask("POST", path, {**kind.with_meta(), "kind": "Other"}),
            Ask("POST", path, {**kind.with_meta(), "apiVersion": "v9"}),
            Ask("POST", path, kind.with_meta(), user="tenant"),
            Ask("DELETE", name, user="tenant"),
            Ask("DELETE", name, {"preconditions": {"uid": "other"}}),
            Ask("DELETE", f"{path}?{_SELECTED}"),
            Ask("GET", name),
        ),
    )


def _with(obj: Any, **labels: str) -> Any:
    return {**obj["metadata"], "labels": {**_OURS, **labels}}


def _applied(kind: _Kind) -> Case:
    """By two managers, with a conflict, a field that is given up, and one that is unknown."""
    name = kind.obj["metadata"]["name"]
    least = {key: kind.obj[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": name}}

    def apply(obj: Any, manager: str, query: str = "") -> Ask:
        asked = f"{kind.name}?fieldManager={manager}{query}"
        return Ask("PATCH", asked, obj, APPLY, managed=True)

    def labelled(**labels: str) -> Object:
        return {**least, "metadata": {"name": name, "labels": labels}}

    return Case(
        f"applied-{kind.title}",
        (
            apply(kind.with_meta(), "one"),
            kind.settled,
            apply(kind.with_meta(), "one"),
            apply(labelled(of="x"), "two"),
            apply(labelled(of="x", a="b"), "two", "&force=true"),
            apply(labelled(of="x"), "two"),
            apply({**kind.obj, "own": 1}, "one"),
            apply({**kind.obj, "own": 1}, "one", "&fieldValidation=Strict"),
            apply(kind.obj, "one", "&dryRun=All"),
            apply(kind.obj, "one"),
            Ask("GET", kind.name, managed=True),
            Ask("DELETE", kind.name, managed=True),
        ),
    )


_ALL = tuple(_Kind(*each) for each in KINDS)
_WHOLE = tuple(_Kind(*each) for each in ((VMIS, _VMI), *_CLUSTER_WIDE))

CASES = (
    *(_reads(kind) for kind in _ALL),
    *(_changes(kind) for kind in _WHOLE),
    *(_applied(kind) for kind in _WHOLE),
)
