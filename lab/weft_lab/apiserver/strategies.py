"""Defaults and validates the other built-in types. Pure."""

from __future__ import annotations

import base64
import ipaddress
import re

from weft_lab.apiserver import status
from weft_lab.apiserver.resources import Object

DATA_LIMIT = 1024 * 1024  # bytes of a ConfigMap or Secret
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_DATA_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g."
    " 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def create_namespace(obj: Object) -> None:
    given = (obj.get("spec") or {}).get("finalizers") or []
    obj["spec"] = {"finalizers": [*given, *(() if "kubernetes" in given else ("kubernetes",))]}
    obj["status"] = {"phase": "Active"}
    labels = obj["metadata"].get("labels") or {}
    name = obj["metadata"].get("name", "")
    obj["metadata"]["labels"] = labels | ({"kubernetes.io/metadata.name": name} if name else {})


def change_namespace(new: Object, old: Object) -> None:
    """Its name's label stays, and its finalizers are written by `finalize` alone."""
    new["spec"] = old.get("spec") or {}
    label = "kubernetes.io/metadata.name"
    labels = new["metadata"].get("labels") or {}
    new["metadata"]["labels"] = {**labels, label: new["metadata"]["name"]}


def validate_namespace(obj: Object) -> list[status.Cause]:
    causes = [
        status.wrong(
            "spec.finalizers",
            name,
            "name is neither a standard finalizer name nor is it fully qualified",
        )
        for name in (obj.get("spec") or {}).get("finalizers") or ()
        if name != "kubernetes" and "/" not in name
    ]
    if causes:
        return causes
    phase = (obj.get("status") or {}).get("phase")
    if "deletionTimestamp" in obj["metadata"] or phase == "Active":
        return []
    why = "may only be 'Active' if `deletionTimestamp` is empty"
    return [status.wrong("status.Phase", phase or "", why)]


def validate_node(obj: Object) -> list[status.Cause]:
    causes = []
    spec = obj.get("spec") or {}
    for place, taint in enumerate(spec.get("taints") or ()):
        field = f"metadata.taints[{place}].effect"
        if not taint.get("effect"):
            causes.append(status.required(field))
        elif taint["effect"] not in _EFFECTS:
            causes.append(status.unsupported(field, taint["effect"], _EFFECTS))
    for place, subnet in enumerate(spec.get("podCIDRs") or ()):
        if not _is_subnet(subnet):
            why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            causes.append(status.wrong(f"spec.podCIDRs[{place}]", subnet, why))
    return causes


def _is_subnet(text: object) -> bool:
    try:
        ipaddress.ip_interface(str(text))
    except ValueError:
        return False
    return "/" in str(text)


_NODE_INFO = (
    *("machineID", "systemUUID", "bootID", "kernelVersion", "osImage"),
    *("containerRuntimeVersion", "kubeletVersion", "kubeProxyVersion", "operatingSystem"),
    "architecture",
)


def default_node(obj: Object) -> None:
    """A node that has reported nothing yet has an empty description."""
    spec = obj.setdefault("spec", {})
    if spec.get("podCIDR") and (spec.get("podCIDRs") or [""])[0] != spec["podCIDR"]:
        spec["podCIDRs"] = [spec["podCIDR"]]
    node_status = obj.setdefault("status", {})
    node_status.setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})
    info = node_status.setdefault("nodeInfo", {})
    for name in _NODE_INFO:
        info.setdefault(name, "")
    for condition in node_status.get("conditions") or ():
        for name in ("lastHeartbeatTime", "lastTransitionTime"):
            condition.setdefault(name, None)


def default_secret(obj: Object) -> None:
    """`stringData` is a way to write: it is never stored."""
    obj["type"] = obj.get("type") or "Opaque"
    for key, value in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()


def validate_keys(obj: Object) -> list[status.Cause]:
    """Of ConfigMaps and Secrets: the names of their entries, and how much they hold in all."""
    causes = []
    held = [each for part in ("data", "binaryData") for each in (obj.get(part) or {}).values()]
    if sum(len(value or "") for value in held) > DATA_LIMIT:
        text = f"Too long: may not be more than {DATA_LIMIT} bytes"
        field = "data" if obj.get("kind") == "Secret" else "[]"
        causes.append(status.Cause(field, text, "FieldValueTooLong"))
    for part in ("data", "binaryData"):
        for key in obj.get(part) or {}:
            if _DATA_KEY.fullmatch(key) is None:
                causes.append(status.wrong(f"{part}[{key}]", key, _DATA_KEY_RULE))
    if obj.get("kind") == "ConfigMap":
        for key in (obj.get("data") or {}).keys() & (obj.get("binaryData") or {}).keys():
            why = "duplicate of key present in binaryData"
            causes.append(status.wrong(f"data[{key}]", key, why))
    return causes


def validate_immutable(new: Object, old: Object) -> list[status.Cause]:
    causes = []
    if new.get("type") != old.get("type"):
        causes.append(status.wrong("type", new.get("type"), "field is immutable"))
    if not old.get("immutable"):
        return causes
    if any(new.get(part) != old.get(part) for part in ("data", "binaryData", "immutable")):
        causes.append(status.barred("data", "field is immutable when `immutable` is set"))
    return causes


def default_service(obj: Object) -> None:
    """The lab has no service network: every service is headless unless it says otherwise."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("clusterIP", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    if spec["clusterIP"] == "None":  # one that selects nothing may have addresses of both families
        families = ["IPv4"] if spec.get("selector") else ["IPv4", "IPv6"]
        spec.setdefault("ipFamilies", families)
        policy = "SingleStack" if len(spec["ipFamilies"]) == 1 else "RequireDualStack"
        spec.setdefault("ipFamilyPolicy", policy)
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    obj.setdefault("status", {"loadBalancer": {}})


_SERVICES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def validate_service(obj: Object) -> list[status.Cause]:
    causes = []
    if (kind := (obj.get("spec") or {}).get("type")) not in _SERVICES:
        causes.append(status.unsupported("spec.type", kind, _SERVICES))
    for place, port in enumerate((obj.get("spec") or {}).get("ports") or ()):
        number = port.get("port")
        if not isinstance(number, int) or not 0 < number < 65536:
            why = "must be between 1 and 65535, inclusive"
            causes.append(status.wrong(f"spec.ports[{place}].port", number, why))
    return causes


def default_event(obj: Object) -> None:
    """Fields of an Event that are not known get an empty value."""
    for name in ("eventTime", "firstTimestamp", "lastTimestamp"):
        obj.setdefault(name, None)
    for name in ("reportingComponent", "reportingInstance"):
        obj.setdefault(name, "")
    obj.setdefault("source", {})


def default_endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def validate_event(obj: Object) -> list[status.Cause]:
    """An Event must be in the namespace of the object that it is about."""
    about = obj.get("involvedObject") or {}
    namespace, own = about.get("namespace", ""), obj["metadata"].get("namespace", "")
    if namespace != own and not (namespace == "" and own == "default"):
        why = "does not match event.namespace"
        return [status.wrong("involvedObject.namespace", namespace, why)]
    return []


def default_lease(obj: Object) -> None:
    obj.setdefault("spec", {})


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
