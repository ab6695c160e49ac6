"""Reads what a VirtualMachineInstance asks of the process that runs it.

Reads the object into a `Machine`: NICs in order, disks, memory. Pure; nothing is looked up on the
node. The object must be valid: validation.py finds mistakes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from weft.decode import quantity

DISK_ANNOTATION = "lab.weft/disk-image"
BUILT_IN_MODEL = "virtio"
PAUSED = "Paused"  # the one value of spec.startStrategy
PRIMARY = "eth0"  # a pod's interface of its own network
INSIDE, INSIDE6 = IPv4Network("10.0.2.0/24"), IPv6Network("fd10:0:2::/120")  # KubeVirt's
MEMORY_FLOOR = 160 << 20  # the built-in guest's kernel and files need that much
MEMORY_DEFAULT = 192 << 20


@dataclass(frozen=True, slots=True)
class Nic:
    """One network card. `network` is "" for the pod's own network, else "<namespace>/<nad>".

    `pod_interface` is the interface in the pod that the guest takes over, or, with the binding
    `masquerade`, the one behind which it has its own networks `inside` and `inside6`. `forwards`
    are the (protocol, port) that others may reach through the pod; none: all.
    `is_down`: the guest sees a card without carrier.
    """

    name: str
    binding: str
    network: str = ""
    pod_interface: str = ""
    position: int = 0
    mac: str = ""
    model: str = "virtio"
    forwards: tuple[tuple[str, int], ...] = ()
    is_down: bool = False
    inside: IPv4Network = INSIDE
    inside6: IPv6Network = INSIDE6

    @property
    def bridge(self) -> str:
        return f"k6t-{self.pod_interface.removeprefix('pod')}"[:15]

    @property
    def tap(self) -> str:
        return f"tap{self.pod_interface.removeprefix('pod').removeprefix('eth')}"[:15]


@dataclass(frozen=True, slots=True)
class Disk:
    """A volume that a disk, CD or LUN of the domain shows. `path` is empty for a stand-in.

    What a guest writes to an `ephemeral` one is discarded with the machine, as of a container disk.
    """

    name: str
    kind: str
    path: str = ""
    read_only: bool = False
    size: int = 0
    ephemeral: bool = False
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine as its manifest wants it. `image` names the container disk, if any."""

    namespace: str
    name: str
    uid: str
    memory: int
    cpus: int
    nics: tuple[Nic, ...]
    disks: tuple[Disk, ...]
    hostname: str
    image: str = ""
    grace_seconds: int = 30
    graphics: bool | None = None
    starts_paused: bool = False

    @property
    def has_screen(self) -> bool:
        """As the manifest says, else that of a disk image: the built-in guest's kernel is started
        in a way in which it draws nothing, unless it has a screen that was asked for."""
        return bool(self.boot_disk) if self.graphics is None else self.graphics

    @property
    def boot_disk(self) -> Disk | None:
        """The first disk with an image on this machine; None: the built-in guest serves."""
        return next((disk for disk in self.disks if disk.path and disk.kind != "empty"), None)


def model(vm: Machine, nic: Nic) -> str:
    """The card that a guest really gets: the built-in one drives a single kind."""
    return nic.model if vm.boot_disk else BUILT_IN_MODEL


def completed(vmi: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec, which says that there is no screen where the manifest leaves that open.

    Clients take silence for one.
    """
    spec: Mapping[str, Any] = vmi["spec"]
    domain = spec.get("domain") or {}
    devices = domain.get("devices") or {}
    if devices.get("autoattachGraphicsDevice") is not None or _boots_image(vmi):
        return spec
    devices = {**devices, "autoattachGraphicsDevice": False}
    return {**spec, "domain": {**domain, "devices": devices}}


def _boots_image(vmi: Mapping[str, Any]) -> bool:
    """As `Machine.boot_disk`, of a spec that need not be valid."""
    if (vmi["metadata"].get("annotations") or {}).get(DISK_ANNOTATION):
        return True
    spec = vmi["spec"]
    devices = (spec.get("domain") or {}).get("devices") or {}
    shown = {disk["name"] for disk in devices.get("disks") or ()}
    return any(
        volume["name"] in shown and bool((volume.get("hostDisk") or {}).get("path"))
        for volume in spec.get("volumes") or ()
    )


def pod_interface(network: str) -> str:
    """The name that KubeVirt gives the pod's interface of a secondary network."""
    return "pod" + hashlib.sha256(network.encode()).hexdigest()[:11]


def read(vmi: Mapping[str, Any]) -> Machine:
    """The machine that a VirtualMachineInstance describes."""
    meta, spec = vmi["metadata"], vmi.get("spec") or {}
    domain = spec.get("domain") or {}
    name, namespace = meta["name"], meta.get("namespace") or "default"
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or ()}
    image = next(
        (volume["containerDisk"].get("image", "") for volume in volumes.values()
         if "containerDisk" in volume),
        "",
    )  # fmt: skip
    grace = spec.get("terminationGracePeriodSeconds")
    return Machine(
        namespace=namespace,
        name=name,
        uid=meta.get("uid", ""),
        memory=max(memory(domain), MEMORY_FLOOR),
        cpus=_cpus(domain),
        nics=tuple(_nics(spec, namespace)),
        disks=tuple(_disks(domain, volumes, meta.get("annotations") or {})),
        hostname=spec.get("hostname") or name.split(".")[0],
        image=image,
        grace_seconds=30 if grace is None else int(grace),
        graphics=(domain.get("devices") or {}).get("autoattachGraphicsDevice"),
        starts_paused=spec.get("startStrategy") == PAUSED,
    )


def memory(domain: Mapping[str, Any]) -> int:
    """Bytes that the guest sees: domain.memory.guest, else the memory request or limit."""
    resources = domain.get("resources") or {}
    requested = (
        (domain.get("memory") or {}).get("guest")
        or (resources.get("requests") or {}).get("memory")
        or (resources.get("limits") or {}).get("memory")
    )
    return quantity.parse(requested) if requested is not None else MEMORY_DEFAULT


def interfaces_and_networks(
    spec: Mapping[str, Any],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The domain's interfaces and their networks; where there are none, what KubeVirt adds.

    An interface of state `absent` is not there, and its network neither.
    """
    devices = (spec.get("domain") or {}).get("devices") or {}
    interfaces = list(devices.get("interfaces") or ())
    found = list(spec.get("networks") or ())
    if not interfaces and not found and devices.get("autoattachPodInterface", True):
        return [{"name": "default", "masquerade": {}}], [{"name": "default", "pod": {}}]
    absent = {each["name"] for each in interfaces if each.get("state") == "absent"}
    present = [each for each in interfaces if each["name"] not in absent]
    return present, [each for each in found if each["name"] not in absent]


def binding(interface: Mapping[str, Any]) -> str:
    """How an interface is joined to its network; "" when it does not say."""
    for known in ("bridge", "masquerade", "slirp", "passt", "sriov", "macvtap"):
        if known in interface:
            return known
    plugin = interface.get("binding") or {}
    return str(plugin.get("name", ""))


def _nics(spec: Mapping[str, Any], namespace: str) -> list[Nic]:
    interfaces, found = interfaces_and_networks(spec)
    by_name = {network["name"]: network for network in found}
    secondary = [network["name"] for network in found if "multus" in network]
    nics = []
    for interface in interfaces:
        name = interface["name"]
        network = by_name.get(name, {})
        nad = (network.get("multus") or {}).get("networkName", "")
        own = network.get("pod") or {}
        nics.append(
            Nic(
                name=name,
                # The pod's own address is the pod's: a bridge on it is served as masquerade.
                binding=binding(interface) if nad else "masquerade",
                network=nad if "/" in nad or not nad else f"{namespace}/{nad}",
                pod_interface=pod_interface(name) if nad else PRIMARY,
                position=secondary.index(name) + 1 if nad else 0,
                mac=str(interface.get("macAddress") or "").lower().replace("-", ":"),
                model=interface.get("model") or "virtio",
                is_down=interface.get("state") == "down",
                forwards=tuple(
                    (str(port.get("protocol") or "TCP").lower(), int(port["port"]))
                    for port in interface.get("ports") or ()
                ),
                **_inside(own),
            )
        )
    return nics


def _inside(own: Mapping[str, Any]) -> dict[str, Any]:
    """The networks of a guest behind its pod, where the manifest chooses them."""
    found: dict[str, Any] = {}
    if own.get("vmNetworkCIDR"):
        found["inside"] = IPv4Network(own["vmNetworkCIDR"], strict=False)
    if own.get("vmIPv6NetworkCIDR"):
        found["inside6"] = IPv6Network(own["vmIPv6NetworkCIDR"], strict=False)
    return found


def _cpus(domain: Mapping[str, Any]) -> int:
    cpu = domain.get("cpu") or {}
    return max(1, *(int(cpu.get(key) or 1) for key in ("cores", "sockets", "threads")))


def _disks(
    domain: Mapping[str, Any],
    volumes: Mapping[str, Mapping[str, Any]],
    annotations: Mapping[str, str],
) -> list[Disk]:
    """Disks in the domain's order; the annotation puts a local image before them."""
    disks = []
    if annotations.get(DISK_ANNOTATION):
        disks.append(Disk(DISK_ANNOTATION, "image", annotations[DISK_ANNOTATION], ephemeral=True))
    for disk in (domain.get("devices") or {}).get("disks") or ():
        volume = volumes.get(disk["name"], {})
        read_only = "cdrom" in disk
        serial = str(disk.get("serial") or "")
        if "hostDisk" in volume:
            path = volume["hostDisk"].get("path", "")
            disks.append(Disk(disk["name"], "image", path, read_only, serial=serial))
        elif "emptyDisk" in volume:
            size = quantity.parse(volume["emptyDisk"].get("capacity", "64Mi"))
            disks.append(Disk(disk["name"], "empty", size=size, serial=serial or disk["name"][:20]))
        elif "containerDisk" in volume:
            disks.append(Disk(disk["name"], "container", read_only=read_only))
    return disks
