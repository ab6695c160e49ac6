"""Reads a demo's manifests from examples/ and applies them as kubectl would.

The demos check the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from weft import errors
from weft.decode import budget, yamltext
from weft.kube import client as kube
from weft.kube import resources
from weft.kube.resources import Resource

EXAMPLES = Path(__file__).with_name("examples")

_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
_KINDS = {(res.group, res.kind): res for res in (*resources.ALL, _ROLE_BINDINGS)}


def read(name: str) -> list[dict[str, Any]]:
    """The objects of examples/<name>/, files in order of their names.

    An object without a namespace is put into `default`, as by kubectl.
    """
    folder = EXAMPLES / name
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise errors.Unavailable(
            "the demo's manifests are not there",
            where=str(folder),
            hint="run weft from a checkout of its repository",
        )
    found = [obj for file in files for obj in _documents(file)]
    for obj in found:
        if resource(obj).namespaced:
            obj["metadata"].setdefault("namespace", "default")
    return found


def _documents(file: Path) -> list[dict[str, Any]]:
    try:
        found = [each.value for each in yamltext.parse(file.read_bytes(), budget.FILE)]
    except budget.Malformed as error:
        raise errors.InvalidInput(str(file), "manifest", None, f"is no YAML: {error}") from None
    return [obj for obj in found if obj]


def resource(obj: Mapping[str, Any]) -> resources.Resource:
    group = obj["apiVersion"].rpartition("/")[0]
    return _KINDS[group, obj["kind"]]


async def apply(client: kube.Client, objects: Iterable[Mapping[str, Any]]) -> None:
    """Server-side apply, in order; running it again changes nothing."""
    for obj in objects:
        meta = obj["metadata"]
        await client.patch(
            resource(obj),
            meta["name"],
            meta.get("namespace", ""),
            obj,
            type="apply",
            field_manager="weft-demo",
            force=True,
        )
