"""Lists the fields of a virtual machine that the lab follows, and those that it ignores.

Pure. Paths are those of a VirtualMachineInstance's spec, as KubeVirt names them; `[]` stands for
any element of a list. A field that is in none of the tables is named in an Event of the machine.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from weft_lab import fieldtable
from weft_lab.kubelet import fields as podfields

# What the lab does with each field; all below it is followed, too. The words are for
# `kubectl explain`.
FOLLOWED: Mapping[str, str] = {
    "affinity": "Its node affinity, and affinity and anti-affinity of its pod, where required",
    "dnsConfig": "Of its pod; masquerade hands servers and search domains to the guest",
    "dnsPolicy": "Of its pod",
    "domain.cpu.cores": "The greatest of cores, sockets and threads is the number of processors",
    "domain.cpu.sockets": "See cores",
    "domain.cpu.threads": "See cores",
    "domain.devices.autoattachGraphicsDevice": "A screen; else a disk image's guest alone has one",
    "domain.devices.autoattachPodInterface": "false: no interface where none is listed",
    "domain.devices.disks[].cdrom": "The guest may only read it",
    "domain.devices.disks[].name": "The volume that the guest sees as a disk",
    "domain.devices.disks[].serial": "The serial number that the guest sees",
    "domain.devices.interfaces[].binding.name": "How the interface is joined to its network",
    "domain.devices.interfaces[].bridge": "On the network itself, with the pod's address",
    "domain.devices.interfaces[].macAddress": "The guest's MAC on its network",
    "domain.devices.interfaces[].masquerade": "Behind the address of the pod",
    "domain.devices.interfaces[].model": "The kind of card that the guest sees",
    "domain.devices.interfaces[].name": "The network, of spec.networks",
    "domain.devices.interfaces[].passt": "Served as masquerade",
    "domain.devices.interfaces[].ports[].port": "What others may reach; none: every port",
    "domain.devices.interfaces[].ports[].protocol": "TCP or UDP",
    "domain.devices.interfaces[].slirp": "Served as masquerade",
    "domain.devices.interfaces[].state": "down: the cable is unplugged; absent: no interface",
    "domain.devices.rng": "A disk image's guest always has one",
    "domain.memory.guest": "Memory that the guest sees",
    "domain.resources.limits.memory": "Memory of the guest where nothing else says",
    "domain.resources.requests.memory": "Memory of the guest where domain.memory does not say",
    "evictionStrategy": "What an eviction of its pod does: migrate or stop it",
    "hostname": "The guest's name in its cloud-init data",
    "networks[].multus.default": "Refused: the pod's own network stays its first",
    "networks[].multus.networkName": "The NetworkAttachmentDefinition, [namespace/]name",
    "networks[].name": "The interface that is on this network",
    "networks[].pod.vmIPv6NetworkCIDR": "As vmNetworkCIDR, where the pod has IPv6; fd10:0:2::/120",
    "networks[].pod.vmNetworkCIDR": "The guest's network behind its pod; else 10.0.2.0/24",
    "nodeSelector": "Labels of the nodes that may run it",
    "startStrategy": "Paused: it is started, and waits until it is unpaused",
    "terminationGracePeriodSeconds": "Seconds that the guest has to shut down",
    "topologySpreadConstraints": "How its pod is spread over the nodes",
    "volumes[].cloudInitConfigDrive.networkData": "See cloudInitNoCloud",
    "volumes[].cloudInitConfigDrive.networkDataBase64": "See cloudInitNoCloud",
    "volumes[].cloudInitConfigDrive.userData": "Served as cloudInitNoCloud",
    "volumes[].cloudInitConfigDrive.userDataBase64": "See cloudInitNoCloud",
    "volumes[].cloudInitNoCloud.networkData": "Network configuration, version 1 or 2",
    "volumes[].cloudInitNoCloud.networkDataBase64": "The same in Base64",
    "volumes[].cloudInitNoCloud.userData": "#cloud-config, or a script",
    "volumes[].cloudInitNoCloud.userDataBase64": "The same in Base64",
    "volumes[].containerDisk.image": "Booted if the lab has it; else the built-in guest boots",
    "volumes[].emptyDisk.capacity": "Size of an empty disk",
    "volumes[].hostDisk.path": "An image on the lab's machine",
    "volumes[].hostDisk.shared": "Whether the machine may migrate with it",
    "volumes[].name": "The disk that shows the volume",
}
# Sources of volumes that Events name as a whole.
REPORTED_ELSEWHERE = (
    *("persistentVolumeClaim", "dataVolume", "ephemeral", "memoryDump", "secret", "configMap"),
    *("serviceAccount", "sysprep", "downwardAPI", "downwardMetrics"),
)
# They make no difference on a cluster where the lab's parts are, or no guest can observe them.
HARMLESS = frozenset(
    {
        *("serviceAccountName", "domain.devices.interfaces[].ports[].name"),
        *(f"volumes[].containerDisk.{name}" for name in ("imagePullPolicy", "imagePullSecret")),
        *(f"volumes[].{source}" for source in REPORTED_ELSEWHERE),
    }
)
# Values that ask for what the lab does in any case; others are reported.
USUAL: Mapping[str, tuple[Any, ...]] = {
    "architecture": ("amd64",),
    "domain.devices.autoattachInputDevice": (False,),
    "domain.devices.autoattachMemBalloon": (False,),
    "domain.devices.autoattachSerialConsole": (True,),
    "domain.devices.blockMultiQueue": (False,),
    "domain.devices.disks[].dedicatedIOThread": (False,),
    "domain.devices.disks[].disk.bus": ("virtio",),
    "domain.devices.disks[].disk.readonly": (False,),
    "domain.devices.logSerialConsole": (True,),
    "domain.devices.networkInterfaceMultiqueue": (False,),
    "domain.features.acpi.enabled": (True,),
    "domain.features.apic.enabled": (True,),
    "domain.features.smm.enabled": (True,),
    "domain.machine.type": ("q35", "pc-q35"),
    "schedulerName": ("default-scheduler",),
    "volumes[].hostDisk.type": ("Disk",),
}
# What the machine's pod takes over is followed as far as it is of any pod.
_OF_PODS = frozenset({"affinity", "dnsPolicy", "topologySpreadConstraints"})


def _is_of_pods(path: str) -> bool:
    return path.partition(".")[0].removesuffix("[]") in _OF_PODS


_KNOWN = frozenset(FOLLOWED) | HARMLESS
WITH_EFFECT = (_KNOWN - _OF_PODS) | {path for path in podfields.FOLLOWED if _is_of_pods(path)}
_TABLE = fieldtable.Table(
    WITH_EFFECT,
    {**USUAL, **{path: usual for path, usual in podfields.USUAL.items() if _is_of_pods(path)}},
)
CRD = Path(__file__).resolve().parents[1] / "crds" / "kubevirt-virtualmachines.yaml"


_OF_MACHINES = {
    "": "How the machine is run, and the instance that it is",
    "runStrategy": "Always, Halted, Manual, RerunOnFailure or Once",
    "running": "true is Always, false is Halted; excludes runStrategy",
    "template": "The instance that is started",
    "template.metadata": "Labels and annotations of the instance",
    "template.spec": "The instance's own spec",
}
MACHINE_WAY = "template.spec."


def description(path: str) -> str:
    """What the lab does with a field of a VirtualMachine's spec, for `kubectl explain`."""
    if path in _OF_MACHINES:
        return _OF_MACHINES[path]
    inner = path.removeprefix(MACHINE_WAY)
    if inner != path:
        known = [inner[:place] for place in _ends(inner) if inner[:place] in _KNOWN]
        if known:
            return FOLLOWED.get(known[0], "Makes no difference in the lab")
        if inner in USUAL:
            values = " or ".join(json.dumps(each) for each in USUAL[inner])
            return f"The lab does as {values} asks; an Event names any other value"
        if _TABLE.leads_on(inner):
            return "Some of its fields are followed"
    return "Not followed by the lab; an Event says so"


def _ends(path: str) -> list[int]:
    """Where the paths of a field and of all that it is in end, the longest last."""
    return [place for place, letter in enumerate(path) if letter in ".["] + [len(path)]


def unfollowed_of_machine(spec: Mapping[str, Any]) -> list[str]:
    """Fields of a VirtualMachine's own spec, beside its template, that have no effect."""
    return [key for key, value in spec.items() if key not in _OF_MACHINES and value]


def unfollowed(spec: Mapping[str, Any]) -> Iterator[str]:
    """Paths of an instance's fields that have a value here and no effect, elements by name.

    A misspelt path is followed by the likely one.
    """
    slips = dict(unknown({"spec": spec}, "VirtualMachineInstance"))
    for path in _TABLE.without_effect(spec):
        near = slips.get(f"spec.{path}")
        yield f"{path} (did you mean {near}?)" if near else path


def unknown(obj: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    """Fields that KubeVirt's kind does not have, each with the name that may be meant, or ""."""
    schema = _schema()
    if kind == "VirtualMachineInstance":
        schema = schema["properties"]["template"]["properties"]["spec"]
    yield from _unknown(obj.get("spec"), schema, "spec")


def _unknown(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _unknown(item, schema["items"], f"{path}{fieldtable.element(index, item)}")
    if not isinstance(value, Mapping):
        return
    known = schema.get("properties")
    others = schema.get("additionalProperties")
    for key, inner in value.items():
        if known and key in known:
            yield from _unknown(inner, known[key], f"{path}.{key}")
        elif isinstance(others, Mapping):
            yield from _unknown(inner, others, f"{path}.{key}")
        elif known:
            near = difflib.get_close_matches(str(key), known, 1, 0.75)
            yield f"{path}.{key}", near[0] if near else ""


@cache
def _schema() -> Mapping[str, Any]:
    """Of a VirtualMachine's spec, as the lab serves it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    versions = yaml.load(CRD.read_text(), Loader=loader)["spec"]["versions"]
    found: Mapping[str, Any] = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found
