"""Names a Kubernetes object in messages, and reads its annotations.

Objects are as the API server sends them: dicts with untrusted contents.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft import errors
from weft.api import fields
from weft.model import ObjectKey

# Kinds without a namespace.
_CLUSTER_WIDE = frozenset({"Namespace", "Node"})


def key(obj: object) -> ObjectKey:
    """The key of a namespaced object; one without a namespace is in `default`."""
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    if not isinstance(metadata, Mapping):
        return ObjectKey("default", "")
    namespace, name = metadata.get("namespace"), metadata.get("name")
    return ObjectKey(
        namespace if isinstance(namespace, str) and namespace else "default",
        name if isinstance(name, str) else "",
    )


def subject(kind: str, obj: object) -> str:
    """The object's name in messages: `Pod default/web1`, `Node node1`."""
    found = key(obj)
    return f"{kind} {found.name if kind in _CLUSTER_WIDE else found}"


def annotation(kind: str, obj: object, name: str) -> str:
    """The text of an annotation, "" if it is absent; raises InvalidInput if it is no string."""
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    value = annotations.get(name) if isinstance(annotations, Mapping) else None
    if value is None or isinstance(value, str):
        return value or ""
    rule = f"must be a string, not {fields.kind_of(value)}"
    raise errors.InvalidInput(subject(kind, obj), name, value, rule)
