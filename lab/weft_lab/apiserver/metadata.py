"""Fills in the metadata that the server decides, and refuses what is not valid there.

Pure: time and chance come in as arguments. Types' own rules are with their strategies.
"""

from __future__ import annotations

import re
from typing import Any

from weft_lab.apiserver import status
from weft_lab.apiserver.resources import Object, Resource

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
ANNOTATIONS_LIMIT = 256 * 1024

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and"
    " must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex"
    " used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used"
    " for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or"
    " '.', and must start and end with an alphanumeric character"
)


def suffix(chance: bytes) -> str:
    """Five characters for generateName: none that can spell a word."""
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in chance[:5])


def prepare_create(
    resource: Resource, obj: Object, namespace: str, now: str, uid: str, chance: bytes
) -> None:
    """Fill in what the server owns; whatever the client said of these is dropped."""
    meta = obj["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"):
        meta.pop(name, None)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = f"{meta['generateName'][:58]}{suffix(chance)}"
    if resource.namespaced:
        meta["namespace"] = namespace
    else:
        meta.pop("namespace", None)
    meta["uid"] = uid
    meta["creationTimestamp"] = now
    if resource.custom:
        meta["generation"] = 1


_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
    "generation",
    "namespace",
    "name",
)


def prepare_update(new: Object, old: Object) -> None:
    """Carry over what a client may not change, whether it sent it or not."""
    meta, before = new["metadata"], old["metadata"]
    for name in _OWNED:
        if name in before:
            meta[name] = before[name]
        else:
            meta.pop(name, None)
    meta.pop("selfLink", None)


def bump_generation(new: Object, old: Object) -> None:
    """A custom resource's generation counts the changes of what was asked for."""
    parts = (new.keys() | old.keys()) - {"metadata", "status", "apiVersion", "kind"}
    if any(new.get(part) != old.get(part) for part in parts):
        new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1


def validate_name(name: str, rule: str, field: str = "metadata.name") -> list[status.Cause]:
    """The rule is `label`, `subdomain` or `path` (anything that can stand in a URL)."""
    if rule == "path":
        bad = name in {".", ".."} or "/" in name or "%" in name
        return [status.wrong(field, name, "may not be '.', '..' or hold '/', '%'")] if bad else []
    limit, pattern, text = (
        (63, _LABEL, LABEL_RULE) if rule == "label" else (253, _SUBDOMAIN, SUBDOMAIN_RULE)
    )
    causes = []
    if len(name) > limit:
        causes.append(status.wrong(field, name, f"must be no more than {limit} bytes"))
    if not pattern.match(name):
        causes.append(status.wrong(field, name, text))
    return causes


def validate(resource: Resource, obj: Object) -> list[status.Cause]:
    """Every rule about metadata that holds for all types."""
    meta = obj["metadata"]
    name = meta.get("name")
    if not name:
        return [status.required("metadata.name", "name or generateName is required")]
    causes = validate_name(name, resource.name_rule)
    for key, value in (meta.get("labels") or {}).items():
        causes += _check_key("metadata.labels", key)
        causes += _check_label_value("metadata.labels", value)
    annotations = meta.get("annotations") or {}
    for key in annotations:
        causes += _check_key("metadata.annotations", key.lower())
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        text = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        causes.append(status.Cause("metadata.annotations", text, "FieldValueTooLong"))
    for place, owner in enumerate(meta.get("ownerReferences") or ()):
        causes += _check_owner(f"metadata.ownerReferences[{place}]", owner)
    for place, finalizer in enumerate(meta.get("finalizers") or ()):
        causes += _check_key(f"metadata.finalizers[{place}]", finalizer)
    return causes


def _check_owner(field: str, owner: Any) -> list[status.Cause]:
    names = ("apiVersion", "kind", "name", "uid")
    return [
        status.wrong(f"{field}.{name}", owner.get(name, ""), "must not be empty")
        for name in names
        if not owner.get(name)
    ]


def _check_key(field: str, key: str) -> list[status.Cause]:
    prefix, slash, name = key.rpartition("/")
    causes = []
    if slash and not (_SUBDOMAIN.match(prefix) and len(prefix) <= 253):
        causes.append(status.wrong(field, key, f"prefix part {SUBDOMAIN_RULE}"))
    if len(name) > 63 or not _QUALIFIED.match(name):
        causes.append(status.wrong(field, key, _QUALIFIED_RULE))
    return causes


def _check_label_value(field: str, value: str) -> list[status.Cause]:
    if len(value) > 63:
        return [status.wrong(field, value, "must be no more than 63 bytes")]
    if not _LABEL_VALUE.match(value):
        return [status.wrong(field, value, _VALUE_RULE)]
    return []


def validate_update(new: Object, old: Object) -> list[status.Cause]:
    """Finalizers may only go, and none may come, once an object is being deleted."""
    if "deletionTimestamp" not in old["metadata"]:
        return []
    before = set(old["metadata"].get("finalizers") or ())
    added = [one for one in new["metadata"].get("finalizers") or () if one not in before]
    if not added:
        return []
    why = f"no new finalizers can be added if the object is being deleted, found new: {added}"
    return [status.barred("metadata.finalizers", why)]
