"""Serves discovery: groups, versions and resources."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from weft_lab.apiserver import machineapi
from weft_lab.apiserver.resources import Registry, Resource, Version

VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+weft",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_EXTRA: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("authorization.k8s.io", "v1"): [
        {
            "name": "localsubjectaccessreviews",
            "kind": "LocalSubjectAccessReview",
            "namespaced": True,
        },
        {"name": "selfsubjectaccessreviews", "kind": "SelfSubjectAccessReview"},
        {"name": "selfsubjectrulesreviews", "kind": "SelfSubjectRulesReview"},
        {"name": "subjectaccessreviews", "kind": "SubjectAccessReview"},
    ],
    ("authentication.k8s.io", "v1"): [
        {"name": "selfsubjectreviews", "kind": "SelfSubjectReview"},
        {"name": "tokenreviews", "kind": "TokenReview"},
    ],
}
_SUBKINDS = {
    "attach": {"kind": "PodAttachOptions"},
    "binding": {"kind": "Binding"},
    "exec": {"kind": "PodExecOptions"},
    "portforward": {"kind": "PodPortForwardOptions"},
    "eviction": {"kind": "Eviction", "group": "policy", "version": "v1"},
    "token": {"kind": "TokenRequest", "group": "authentication.k8s.io", "version": "v1"},
}


def core_versions(host: str) -> dict[str, Any]:
    address = {"clientCIDR": "0.0.0.0/0", "serverAddress": host}
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [address],
    }


def _groups(registry: Registry) -> dict[str, list[str]]:
    found = {group: versions for group, versions in registry.groups().items() if group}
    for group, version in _EXTRA:
        found.setdefault(group, [version])
    if machineapi.is_served(registry):
        found[machineapi.GROUP] = list(machineapi.VERSIONS)
    return found


def _extra(registry: Registry, group: str, version: str) -> list[dict[str, Any]]:
    """What is served of a group version that is no type of objects."""
    if group != machineapi.GROUP:
        return _EXTRA.get((group, version), [])
    is_known = machineapi.is_served(registry) and version in machineapi.VERSIONS
    return machineapi.entries() if is_known else []


def group_list(registry: Registry) -> dict[str, Any]:
    groups = [group_of(registry, name) for name in _groups(registry)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def is_built_in(registry: Registry, group: str) -> bool:
    """Whether the server knows the group by itself, in whichever version."""
    versions = _groups(registry).get(group) or []
    return any(
        not resource.custom for version in versions for resource, _ in registry.of(group, version)
    )


def group_of(registry: Registry, name: str) -> dict[str, Any] | None:
    versions = _groups(registry).get(name)
    if not versions:
        return None
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(registry: Registry, group: str, version: str) -> dict[str, Any] | None:
    """An APIResourceList; None for a group version that is not served."""
    found = registry.of(group, version)
    extra = _extra(registry, group, version)
    if not found and not extra:
        return None
    listed = [one for resource, form in found for one in _entries(resource, form)]
    for one in extra:
        singular = one["kind"].lower()
        listed.append({"singularName": singular, "namespaced": False, "verbs": ["create"], **one})
    listed.sort(key=lambda entry: str(entry["name"]))
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if group else {}),
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": listed,
    }


_OF_DEFINITIONS = (
    *("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"),
)


def _verbs(resource: Resource) -> list[str]:
    if not resource.custom:
        return list(resource.verbs)
    return [verb for verb in _OF_DEFINITIONS if verb in resource.verbs]


def aggregated(registry: Registry, groups: Iterable[str]) -> dict[str, Any]:
    """An APIGroupDiscoveryList: all that `groups` serve, in one answer."""
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [_discovered(registry, group) for group in groups],
    }


def all_groups(registry: Registry) -> list[str]:
    return list(_groups(registry))


def _discovered(registry: Registry, group: str) -> dict[str, Any]:
    versions = []
    for name in _groups(registry)[group] if group else ("v1",):
        found = resource_list(registry, group, name)
        assert found is not None
        custom = any(resource.custom for resource, _ in registry.of(group, name))
        nested = _nested(found["resources"], group, name, custom=custom)
        versions.append({"version": name, "resources": nested, "freshness": "Current"})
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _nested(
    entries: list[dict[str, Any]], group: str, version: str, *, custom: bool
) -> list[dict[str, Any]]:
    """Subresources follow their resource, and kinds name their group."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        kind = {"group": entry.get("group", ""), "version": entry.get("version", "")}
        if custom and not kind["group"]:
            kind = {"group": group, "version": version}
        name, _, below = entry["name"].partition("/")
        response = {**kind, "kind": entry["kind"]}
        if below:
            inner = {"subresource": below, "responseKind": response, "verbs": entry["verbs"]}
            if name in found:
                found[name].setdefault("subresources", []).append(inner)
            continue
        found[name] = {
            "resource": name,
            "responseKind": response,
            "scope": "Namespaced" if entry["namespaced"] else "Cluster",
            "singularResource": entry["singularName"],
            "verbs": entry["verbs"],
        }
        for key in ("shortNames", "categories"):
            if entry.get(key):
                found[name][key] = entry[key]
    return list(found.values())


def _entries(resource: Resource, version: Version) -> list[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(resource),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    stored = f"{resource.group}/{resource.storage}/{resource.kind}"
    mark = hashlib.sha256(stored.encode()).digest()[:8]
    entry["storageVersionHash"] = base64.b64encode(mark).decode()
    entries = [entry]
    subresources = dict(resource.subresources)
    if version.has_status:
        subresources["status"] = ("get", "patch", "update")
    for name, verbs in sorted(subresources.items()):
        entries.append(
            {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(verbs),
                **_SUBKINDS.get(name, {}),
            }
        )
    return entries
