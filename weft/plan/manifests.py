"""Reads what manifests declare, whatever their kind: the items of lists, the networks that pods,
virtual machines and workloads ask for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weft import names
from weft.api import selection
from weft.kube import resources

Object = Mapping[str, Any]


def single(file: str, document: Any) -> Iterator[tuple[str, Any]]:
    """The items of a List, as kubectl prints one; or else the object itself."""
    if isinstance(document, Mapping) and isinstance(document.get("items"), list):
        yield from ((file, item) for item in document["items"])
    elif document is not None:  # an empty document
        yield file, document


def network_request(obj: Object) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Namespace and name of the pod that requests networks, and metadata that has its request."""
    meta, spec = obj["metadata"], obj.get("spec")
    called = {"namespace": meta["namespace"], "name": meta["name"]}
    if obj["kind"] == selection.KIND:
        return called, meta
    spec = spec if isinstance(spec, Mapping) else {}
    template = spec.get("template")
    template = template if isinstance(template, Mapping) else {}
    called["name"] += f" (of {obj['kind']})"
    if obj["kind"] == resources.VMIS.kind:
        template = obj
    if obj["kind"] in (resources.VMS.kind, resources.VMIS.kind):
        inner = template.get("spec")
        networks = inner.get("networks") if isinstance(inner, Mapping) else None
        sources = [each.get("multus") for each in networks or () if isinstance(each, Mapping)]
        requested = [str(each.get("networkName")) for each in sources if isinstance(each, Mapping)]
        return called, {"annotations": {names.NETWORKS: ",".join(requested)}} if requested else {}
    inner = template.get("metadata")
    return called, inner if isinstance(inner, Mapping) else {}
