"""Serves discovery: groups, versions and resources."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

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
        {"name": "selfsubjectaccessreviews", "kind": "SelfSubjectAccessReview"},
        {"name": "selfsubjectrulesreviews", "kind": "SelfSubjectRulesReview"},
    ],
    ("authentication.k8s.io", "v1"): [
        {"name": "selfsubjectreviews", "kind": "SelfSubjectReview"},
    ],
}
_SUBKINDS = {
    "binding": {"kind": "Binding"},
    "eviction": {"kind": "Eviction", "group": "policy", "version": "v1"},
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
    return found


def group_list(registry: Registry) -> dict[str, Any]:
    groups = [group_of(registry, name) for name in _groups(registry)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group_of(registry: Registry, name: str) -> dict[str, Any] | None:
    versions = _groups(registry).get(name)
    if not versions:
        return None
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(registry: Registry, group: str, version: str) -> dict[str, Any] | None:
    """An APIResourceList, None when nothing is served there."""
    found = registry.of(group, version)
    extra = _EXTRA.get((group, version), [])
    if not found and not extra:
        return None
    listed = [one for resource, form in found for one in _entries(resource, form)]
    for one in extra:
        listed.append({"singularName": "", "namespaced": False, "verbs": ["create"], **one})
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": listed,
    }


def _entries(resource: Resource, version: Version) -> list[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    full = resource.api_version(version)
    mark = hashlib.sha256(f"{full}/{resource.storage}/{resource.kind}".encode()).digest()[:8]
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
