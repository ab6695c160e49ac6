"""Defines the columns that `kubectl get` shows for each built-in type.

They are those of Kubernetes' pkg/printers/internalversion. A cell function gets the object.
"""

from __future__ import annotations

from typing import Any

from weft_lab.apiserver import clock, podprinter
from weft_lab.apiserver.resources import Column, Object


def _name(obj: Object) -> Any:
    return obj["metadata"]["name"]


def age(obj: Object) -> Any:
    return clock.age(obj["metadata"].get("creationTimestamp", ""))


NAME = Column("Name", "string", _name, format="name", description="The object's name.")
AGE = Column("Age", "string", age, description="How long ago it was created.")


def _part(obj: Object, *path: str) -> Any:
    found: Any = obj
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _phase(obj: Object) -> Any:
    return _part(obj, "status", "phase") or ""


NAMESPACES = (NAME, Column("Status", "string", _phase), AGE)

PODS = (
    NAME,
    Column("Ready", "string", podprinter.ready),
    Column("Status", "string", podprinter.reason),
    Column("Restarts", "string", podprinter.restarts),
    AGE,
    Column("IP", "string", lambda o: _part(o, "status", "podIP") or "<none>", 1),
    Column("Node", "string", lambda o: _part(o, "spec", "nodeName") or "<none>", 1),
    Column(
        "Nominated Node",
        "string",
        lambda o: _part(o, "status", "nominatedNodeName") or "<none>",
        1,
    ),
    Column("Readiness Gates", "string", podprinter.gates, 1),
)


def _node_status(obj: Object) -> Any:
    states = [
        "Ready" if condition.get("status") == "True" else "NotReady"
        for condition in _part(obj, "status", "conditions") or ()
        if condition.get("type") == "Ready"
    ]
    text = ",".join(states) or "Unknown"
    return f"{text},SchedulingDisabled" if _part(obj, "spec", "unschedulable") else text


def _node_roles(obj: Object) -> Any:
    prefix, roles = "node-role.kubernetes.io/", []
    for label, value in (obj["metadata"].get("labels") or {}).items():
        if label.startswith(prefix):
            roles.append(label[len(prefix) :])
        elif label == "kubernetes.io/role" and value:
            roles.append(value)
    return ",".join(sorted(roles)) or "<none>"


def _node_address(kind: str) -> Any:
    def cell(obj: Object) -> Any:
        for address in _part(obj, "status", "addresses") or ():
            if address.get("type") == kind:
                return address.get("address", "<none>")
        return "<none>"

    return cell


def _node_info(field: str) -> Any:
    return lambda obj: _part(obj, "status", "nodeInfo", field) or "<unknown>"


NODES = (
    NAME,
    Column("Status", "string", _node_status),
    Column("Roles", "string", _node_roles),
    AGE,
    Column("Version", "string", lambda o: _part(o, "status", "nodeInfo", "kubeletVersion") or ""),
    Column("Internal-IP", "string", _node_address("InternalIP"), 1),
    Column("External-IP", "string", _node_address("ExternalIP"), 1),
    Column("OS-Image", "string", _node_info("osImage"), 1),
    Column("Kernel-Version", "string", _node_info("kernelVersion"), 1),
    Column("Container-Runtime", "string", _node_info("containerRuntimeVersion"), 1),
)


def _event_time(*fields: str) -> Any:
    def cell(obj: Object) -> Any:
        for field in fields:
            if obj.get(field):
                return clock.age(obj[field])
        return "<unknown>"

    return cell


def _event_object(obj: Object) -> Any:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_source(obj: Object) -> Any:
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    reporting = obj.get("reportingComponent") or obj.get("reportingController")
    named = source.get("component") or reporting or ""
    host = source.get("host") or obj.get("reportingInstance")
    return f"{named}, {host}" if host else named


EVENTS = (
    Column("Last Seen", "string", _event_time("lastTimestamp", "eventTime")),
    Column("Type", "string", lambda o: o.get("type", "")),
    Column("Reason", "string", lambda o: o.get("reason", "")),
    Column("Object", "string", _event_object),
    Column("Subobject", "string", lambda o: _part(o, "involvedObject", "fieldPath") or "", 1),
    Column("Source", "string", _event_source, 1),
    Column("Message", "string", lambda o: (o.get("message") or o.get("note") or "").strip()),
    Column("First Seen", "string", _event_time("firstTimestamp", "eventTime"), 1),
    Column("Count", "string", lambda o: o.get("count") or 1, 1),
    Column("Name", "string", _name, 1, "name"),
)


def _data_size(obj: Object) -> Any:
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


CONFIGMAPS = (NAME, Column("Data", "string", _data_size), AGE)
SECRETS = (
    NAME,
    Column("Type", "string", lambda o: o.get("type", "")),
    Column("Data", "string", _data_size),
    AGE,
)
ACCOUNTS = (NAME, AGE)


def _service_ports(obj: Object) -> Any:
    parts = []
    for port in _part(obj, "spec", "ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        parts.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(parts) or "<none>"


def _selector(obj: Object) -> Any:
    chosen = _part(obj, "spec", "selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(chosen.items())) or "<none>"


SERVICES = (
    NAME,
    Column("Type", "string", lambda o: _part(o, "spec", "type") or ""),
    Column("Cluster-IP", "string", lambda o: _part(o, "spec", "clusterIP") or "<none>"),
    Column(
        "External-IP",
        "string",
        lambda o: ",".join(_part(o, "spec", "externalIPs") or ()) or "<none>",
    ),
    Column("Port(s)", "string", _service_ports),
    AGE,
    Column("Selector", "string", _selector, 1),
)


def _endpoints(obj: Object) -> Any:
    found = []
    for subset in obj.get("subsets") or ():
        ports = subset.get("ports") or [{}]
        for address in subset.get("addresses") or ():
            for port in ports:
                number = f":{port['port']}" if port.get("port") else ""
                found.append(f"{address.get('ip')}{number}")
    shown = ",".join(found[:3])
    return f"{shown} + {len(found) - 3} more..." if len(found) > 3 else shown or "<none>"


ENDPOINTS = (NAME, Column("Endpoints", "string", _endpoints), AGE)
LEASES = (
    NAME,
    Column("Holder", "string", lambda o: _part(o, "spec", "holderIdentity") or ""),
    AGE,
)
CRDS = (
    NAME,
    Column(
        "Created At",
        "date",
        lambda o: o["metadata"].get("creationTimestamp", ""),
    ),
)
CUSTOM = (NAME, AGE)

ROLES = (NAME, Column("Created At", "date", lambda o: o["metadata"].get("creationTimestamp", "")))


def _bound(kind: str) -> Any:
    def cell(obj: Object) -> Any:
        shown = []
        for one in obj.get("subjects") or ():
            if isinstance(one, dict) and one.get("kind") == kind:
                home = f"{one['namespace']}/" if one.get("namespace") else ""
                shown.append(f"{home}{one.get('name', '')}")
        return ", ".join(shown)

    return cell


def _role(obj: Object) -> Any:
    return f"{_part(obj, 'roleRef', 'kind') or ''}/{_part(obj, 'roleRef', 'name') or ''}"


BINDINGS = (
    NAME,
    Column("Role", "string", _role),
    AGE,
    Column("Users", "string", _bound("User"), 1),
    Column("Groups", "string", _bound("Group"), 1),
    Column("ServiceAccounts", "string", _bound("ServiceAccount"), 1),
)
