"""Fills in the metadata that the server decides, and refuses what is not valid there.

Pure: time and randomness are arguments. Strategies have the rules of single types.
"""

from __future__ import annotations

import re

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
_PART_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used"
    " for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_KEY_RULE = (
    f"a valid label key {_PART_RULE} with an optional DNS subdomain prefix and '/'"
    " (e.g. 'example.com/MyName')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',"
    "  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_DEAD_OWNERS = ("v1/Event", "events.k8s.io/v1/Event")


def suffix(chance: bytes) -> str:
    """Five characters for generateName, without vowels."""
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in chance[:5])


def prepare_create(
    resource: Resource, obj: Object, namespace: str, now: str, uid: str, chance: bytes
) -> None:
    """Set the fields that the server owns; a client's values of them are dropped."""
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
    if resource.counted:
        meta["generation"] = 1


_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
    "name",
)


def altered(new: Object, old: Object) -> list[status.Cause]:
    """Fields that a client gives another value than the object has, which only the server may.

    One that it leaves out keeps its value.
    """
    meta, before = new["metadata"], old["metadata"]
    return [
        status.wrong(f"metadata.{name}", meta[name], "field is immutable")
        for name in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
        if meta.get(name) is not None and meta[name] != before.get(name)
    ]


def prepare_update(new: Object, old: Object) -> None:
    """Copy the fields that a client may not change from the old object."""
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


def validate_name(
    name: str, rule: str, field: str = "metadata.name", shown: str = ""
) -> list[status.Cause]:
    """The rule is `label`, `subdomain` or `path` (anything that can stand in a URL).

    shown: what the error tells, where that is not what is checked.
    """
    if rule == "path":
        if name in (".", ".."):
            return [status.wrong(field, name, f"may not be '{name}'")]
        held = [char for char in "/%" if char in name]
        return [status.wrong(field, name, f"may not contain '{char}'") for char in held]
    limit, pattern, text = (
        (63, _LABEL, LABEL_RULE) if rule == "label" else (253, _SUBDOMAIN, SUBDOMAIN_RULE)
    )
    causes = []
    if rule == "label" and "." in name:
        text = "must not contain dots"
    if len(name) > limit:
        causes.append(status.wrong(field, shown or name, f"must be no more than {limit} bytes"))
    if not pattern.match(name):
        causes.append(status.wrong(field, shown or name, text))
    return causes


def validate(resource: Resource, obj: Object) -> list[status.Cause]:
    """Every rule about metadata that holds for all types."""
    meta = obj["metadata"]
    name = meta.get("name")
    if not name:
        return [status.required("metadata.name", "name or generateName is required")]
    causes = []
    if meta.get("generateName"):
        prefix = meta["generateName"].removesuffix("-") + (
            "a" if meta["generateName"][-1:] == "-" else ""
        )
        causes += validate_name(
            prefix, resource.name_rule, "metadata.generateName", meta["generateName"]
        )
    causes += validate_name(name, resource.name_rule)
    for key, value in (meta.get("labels") or {}).items():
        causes += _check_key("metadata.labels", key)
        causes += [status.wrong("metadata.labels", value, why) for why in broken_label_value(value)]
    annotations = meta.get("annotations") or {}
    for key in annotations:
        for why in broken_key(key.lower()):
            causes.append(status.wrong("metadata.annotations", key, why))
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        text = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        causes.append(status.Cause("metadata.annotations", text, "FieldValueTooLong"))
    causes += _check_owners(meta)
    for place, finalizer in enumerate(meta.get("finalizers") or ()):
        causes += _check_finalizer(resource, finalizer, place)
    return causes


def _check_owners(meta: Object) -> list[status.Cause]:
    causes, field, controllers = [], "metadata.ownerReferences", []
    for owner in meta.get("ownerReferences") or ():
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                why = "version must not be empty" if name == "apiVersion" else "must not be empty"
                causes.append(status.wrong(f"{field}.{name}", owner.get(name, ""), why))
        api_version = owner.get("apiVersion", "")
        if f"{api_version}/{owner.get('kind')}" in _DEAD_OWNERS:
            named = api_version if "/" in api_version else f"/{api_version}"
            why = f"{named}, Kind={owner['kind']} is disallowed from being an owner"
            causes.append(status.wrong(field, owner, why))
        if owner.get("controller"):
            controllers.append(owner)
    for owner in controllers[1:]:
        first = controllers[0]
        why = (
            'Only one reference can have Controller set to true. Found "true" in references for'
            f" {first.get('kind')}/{first.get('name')} and {owner.get('kind')}/{owner.get('name')}"
        )
        causes.append(status.wrong(field, meta["ownerReferences"], why))
    return causes


def drop_duplicates(meta: Object) -> list[str]:
    """Keeps the first of the owners with one uid, and adds a warning about the others."""
    seen: dict[str, Object] = {}
    duplicates = []
    for owner in meta.get("ownerReferences") or ():
        uid = owner.get("uid", "")
        if uid in seen and uid not in duplicates:
            duplicates.append(uid)
        seen.setdefault(uid, owner)
    if not duplicates:
        return []
    meta["ownerReferences"] = list(seen.values())
    return [
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references"
        " in 1.20+, and may reject such requests as early as 1.24; please fix your requests;"
        f" duplicate UID(s) observed: {', '.join(duplicates)}"
    ]


def broken_key(key: str) -> list[str]:
    """The rules that a qualified name breaks."""
    parts = key.split("/")
    if len(parts) > 2:
        return [_KEY_RULE]
    causes = []
    if len(parts) == 2:
        if not parts[0]:
            causes.append("prefix part must be non-empty")
        elif not (_SUBDOMAIN.match(parts[0]) and len(parts[0]) <= 253):
            causes.append(f"prefix part {SUBDOMAIN_RULE}")
    name = parts[-1]
    if not name:
        causes.append("name part must be non-empty")
    elif len(name) > 63:
        causes.append("name part must be no more than 63 bytes")
    if not _QUALIFIED.match(name):
        causes.append(f"name part {_PART_RULE}")
    return causes


def broken_label_value(value: str) -> list[str]:
    """The rules that the value of a label breaks."""
    causes = []
    if len(value) > 63:
        causes.append("must be no more than 63 bytes")
    if not _LABEL_VALUE.match(value):
        causes.append(_VALUE_RULE)
    return causes


def _check_key(field: str, key: str) -> list[status.Cause]:
    return [status.wrong(field, key, why) for why in broken_key(key)]


def _check_finalizer(resource: Resource, name: str, place: int) -> list[status.Cause]:
    causes = _check_key("metadata.finalizers", name)
    if "/" not in name and resource.group == "" and name not in _STANDARD_FINALIZERS:
        why = "name is neither a standard finalizer name nor is it fully qualified"
        causes.append(status.wrong(f"metadata.finalizers[{place}]", name, why))
    return causes


_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def short_finalizers(meta: Object, before: Object) -> list[str]:
    """Warnings about finalizers that come without a domain."""
    known = before.get("finalizers") or ()
    return [
        f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name to avoid'
        " accidental conflicts with other finalizer writers"
        for name in meta.get("finalizers") or ()
        if name and "/" not in name and name not in known and name not in _STANDARD_FINALIZERS
    ]


def validate_update(new: Object, old: Object) -> list[status.Cause]:
    """Finalizers may only go, and none may come, once an object is being deleted."""
    if "deletionTimestamp" not in old["metadata"]:
        return []
    before = set(old["metadata"].get("finalizers") or ())
    added = [one for one in new["metadata"].get("finalizers") or () if one not in before]
    if not added:
        return []
    listed = ", ".join(map(status.quote, added))
    why = (
        "no new finalizers can be added if the object is being deleted, found new finalizers"
        f" []string{{{listed}}}"
    )
    return [status.barred("metadata.finalizers", why)]
