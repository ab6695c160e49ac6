"""Defaults and validates pods, and says what of one may not change."""

from __future__ import annotations

from typing import Any

from weft_lab.apiserver import metadata, status
from weft_lab.apiserver.resources import Object

_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PULL = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_CHANGEABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)

EPHEMERAL = "ephemeralcontainers"
SUBRESOURCES = {
    "log": ("get",),
    "binding": ("create",),
    "eviction": ("create",),
    EPHEMERAL: ("get", "patch", "update"),
    **dict.fromkeys(("attach", "exec", "portforward"), ("create", "get")),
}


def default(obj: Object) -> None:
    """Fill in what a pod's author left out, as the reference server does."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    _default_tolerations(spec)
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            _default_container(container)
    _default_status(obj.setdefault("status", {}), spec)
    for volume in spec.get("volumes") or ():
        if len(volume) == 1:
            volume["emptyDir"] = {}
        for source in ("secret", "configMap", "projected", "downwardAPI"):
            if isinstance(volume.get(source), dict):
                volume[source].setdefault("defaultMode", 420)


def _default_status(found: Object, spec: Object) -> None:
    found.setdefault("qosClass", quality(spec))
    for condition in found.get("conditions") or ():
        for name in ("lastProbeTime", "lastTransitionTime"):
            condition.setdefault(name, None)
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for each in found.get(kind) or ():
            each.setdefault("ready", False)
            each.setdefault("state", {})
            each.setdefault("lastState", {})
    if found.get("podIP"):
        found["podIPs"] = with_first(found.get("podIPs"), "ip", found["podIP"])


def with_first(listed: Any, key: str, first: str) -> list[Any]:
    """A list whose first element has to be `first`; any other list gives way to it."""
    if listed and listed[0].get(key) == first:
        return list(listed)
    return [{key: first}]


_PATIENT = {  # of a node that is not ready or not reached, five minutes long
    f"node.kubernetes.io/{name}": {
        "key": f"node.kubernetes.io/{name}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for name in ("not-ready", "unreachable")
}


def _default_tolerations(spec: Object) -> None:
    held = spec.get("tolerations") or []
    for key, toleration in _PATIENT.items():
        if not any(
            one.get("key", "") in ("", key) and one.get("effect", "") in ("", "NoExecute")
            for one in held
        ):
            held = [*held, dict(toleration)]
    spec["tolerations"] = held


def _default_container(container: Object) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if not container.get("imagePullPolicy"):
        tag = container.get("image", "").rpartition("/")[2].partition(":")[2]
        container["imagePullPolicy"] = "Always" if tag in {"", "latest"} else "IfNotPresent"
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    resources = container["resources"]
    for name, amount in (resources.get("limits") or {}).items():
        resources.setdefault("requests", {}).setdefault(name, amount)


def create(obj: Object) -> None:
    """A new pod has done nothing yet, whatever its author says."""
    obj["status"] = {"phase": "Pending", "qosClass": quality(obj.get("spec") or {})}


def quality(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, from what the containers ask for."""
    resources = [c.get("resources") or {} for c in spec.get("containers") or ()]
    if not any(one.get("requests") or one.get("limits") for one in resources):
        return "BestEffort"
    for one in resources:
        requests, limits = one.get("requests") or {}, one.get("limits") or {}
        if any(limits.get(k) is None or limits[k] != requests.get(k) for k in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def validate(obj: Object) -> list[status.Cause]:
    """The rules that a pod's author meets; a lab leaves the rest to whoever runs the pod."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return [status.required("spec.containers")]
    causes: list[status.Cause] = []
    containers = spec.get("containers")
    if not containers:
        causes.append(status.required("spec.containers"))
    names: set[str] = set()
    volumes = _check_volumes(spec.get("volumes") or (), causes)
    for kind in ("initContainers", "containers"):
        for place, container in enumerate(spec.get(kind) or ()):
            _check_container(f"spec.{kind}[{place}]", container, names, volumes, causes)
    for field, known in (("restartPolicy", _RESTART), ("dnsPolicy", _DNS)):
        if spec.get(field) not in known:
            causes.append(status.unsupported(f"spec.{field}", spec.get(field), known))
    if spec.get("dnsPolicy") == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        causes.append(status.required("spec.dnsConfig.nameservers", why))
    if (grace := spec.get("terminationGracePeriodSeconds")) is not None and grace < 0:
        why = "must be greater than or equal to 0"
        causes.append(status.wrong("spec.terminationGracePeriodSeconds", grace, why))
    for place, gate in enumerate(spec.get("readinessGates") or ()):
        if not gate.get("conditionType"):
            causes.append(status.required(f"spec.readinessGates[{place}].conditionType"))
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            causes += metadata.validate_name(spec[field], "label", f"spec.{field}")
    if spec.get("nodeName"):
        causes += metadata.validate_name(spec["nodeName"], "subdomain", "spec.nodeName")
    return causes


def _check_volumes(volumes: Any, causes: list[status.Cause]) -> set[str]:
    names: set[str] = set()
    for place, volume in enumerate(volumes):
        name, field = volume.get("name", ""), f"spec.volumes[{place}].name"
        if not name:
            causes.append(status.required(field))
        elif name in names:
            causes.append(status.duplicate(field, name))
        else:
            causes += metadata.validate_name(name, "label", field)
        names.add(name)
        if len(volume) > 2:
            why = "may not specify more than 1 volume type"
            causes.append(status.barred(f"spec.volumes[{place}]", why))
    return names


def _check_container(
    field: str, container: Object, names: set[str], volumes: set[str], causes: list[status.Cause]
) -> None:
    name = container.get("name", "")
    if not name:
        causes.append(status.required(f"{field}.name"))
    elif name in names:
        causes.append(status.duplicate(f"{field}.name", name))
    else:
        causes += metadata.validate_name(name, "label", f"{field}.name")
    names.add(name)
    if not container.get("image"):
        causes.append(status.required(f"{field}.image"))
    if (policy := container.get("imagePullPolicy")) not in _PULL:
        causes.append(status.unsupported(f"{field}.imagePullPolicy", policy, _PULL))
    for place, port in enumerate(container.get("ports") or ()):
        number, at = port.get("containerPort"), f"{field}.ports[{place}]"
        if number is None:
            causes.append(status.required(f"{at}.containerPort"))
        elif not 0 < number < 65536:
            why = "must be between 1 and 65535, inclusive"
            causes.append(status.wrong(f"{at}.containerPort", number, why))
        if port.get("protocol") not in _PROTOCOLS:
            causes.append(status.unsupported(f"{at}.protocol", port.get("protocol"), _PROTOCOLS))
    for place, mount in enumerate(container.get("volumeMounts") or ()):
        at = f"{field}.volumeMounts[{place}]"
        if not mount.get("mountPath"):
            causes.append(status.required(f"{at}.mountPath"))
        if (volume := mount.get("name", "")) not in volumes:
            text = f"Not found: {status.quote(volume)}"
            causes.append(status.Cause(f"{at}.name", text, "FieldValueNotFound"))
    for place, variable in enumerate(container.get("env") or ()):
        if not variable.get("name"):
            causes.append(status.required(f"{field}.env[{place}].name"))


def validate_change(new: Object, old: Object) -> list[status.Cause]:
    """What a pod runs is settled when it is created, but for a few fields."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    if after == before:
        return []
    for kind in ("containers", "initContainers"):
        if len(after.get(kind) or ()) != len(before.get(kind) or ()):
            why = "pod updates may not add or remove containers"
            return [status.barred(f"spec.{kind}", why)]
    if causes := _check_deadline(after, before):
        return causes
    causes = []
    if not _tolerated(after, before):
        why = "existing toleration can not be modified except its tolerationSeconds"
        causes.append(status.barred("spec.tolerations", why))
    if _frozen(after) != _frozen(before):
        why = f"pod updates may not change fields other than {_CHANGEABLE}"
        causes.append(status.barred("spec", why))
    return causes


def with_ephemeral(new: Object, old: Object) -> Object:
    """The pod as it was, with the ephemeral containers of the new one."""
    spec = {**(old.get("spec") or {})}
    spec.pop("ephemeralContainers", None)
    if added := (new.get("spec") or {}).get("ephemeralContainers"):
        spec["ephemeralContainers"] = added
    return {**old, "metadata": {**old["metadata"]}, "spec": spec}


def validate_ephemeral(new: Object, old: Object) -> list[status.Cause]:
    """Ephemeral containers are added, and neither changed nor removed."""
    field, spec = "spec.ephemeralContainers", new.get("spec") or {}
    after = spec.get("ephemeralContainers") or []
    known = {one.get("name"): one for one in after}
    for before in (old.get("spec") or {}).get("ephemeralContainers") or ():
        if (kept := known.get(before["name"])) is None:
            why = f"existing ephemeral containers {status.quote(before['name'])} may not be removed"
            return [status.barred(field, why)]
        if kept != before:
            why = f"existing ephemeral containers {status.quote(before['name'])} may not be changed"
            return [status.barred(field, why)]
    causes: list[status.Cause] = []
    names = {
        one.get("name", "")
        for kind in ("containers", "initContainers")
        for one in spec.get(kind) or ()
    }
    volumes = {volume.get("name", "") for volume in spec.get("volumes") or ()}
    for place, container in enumerate(after):
        _check_container(f"{field}[{place}]", container, names, volumes, causes)
        for name in sorted(_NEVER_EPHEMERAL & container.keys()):
            why = "cannot be set for an Ephemeral Container"
            if container[name]:
                causes.append(status.barred(f"{field}[{place}].{name}", why))
        if (aim := container.get("targetContainerName")) and aim not in names:
            text = f"Not found: {status.quote(aim)}"
            at = f"{field}[{place}].targetContainerName"
            causes.append(status.Cause(at, text, "FieldValueNotFound"))
    return causes


_NEVER_EPHEMERAL = frozenset(
    {"ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"}
)


def _check_deadline(new: Object, old: Object) -> list[status.Cause]:
    after, before = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if before is None or (after is not None and after <= before):
        return []
    why = "must not update from a positive integer to nil value"
    if after is not None:
        why = "must be less than or equal to previous value"
    return [status.wrong("spec.activeDeadlineSeconds", after, why)]


def _frozen(spec: Object) -> Object:
    free = {
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "schedulingGates",
    }
    kept = {key: value for key, value in spec.items() if key not in free}
    for kind in ("initContainers", "containers"):
        if kept.get(kind):
            kept[kind] = [{**one, "image": "", "imagePullPolicy": ""} for one in kept[kind]]
    return kept


def _tolerated(new: Object, old: Object) -> bool:
    """Whether all tolerations are still there, for however long."""
    after = [_forever(one) for one in new.get("tolerations") or ()]
    return all(_forever(one) in after for one in old.get("tolerations") or ())


def _forever(toleration: Object) -> Object:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}
