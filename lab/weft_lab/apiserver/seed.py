"""Fills a server that starts: types defined before, given objects, first namespaces."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from weft import errors
from weft.decode import budget
from weft_lab.apiserver import bootstraproles, crd, rbac, status, writes
from weft_lab.apiserver.cluster import Cluster

_CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_OPTIONS = writes.Options(manager="weft-lab", validation="Ignore")


def types(cluster: Cluster) -> None:
    """Serve the types whose CRDs are stored."""
    for item in list(cluster.store.collection(_CRDS).items.values()):
        cluster.install(crd.to_resource(item.parse()))


async def namespaces(cluster: Cluster) -> None:
    """The namespaces that every cluster has."""
    found = cluster.registry.find("", "v1", "namespaces")
    assert found is not None
    for name in _NAMESPACES:
        if ("", name) not in cluster.collection(found[0]).items:
            obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            writes.create(cluster, writes.Target(*found), obj, _OPTIONS)
    await cluster.journal.durable()


async def roles(cluster: Cluster) -> None:
    """The roles and bindings that every cluster has, where they are missing."""
    for plural, obj in bootstraproles.objects():
        found = cluster.registry.find(rbac.GROUP, "v1", plural)
        assert found is not None
        if ("", obj["metadata"]["name"]) not in cluster.collection(found[0]).items:
            writes.create(cluster, writes.Target(*found), obj, _OPTIONS)
    await cluster.journal.durable()


def account(cluster: Cluster, namespace: str) -> None:
    """The service account that pods of a namespace run under unless they say otherwise."""
    found = cluster.registry.find("", "v1", "serviceaccounts")
    assert found is not None
    if (namespace, "default") not in cluster.collection(found[0]).items:
        obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        writes.create(cluster, writes.Target(*found, namespace), obj, _OPTIONS)


async def manifests(cluster: Cluster, places: Iterable[Path]) -> None:
    """Install the objects in these files and folders, where a file is new or one is missing."""
    for path in sorted(file for place in places for file in _files(place)):
        text = path.read_bytes()
        fact, mark = f"manifest {path.name}", hashlib.sha256(text).hexdigest()
        known, *names = (cluster.journal.fact(fact) or " ").split(" ")
        if known == mark and all(_is_there(cluster, name) for name in names):
            continue
        names = []
        for obj in _documents(path, text):
            try:
                names.append(_install(cluster, obj))
            except status.ApiError as error:
                raise errors.InvalidInput(str(path), "manifest", None, str(error)) from error
        await cluster.journal.durable()
        cluster.journal.set_fact(fact, " ".join((mark, *names)))


def _is_there(cluster: Cluster, named: str) -> bool:
    collection, _, key = named.partition("/")
    namespace, _, name = key.partition("/")
    return (namespace, name) in cluster.store.collection(collection).items


def _files(place: Path) -> list[Path]:
    return sorted(place.glob("*.yaml")) if place.is_dir() else [place]


def _documents(path: Path, text: bytes) -> list[dict[str, Any]]:
    from weft.decode import yamltext  # only for manifests that have changed

    try:
        return [one.value for one in yamltext.parse(text, budget.FILE) if one.value]
    except budget.Malformed as error:
        raise errors.InvalidInput(
            str(path), "manifest", None, f"is not valid YAML: {error}"
        ) from error


def _install(cluster: Cluster, obj: dict[str, Any]) -> str:
    """Make or replace an object; returns where it is."""
    resource = cluster.registry.by_kind(obj["apiVersion"], obj["kind"])
    if resource is None:
        raise status.bad_request(f"{obj['apiVersion']} {obj['kind']} is not served here")
    version = resource.version(obj["apiVersion"].rpartition("/")[2])
    meta = obj["metadata"]
    namespace, name = str(meta.get("namespace", "")), str(meta["name"])
    target = writes.Target(resource, version, namespace, name)
    held = cluster.collection(resource).items.get((namespace, name))
    if held is None:
        writes.create(cluster, target, obj, _OPTIONS)
    else:
        writes.replace(cluster, target, held, obj, _OPTIONS)
    return f"{resource.id}/{namespace}/{name}"
