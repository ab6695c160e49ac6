"""What objects and patches are generated of, by kind: where they go, one that is sound, a schema.

Schemas of custom kinds are those of their definitions. Those of built-in ones are written here: the
parts that the lab uses, as it does not check what no lab runs. Pods, nodes, events, service
accounts, definitions and admission policies are not among them: `kinds` goes through them, but the
lab has only some of the rules that Kubernetes has for their fields, and keeps empty texts that Go
leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.tests.conformance.cases import access
from lab.tests.conformance.cases.objects import (
    CLAIMS,
    LEASES,
    MAPS,
    NADS,
    NAMESPACES,
    POLICIES,
    SECRETS,
    Object,
    claim,
    config,
    lease,
    meta,
    nad,
    policy,
)
from tests.support.apiserver import CRDS as DEFINITIONS

Schema = dict[str, Any]
NETWORKS = "/apis/weft.internal/v1alpha1/networks"
ENDPOINTS = "/apis/weft.internal/v1alpha1/namespaces/{ns}/podendpoints"
_TEXT, _FLAG, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
_BYTES = {"type": "string", "enum": ["", "YQ==", "YWI="]}
_MICRO = {"type": "string", "enum": ["2026-01-01T00:00:00.000000Z"]}


@dataclass(frozen=True)
class Generated:
    """`below` is the subresource that patches go to."""

    path: str
    sound: Object
    schema: Schema
    below: str = ""


def _parts(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties}


def _map(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _one(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def _texts() -> Schema:
    return _list(_TEXT)


_LEASE = _parts(
    holderIdentity=_TEXT, leaseDurationSeconds=_NUMBER, leaseTransitions=_NUMBER, renewTime=_MICRO
)
_ROLE_RULE = _parts(
    verbs=_list(_one("get", "*")),
    apiGroups=_list(_one("", "apps")),
    resources=_list(_one("pods", "pods/status")),
    resourceNames=_texts(),
    nonResourceURLs=_list(_one("/healthz", "*")),
)
_SUBJECT = _parts(
    kind=_one("User", "Group", "ServiceAccount"),
    apiGroup=_one("rbac.authorization.k8s.io", ""),
    name=_one("web", "a:b"),
    namespace=_one("default", ""),
)
_ROLE_REF = _parts(
    apiGroup=_one("rbac.authorization.k8s.io"), kind=_one("Role", "ClusterRole"), name=_one("view")
)


def _custom(plural: str, version: str) -> Schema:
    """A definition's version without what every object has."""
    for path in sorted(Path(DEFINITIONS).glob("*.yaml")):
        spec = yaml.safe_load(path.read_text())["spec"]
        if spec["names"]["plural"] == plural:
            served = {each["name"]: each["schema"]["openAPIV3Schema"] for each in spec["versions"]}
            properties = dict(served[version]["properties"])
            for name in ("apiVersion", "kind", "metadata"):
                properties.pop(name, None)
            return _parts(**properties)
    raise AssertionError(plural)


def _object(kind: str, name: str, **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": meta(name), **more}


def _weft(kind: str, name: str, **more: Any) -> Object:
    return {**_object(kind, name, **more), "apiVersion": "weft.internal/v1alpha1"}


_POD_ENDPOINT = {"podUID": "u", "node": "n", "allocations": {"text": "{}", "signature": "s"}}
KINDS: dict[str, Generated] = {
    "network-attachment-definitions": Generated(
        NADS, nad("n"), _custom("network-attachment-definitions", "v1")
    ),
    "ipamclaims": Generated(CLAIMS, claim("c"), _custom("ipamclaims", "v1alpha1")),
    "multi-networkpolicies": Generated(
        POLICIES, policy("p"), _custom("multi-networkpolicies", "v1beta1")
    ),
    "networks": Generated(
        NETWORKS, _weft("Network", "generated"), _custom("networks", "v1alpha1"), "/status"
    ),
    "podendpoints": Generated(
        ENDPOINTS,
        _weft("PodEndpoint", "e", spec=_POD_ENDPOINT),
        _custom("podendpoints", "v1alpha1"),
    ),
    "configmaps": Generated(
        MAPS, config("m"), _parts(data=_map(_TEXT), binaryData=_map(_TEXT), immutable=_FLAG)
    ),
    "secrets": Generated(
        SECRETS,
        _object("Secret", "s"),
        _parts(data=_map(_BYTES), stringData=_map(_TEXT), type=_TEXT, immutable=_FLAG),
    ),
    "leases": Generated(LEASES, lease("l"), _parts(spec=_LEASE)),
    "namespaces": Generated(
        NAMESPACES, _object("Namespace", "generated"), _parts(spec=_parts(finalizers=_texts()))
    ),
    "roles": Generated(access.ROLES, access.role("r"), _parts(rules=_list(_ROLE_RULE))),
    "clusterroles": Generated(
        access.CLUSTER_ROLES,
        access.role("generated", kind="ClusterRole"),
        _parts(rules=_list(_ROLE_RULE)),
    ),
    "rolebindings": Generated(
        access.BINDINGS,
        access.binding("b", "r"),
        _parts(subjects=_list(_SUBJECT), roleRef=_ROLE_REF),
    ),
}
