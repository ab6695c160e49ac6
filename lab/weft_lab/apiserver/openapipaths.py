"""Says what can be done to a type, as OpenAPI's operations on paths.

An `Operation` is written into both versions of the documents by `openapi`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from weft_lab.apiserver.resources import Resource, Version
from weft_lab.apiserver.schemas.definitions import META

Kind = dict[str, str]
JSON, WATCH, TEXT, ANY = "application/json", "application/json;stream=watch", "text/plain", "*/*"
_PATCHES = ("application/json-patch+json", "application/merge-patch+json")
_STRATEGIC, _APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"

# The parameters of requests, with their types.
TYPES = {
    **dict.fromkeys(("name", "namespace"), "string"),
    **dict.fromkeys(("pretty", "dryRun", "fieldManager", "fieldValidation"), "string"),
    **dict.fromkeys(("force", "watch", "allowWatchBookmarks", "sendInitialEvents"), "boolean"),
    **dict.fromkeys(("continue", "fieldSelector", "labelSelector", "shardSelector"), "string"),
    **dict.fromkeys(("resourceVersion", "resourceVersionMatch"), "string"),
    **dict.fromkeys(("limit", "timeoutSeconds", "gracePeriodSeconds"), "integer"),
    "orphanDependents": "boolean",
    "propagationPolicy": "string",
    "ignoreStoreReadErrorWithClusterBreakingPotential": "boolean",
    **dict.fromkeys(("container", "stream", "command"), "string"),
    **dict.fromkeys(("stdin", "stdout", "stderr", "tty"), "boolean"),
    "ports": "integer",
    **dict.fromkeys(("follow", "previous", "timestamps"), "boolean"),
    "insecureSkipTLSVerifyBackend": "boolean",
    **dict.fromkeys(("limitBytes", "sinceSeconds", "tailLines"), "integer"),
}
_WRITE = ("dryRun", "fieldManager", "fieldValidation", "pretty")
_SELECT = (
    *("continue", "fieldSelector", "labelSelector", "limit", "pretty", "resourceVersion"),
    *("resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds"),
)
_LIST = ("allowWatchBookmarks", *_SELECT, "watch")
_DELETE = (
    *("dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential"),
    *("orphanDependents", "pretty", "propagationPolicy"),
)
_LOG = (
    *("container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "pretty", "previous"),
    *("sinceSeconds", "stream", "tailLines", "timestamps"),
)
_STREAMED = ("container", "stderr", "stdin", "stdout", "tty")
_CONNECT: dict[str, tuple[str, tuple[str, ...]]] = {
    "attach": ("PodAttachOptions", _STREAMED),
    "exec": ("PodExecOptions", ("command", *_STREAMED)),
    "portforward": ("PodPortForwardOptions", ("ports",)),
}
TYPES_OF_A_VERSION = f"{META}.APIResourceList"
_READ_AND_WRITE = ("get", "update", "patch")
STATUS, OPTIONS, PATCH = f"{META}.Status", f"{META}.DeleteOptions", f"{META}.Patch"
SUBKINDS: dict[str, tuple[str, Kind]] = {
    "binding": (
        "io.k8s.api.core.v1.Binding",
        {"group": "", "version": "v1", "kind": "Binding"},
    ),
    "eviction": (
        "io.k8s.api.policy.v1.Eviction",
        {"group": "policy", "version": "v1", "kind": "Eviction"},
    ),
    "token": (
        "io.k8s.api.authentication.v1.TokenRequest",
        {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"},
    ),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a path. `body` and `answers` are names of definitions; no name: text.

    action is empty where no type is concerned, as in discovery.
    """

    method: str
    action: str
    kind: Kind
    answers: dict[str, str]
    queries: tuple[str, ...] = ()
    body: str = ""
    body_needed: bool = True
    consumes: tuple[str, ...] = (ANY,)
    produces: tuple[str, ...] = (JSON,)


@dataclass(frozen=True, slots=True)
class Path:
    """A place, and what can be done there."""

    text: str
    operations: tuple[Operation, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are parts of the path."""
        return tuple(name for name in ("name", "namespace") if f"{{{name}}}" in self.text)


def root(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def discovery(group: str, version: str) -> Path:
    """The list of a group version's types."""
    answers = {"200": TYPES_OF_A_VERSION}
    return Path(f"{root(group, version)}/", (Operation("get", "", {}, answers),))


def review(plural: str, definition: str, gvk: Kind, *, namespaced: bool) -> Path:
    """What is answered and not stored."""
    place = "/namespaces/{namespace}" if namespaced else ""
    text = f"{root(gvk['group'], gvk['version'])}{place}/{plural}"
    return Path(text, (_create(definition, gvk),))


def paths(resource: Resource, version: Version, gvk: Kind) -> Iterator[Path]:
    """All of a type, with its subresources."""
    name, above = version.definition, root(gvk["group"], gvk["version"])
    place = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{above}{place}/{resource.plural}"
    item = f"{collection}/{{name}}"
    forms = (JSON,) if resource.custom else (JSON, WATCH)
    listed = Operation("get", "list", gvk, {"200": f"{name}List"}, _LIST, produces=forms)
    several = [listed, _create(name, gvk, _bodies(resource))]
    if "deletecollection" in resource.verbs:
        several.append(_delete_several(resource, gvk))
    yield Path(collection, tuple(several))
    if resource.namespaced:
        yield Path(f"{above}/{resource.plural}", (listed,))
    yield Path(item, (*_one(resource, name, gvk, _READ_AND_WRITE), _delete(resource, name, gvk)))
    if version.has_status:
        yield Path(f"{item}/status", _one(resource, name, gvk, _READ_AND_WRITE))
    for below, verbs in resource.subresources.items():
        operations: tuple[Operation, ...]
        if below == "log":
            operations = (Operation("get", "get", gvk, {"200": ""}, _LOG, produces=(TEXT, JSON)),)
        elif below in _CONNECT:
            operations = _connect(below)
        elif below in SUBKINDS:
            operations = (_create(*SUBKINDS[below]),)
        else:
            operations = _one(resource, name, gvk, verbs)
        yield Path(f"{item}/{below}", operations)


def _connect(below: str) -> tuple[Operation, ...]:
    """A stream to a kubelet."""
    kind, queries = _CONNECT[below]
    gvk = {"group": "", "version": "v1", "kind": kind}
    return tuple(
        Operation(method, "connect", gvk, {"200": ""}, queries, produces=(ANY,))
        for method in ("get", "post")
    )


def _bodies(resource: Resource) -> tuple[str, ...]:
    return (JSON,) if resource.custom else (ANY,)


def _one(resource: Resource, name: str, gvk: Kind, verbs: tuple[str, ...]) -> tuple[Operation, ...]:
    made = {"200": name, "201": name}
    languages = (*_PATCHES, *(() if resource.custom else (_STRATEGIC,)), _APPLY)
    patched = {"200": name} if resource.custom else made
    read = ("pretty", "resourceVersion") if resource.custom else ("pretty",)
    known = {
        "get": Operation("get", "get", gvk, {"200": name}, read),
        "update": Operation("put", "put", gvk, made, _WRITE, name, consumes=_bodies(resource)),
        "patch": Operation(
            "patch", "patch", gvk, patched, (*_WRITE, "force"), PATCH, consumes=languages
        ),
    }
    return tuple(known[verb] for verb in verbs)


def _create(name: str, gvk: Kind, consumes: tuple[str, ...] = (ANY,)) -> Operation:
    made = dict.fromkeys(("200", "201", "202"), name)
    return Operation("post", "post", gvk, made, _WRITE, name, consumes=consumes)


def _delete(resource: Resource, name: str, gvk: Kind) -> Operation:
    deleted = dict.fromkeys(("200", "202"), name if resource.answers_deleted else STATUS)
    return Operation(
        "delete",
        "delete",
        gvk,
        deleted,
        _DELETE,
        OPTIONS,
        body_needed=False,
        consumes=_bodies(resource),
    )


def _delete_several(resource: Resource, gvk: Kind) -> Operation:
    """Of custom types, Kubernetes documents here what a list takes."""
    if resource.custom:
        return Operation("delete", "deletecollection", gvk, {"200": STATUS}, _LIST)
    queries = tuple(sorted({*_DELETE, *_SELECT}))
    answers = {"200": STATUS}
    return Operation(
        "delete", "deletecollection", gvk, answers, queries, OPTIONS, body_needed=False
    )
