"""Collects what is needed to find a fault, without anything secret: a support bundle.

Of objects only the kinds listed here are read, and of each only what `slim` keeps. Secrets are
never read. Text that looks like a credential is blanked wherever it stands.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any

from weft import names
from weft.kube import resources
from weft.kube.client import ApiError, Client

Object = Mapping[str, Any]

KINDS = (
    resources.NETWORKS,
    resources.NADS,
    resources.MULTINETWORKPOLICIES,
    resources.IPAMCLAIMS,
    resources.NODES,
    resources.NAMESPACES,
    resources.PODS,
    resources.EVENTS,
    resources.DAEMONSETS,
    resources.LEASES,
)
LINES = 5000  # of a container's log
MOST = 10_000_000  # characters of one file
BLANK = "[removed]"
_ANNOTATIONS = ("k8s.ovn.org/", "k8s.v1.cni.cncf.io/", "v1.multus-cni.io/", "weft/")
_SECRET = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
    re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"),  # a JSON web token, as of service accounts
    re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"),
    re.compile(r"(?i)(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # user and password in a URL
    re.compile(
        r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|private[_-]?key|client-key-data))"
        r"(\\?[\"']?\s*[:=]\s*\\?[\"']?)([^\s\"',;}\\]{4,})"
    ),
)


def blanked(text: str) -> str:
    """Returns a text without what looks like a credential."""
    for pattern in _SECRET[:-1]:
        text = pattern.sub(BLANK, text)
    return _SECRET[-1].sub(lambda found: f"{found[1]}{found[2]}{BLANK}", text)


def slim(obj: Object) -> dict[str, Any]:
    """Returns the part of an object that a bundle has.

    Of a pod: its place, its networks and its state, but no environment, arguments or volumes, where
    people put passwords. Of a NAD of another plugin: no configuration. Of other kinds all but
    foreign annotations and managed fields.
    """
    meta = dict(obj.get("metadata") or {})
    meta.pop("managedFields", None)
    notes = meta.pop("annotations", None) or {}
    kept = {key: text for key, text in notes.items() if key.startswith(_ANNOTATIONS)}
    found = {**obj, "metadata": {**meta, "annotations": kept} if kept else meta}
    if obj.get("kind") in ("Pod", "DaemonSet"):
        found.pop("data", None)
        found["spec"] = _pod_spec(obj.get("spec") or {})
    if obj.get("kind") == resources.NADS.kind and names.CNI_TYPE not in str(obj.get("spec")):
        del found["spec"]
    return found


def _pod_spec(spec: Object) -> dict[str, Any]:
    kept = {key: spec[key] for key in ("nodeName", "hostNetwork") if key in spec}
    containers = spec.get("containers") or ()
    return {
        **kept,
        "containers": [{key: one.get(key) for key in ("name", "image")} for one in containers],
    }


async def read(api: Client, namespace: str) -> AsyncIterator[tuple[str, str]]:
    """Yields name and text of each file; what cannot be read is a file that says why.

    `namespace` is weft's own: the logs of its pods are read.
    """
    yield "version.json", _text(await api.request("GET", "/version"))
    mine: list[Object] = []
    for kind in KINDS:
        try:
            found = [slim({**each, "kind": kind.kind}) for each in await api.list(kind)]
        except ApiError as error:
            yield f"{kind.plural}.error", blanked(error.in_full())
            continue
        if kind is resources.PODS:
            mine = [each for each in found if each["metadata"].get("namespace") == namespace]
        yield f"{kind.plural}.json", blanked(_text(found))
    for pod in mine:
        for container in pod["spec"]["containers"]:
            name, inside = pod["metadata"]["name"], str(container["name"])
            yield f"logs/{name}/{inside}.log", blanked(await _log(api, namespace, name, inside))


async def _log(api: Client, namespace: str, pod: str, container: str) -> str:
    query = {"container": container, "tailLines": str(LINES)}
    try:
        log = await api.content(resources.PODS.path(namespace, pod, "log"), query=query)
        return log.decode(errors="replace")[-MOST:]
    except ApiError as error:
        return error.in_full()


def _text(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, default=str)[:MOST]


def packed(files: Iterable[tuple[str, str]], now: datetime) -> bytes:
    """Returns the files as a compressed tar archive."""
    packed_to = io.BytesIO()
    with tarfile.open(fileobj=packed_to, mode="w:gz") as archive:
        for name, text in files:
            data = text.encode(errors="replace")
            info = tarfile.TarInfo(f"weft-support/{name}")
            info.size, info.mtime = len(data), int(now.timestamp())
            archive.addfile(info, io.BytesIO(data))
    return packed_to.getvalue()
