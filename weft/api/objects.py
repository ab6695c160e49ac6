"""Names a Kubernetes object in messages, and reads its annotations.

For objects as the API server sends them: dictionaries that somebody else filled. Nothing here
knows what an annotation means.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft import errors
from weft.api import fields

# Kinds whose objects are in no namespace.
_CLUSTER_WIDE = frozenset({"Namespace", "Node"})


def key(obj: object) -> tuple[str, str]:
    """(namespace, name); the namespace is `default` where an object does not say."""
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    if not isinstance(metadata, Mapping):
        return "default", ""
    namespace, name = metadata.get("namespace"), metadata.get("name")
    return (
        namespace if isinstance(namespace, str) and namespace else "default",
        name if isinstance(name, str) else "",
    )


def subject(kind: str, obj: object) -> str:
    """What messages call the object: `Pod default/web1`, `Node node1`."""
    namespace, name = key(obj)
    return f"{kind} {name}" if kind in _CLUSTER_WIDE else f"{kind} {namespace}/{name}"


def annotation(kind: str, obj: object, name: str) -> str:
    """The text of an annotation, "" where there is none."""
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    value = annotations.get(name) if isinstance(annotations, Mapping) else None
    if value is None or isinstance(value, str):
        return value or ""
    rule = f"must be a string, not {fields.kind_of(value)}"
    raise errors.InvalidInput(subject(kind, obj), name, value, rule)
