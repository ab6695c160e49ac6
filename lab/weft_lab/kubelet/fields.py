"""Lists the fields of a pod that the lab supports, and reports those that it ignores.

Pure. Paths are relative to a Pod's spec; `[]` stands for any element of a list. An Event of the pod
names each field that is in none of the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weft_lab import fieldtable
from weft_lab.kubelet import images

Object = Mapping[str, Any]
_OWNER = "VirtualMachineInstance"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_CONTAINER = (
    *("stdin", "stdinOnce", "tty"),
    *("name", "image", "command", "args", "workingDir", "env[].name", "env[].value"),
    *("env[].valueFrom.fieldRef", "terminationMessagePolicy"),
    *(f"volumeMounts[].{name}" for name in ("name", "mountPath")),
    *(
        f"securityContext.{name}"
        for name in (
            *("allowPrivilegeEscalation", "capabilities", "privileged", "readOnlyRootFilesystem"),
            *("runAsGroup", "runAsNonRoot", "runAsUser"),
        )
    ),
)
# The lab always does what these ask for, or they make no difference where it pulls no images.
_CONTAINER_HARMLESS = (
    *("imagePullPolicy", "volumeMounts[].readOnly"),
    *(f"ports[].{name}" for name in ("name", "containerPort", "protocol")),
)
_KINDS = ("containers", "initContainers", "ephemeralContainers")
# A path stands for all fields below it, too.
FOLLOWED = frozenset(
    {
        *(f"{kind}[].{path}" for kind in _KINDS for path in _CONTAINER),
        *(
            "dnsConfig",
            "hostAliases",
            "hostNetwork",
            "hostname",
            "nodeName",
            "nodeSelector",
            "restartPolicy",
        ),
        *("schedulerName", "terminationGracePeriodSeconds", "volumes[].name"),
        *(f"volumes[].downwardAPI.items[].{name}" for name in ("fieldRef", "path")),
        *(
            f"securityContext.{name}"
            for name in ("runAsGroup", "runAsNonRoot", "runAsUser", "supplementalGroups", "sysctls")
        ),
        f"affinity.nodeAffinity.{_REQUIRED}",
        *(
            f"affinity.{kind}.{_REQUIRED}[].{name}"
            for kind in ("podAffinity", "podAntiAffinity")
            for name in ("labelSelector", "namespaces", "topologyKey")
        ),
        *(
            f"topologySpreadConstraints[].{name}"
            for name in ("labelSelector", "maxSkew", "topologyKey")
        ),
    }
)
HARMLESS = frozenset(
    {
        *(f"{kind}[].{path}" for kind in _KINDS for path in _CONTAINER_HARMLESS),
        *("imagePullSecrets", "os"),
        "ephemeralContainers[].targetContainerName",  # all see all processes of the pod
    }
)
# A cluster gives these to each pod.
_TOLERATIONS = [
    {
        "key": f"node.kubernetes.io/{trouble}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for trouble in ("not-ready", "unreachable")
]
# Values that ask for the default, or for what the lab does in any case.
USUAL: Mapping[str, tuple[Any, ...]] = {
    "automountServiceAccountToken": (False,),
    "dnsPolicy": ("ClusterFirst", "None"),
    "enableServiceLinks": (True, False),
    "hostUsers": (False,),
    "preemptionPolicy": ("PreemptLowerPriority",),
    "priority": (0,),
    "serviceAccount": ("default",),
    "serviceAccountName": ("default",),
    "shareProcessNamespace": (True,),
    "tolerations": (_TOLERATIONS,),
    "hostIPC": (False,),
    "hostPID": (False,),
    "setHostnameAsFQDN": (False,),
    "topologySpreadConstraints[].whenUnsatisfiable": ("DoNotSchedule",),
    "volumes[].downwardAPI.defaultMode": (0o644,),
    **{
        f"{kind}[].{name}": values
        for kind in _KINDS
        for name, values in (
            ("resources", ({},)),
            ("terminationMessagePath", ("/dev/termination-log",)),
            ("volumeMounts[].mountPropagation", ("None",)),
            ("volumeMounts[].recursiveReadOnly", ("Disabled",)),
        )
    },
}
_TABLE = fieldtable.Table(FOLLOWED | HARMLESS, USUAL, bare="volumes[]")


def unfollowed(pod: Object) -> list[str]:
    """Paths of fields that are set and have no effect in the lab; elements of lists by name.

    Empty for a pod that runs a virtual machine: Events of the machine name its fields.
    """
    return [] if _is_launcher(pod) else sorted(_TABLE.without_effect(pod["spec"]))


def _is_launcher(pod: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(one.get("kind") == _OWNER for one in owners) and all(
        images.is_native(one.get("image", "")) for one in pod["spec"]["containers"]
    )


def ignored(pod: Object) -> Iterator[str]:
    """The message of an Event that names the ignored fields; empty if there are none."""
    if lost := unfollowed(pod):
        yield f"not followed by the lab: {', '.join(lost)}"
