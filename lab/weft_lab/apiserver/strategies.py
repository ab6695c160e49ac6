"""Defaults and validates the other built-in types. Pure."""

from __future__ import annotations

import base64
import binascii

from weft_lab.apiserver import metadata, status
from weft_lab.apiserver.resources import Object

DATA_LIMIT = 1024 * 1024  # bytes of a ConfigMap or Secret
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def create_namespace(obj: Object) -> None:
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj["status"] = {"phase": "Active"}
    labels = obj["metadata"].get("labels") or {}
    name = obj["metadata"].get("name", "")
    obj["metadata"]["labels"] = labels | ({"kubernetes.io/metadata.name": name} if name else {})


def validate_node(obj: Object) -> list[status.Cause]:
    causes = []
    for place, taint in enumerate((obj.get("spec") or {}).get("taints") or ()):
        if taint.get("effect") not in _EFFECTS:
            field = f"spec.taints[{place}].effect"
            causes.append(status.unsupported(field, taint.get("effect"), _EFFECTS))
    return causes


def default_node(obj: Object) -> None:
    obj.setdefault("spec", {})
    obj.setdefault("status", {})


def default_secret(obj: Object) -> None:
    """`stringData` is a way to write: it is never stored."""
    obj.setdefault("type", "Opaque")
    for key, value in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()


def validate_secret(obj: Object) -> list[status.Cause]:
    causes = []
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value or "", validate=True)
        except (binascii.Error, ValueError):
            causes.append(status.wrong(f"data[{key}]", value, "must be base64"))
    return causes + validate_keys(obj)


def validate_keys(obj: Object) -> list[status.Cause]:
    """Of ConfigMaps and Secrets: the names of their entries, and how much they hold in all."""
    causes = []
    held = [each for part in ("data", "binaryData") for each in (obj.get(part) or {}).values()]
    if sum(len(value or "") for value in held) > DATA_LIMIT:
        text = f"Too long: may not be more than {DATA_LIMIT} bytes"
        causes.append(status.Cause("data", text, "FieldValueTooLong"))
    for part in ("data", "binaryData"):
        for key in obj.get(part) or {}:
            causes += metadata.validate_name(
                key.lower().replace("_", "-"), "path", f"{part}[{key}]"
            )
    return causes


def validate_immutable(new: Object, old: Object) -> list[status.Cause]:
    if not old.get("immutable"):
        return []
    if any(new.get(part) != old.get(part) for part in ("data", "binaryData", "immutable")):
        return [status.barred("data", "field is immutable when `immutable` is set")]
    return []


def default_service(obj: Object) -> None:
    """The lab has no service network: every service is headless unless it says otherwise."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("clusterIP", "None")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    obj.setdefault("status", {"loadBalancer": {}})


def validate_service(obj: Object) -> list[status.Cause]:
    causes = []
    for place, port in enumerate((obj.get("spec") or {}).get("ports") or ()):
        number = port.get("port")
        if not isinstance(number, int) or not 0 < number < 65536:
            why = "must be between 1 and 65535, inclusive"
            causes.append(status.wrong(f"spec.ports[{place}].port", number, why))
    return causes


def validate_event(obj: Object) -> list[status.Cause]:
    """An event lies beside the object that it is about."""
    about = obj.get("involvedObject") or {}
    namespace, own = about.get("namespace", ""), obj["metadata"].get("namespace", "")
    if namespace != own and not (namespace == "" and own == "default"):
        why = "does not match event.namespace"
        return [status.wrong("involvedObject.namespace", namespace, why)]
    return []


def validate_lease(obj: Object) -> list[status.Cause]:
    seconds = (obj.get("spec") or {}).get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        why = "must be greater than 0"
        return [status.wrong("spec.leaseDurationSeconds", seconds, why)]
    return []


_TO_CORE = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_FROM_CORE = {old: new for new, old in _TO_CORE.items()}


def event_to_core(obj: Object) -> Object:
    """events.k8s.io/v1 to the form that is stored."""
    return {_TO_CORE.get(key, key): value for key, value in obj.items()}


def event_from_core(obj: Object) -> Object:
    return {_FROM_CORE.get(key, key): value for key, value in obj.items()}
