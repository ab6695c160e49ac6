"""Describes virtual machines and their NICs as consoles show them: what was declared, what weft
allocated and what the guest reports, side by side. Pure.

Input are VirtualMachines, VirtualMachineInstances and the pods that run them; guests and tenants
write parts of all three.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from weft import errors, model, names
from weft.api import machine, podnetworks, selection
from weft.api.fields import Fields
from weft.api.objects import key as key_of
from weft.model import ObjectKey
from weft.observe import guestaddresses
from weft.observe.chassis import natural_key
from weft.observe.members import Object

MOST_NICS = 2 * machine.MAX_NETWORKS  # of one machine; more are not shown
_DONE = ("Succeeded", "Failed")
_BINDINGS = ("bridge", "masquerade", "sriov", "slirp", "passt", "macvtap")
_POD_NETWORK = "Pod networking"
_DEFAULT_MODEL = "virtio"
_CONDITION = ("status", "reason", "message", "lastTransitionTime")


@dataclass(frozen=True, slots=True)
class Nic:
    """`network` is the NAD as "namespace/name", or "Pod networking"; `interface` is the guest's own
    name for the NIC. `state` is Up, Down or Absent as declared, and Pending while the running guest
    does not have it. `allocated` and `reported` are addresses, the first with prefix length."""

    name: str
    model: str
    network: str
    binding: str
    state: str
    mac: str = ""
    allocated: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()
    interface: str = ""

    @property
    def differs(self) -> bool:
        """Whether the guest has addresses of a family, and none of those that it was given.
        Link-local ones are every guest's own."""
        given = {each.partition("/")[0] for each in self.allocated}
        found = {each for each in self.reported if not _is_link_local(each)}
        return any(_differ(_family(given, v6), _family(found, v6)) for v6 in (False, True))


def _family(addresses: Iterable[str], v6: bool) -> set[str]:
    return {each for each in addresses if (":" in each) == v6}


def _differ(given: set[str], found: set[str]) -> bool:
    return bool(given and found) and given.isdisjoint(found)


@dataclass(frozen=True, slots=True)
class Condition:
    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """`status` is what `kubectl get vm` prints, or an instance's phase; `node` is "" while none
    runs it. `since`: when it was created (RFC 3339). `actions`: start, stop, restart, migrate, as
    far as its state admits them; none without a VirtualMachine, which KubeVirt looks up."""

    key: ObjectKey
    status: str
    ready: bool = False
    node: str = ""
    since: str = ""
    nics: tuple[Nic, ...] = ()
    conditions: tuple[Condition, ...] = ()
    actions: tuple[str, ...] = ()
    has_screen: bool = False
    has_serial: bool = False
    pod: str = ""


def listed(
    vms: Iterable[Object], instances: Iterable[Object], pods: Iterable[Object]
) -> tuple[Machine, ...]:
    """All machines, sorted by namespace and name."""
    running = {key_of(each): each for each in instances}
    launchers = dict(_launchers(pods))
    found = []
    for vm in vms:
        key = key_of(vm)
        found.append(_machine(key, vm, running.pop(key, None), launchers.get(key, ())))
    found += [_machine(key, None, vmi, launchers.get(key, ())) for key, vmi in running.items()]
    return tuple(sorted(found, key=_order))


def _order(each: Machine) -> tuple[Any, ...]:
    return natural_key(each.key.namespace), natural_key(each.key.name)


def _launchers(pods: Iterable[Object]) -> Iterator[tuple[ObjectKey, tuple[Object, ...]]]:
    """The running pods of each machine."""
    by_machine: dict[ObjectKey, list[Object]] = {}
    for pod in pods:
        meta = pod["metadata"]
        name = (meta.get("labels") or {}).get(names.VM_NAME)
        if name and (pod.get("status") or {}).get("phase") not in _DONE:
            by_machine.setdefault(ObjectKey(meta["namespace"], name), []).append(pod)
    return ((key, tuple(found)) for key, found in by_machine.items())


def _machine(
    key: ObjectKey, vm: Object | None, vmi: Object | None, pods: Sequence[Object]
) -> Machine:
    whole = vm if vm is not None else vmi or {}
    spec = _spec(vm, vmi)
    status, running = whole.get("status") or {}, (vmi or {}).get("status") or {}
    node = str(running.get("nodeName") or "")
    pod = next((each for each in pods if _node(each) == node), pods[0] if pods else None)
    devices = (spec.get("domain") or {}).get("devices") or {}
    phase = str(running.get("phase") or "")
    conditions = tuple(_conditions([*(status.get("conditions") or ()), *_of(running)]))
    return Machine(
        key,
        status=str(status.get("printableStatus") or phase or "Unknown"),
        ready=any(each.type == "Ready" and each.status == "True" for each in conditions),
        node=node,
        since=str(whole.get("metadata", {}).get("creationTimestamp") or ""),
        nics=tuple(itertools.islice(_nics(key, spec, running, pod), MOST_NICS)),
        conditions=conditions,
        actions=tuple(_actions(vm, phase)),
        has_screen=phase == "Running" and devices.get("autoattachGraphicsDevice") is not False,
        has_serial=phase == "Running" and devices.get("autoattachSerialConsole") is not False,
        pod=str(pod["metadata"]["name"]) if pod is not None else "",
    )


def _spec(vm: Object | None, vmi: Object | None) -> Mapping[str, Any]:
    """What runs, or what would."""
    if vmi is not None:
        return vmi.get("spec") or {}
    return (((vm or {}).get("spec") or {}).get("template") or {}).get("spec") or {}


def _of(running: Mapping[str, Any]) -> Iterable[Any]:
    return running.get("conditions") or ()


def _node(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")


def _conditions(found: Iterable[Mapping[str, Any]]) -> Iterator[Condition]:
    """Each type once: an instance's is also at its machine."""
    seen = set()
    for each in found:
        kind = str(each.get("type") or "")
        if kind not in seen:
            seen.add(kind)
            texts = (str(each.get(name) or "") for name in _CONDITION)
            yield Condition(kind, *texts)


def _actions(vm: Object | None, phase: str) -> Iterator[str]:
    if vm is None:
        return
    is_there = phase not in ("", *_DONE)
    yield from ("stop", "restart") if is_there else ("start",)
    if phase == "Running":
        yield "migrate"


def _nics(
    key: ObjectKey, spec: Mapping[str, Any], running: Mapping[str, Any], pod: Object | None
) -> Iterator[Nic]:
    """The declared NICs, in order; then those that the guest has besides."""
    networks = {str(each.get("name")): each for each in spec.get("networks") or ()}
    reports = [each for each in running.get("interfaces") or () if isinstance(each, Mapping)]
    by_name = {str(each["name"]): each for each in reports if each.get("name")}
    held = _allocations(key, spec, pod)
    interfaces = ((spec.get("domain") or {}).get("devices") or {}).get("interfaces") or ()
    macs = set()
    for each in interfaces:
        name = str(each.get("name") or "")
        report, allocation = by_name.get(name, {}), held.get(name)
        mac = str(report.get("mac") or (allocation and allocation.mac) or each.get("macAddress"))
        nic = Nic(
            name,
            model=str(each.get("model") or _DEFAULT_MODEL),
            network=_network(key.namespace, networks.get(name, {})),
            binding=_binding(each),
            state=_state(each, report, is_running=bool(running.get("phase") == "Running")),
            mac="" if mac == "None" else mac.lower(),
            allocated=tuple(map(str, allocation.addresses)) if allocation is not None else (),
            reported=tuple(str(one.ip) for one in guestaddresses.of(report)),
            interface=str(report.get("interfaceName") or ""),
        )
        macs.add(nic.mac)
        yield nic
    for report in reports:
        mac = str(report.get("mac") or "").lower()
        if not report.get("name") and mac and mac not in macs:
            reported = tuple(str(one.ip) for one in guestaddresses.of(report))
            guest = str(report.get("interfaceName") or "")
            yield Nic("", "", "", "", "", mac, reported=reported, interface=guest)


def _network(namespace: str, network: Mapping[str, Any]) -> str:
    multus = network.get("multus")
    if not isinstance(multus, Mapping):
        return _POD_NETWORK if "pod" in network else ""
    text = str(multus.get("networkName") or "")
    return text if "/" in text or not text else f"{namespace}/{text}"


def _binding(interface: Mapping[str, Any]) -> str:
    plugin = interface.get("binding")
    if isinstance(plugin, Mapping):
        return str(plugin.get("name") or "")
    return next((each for each in _BINDINGS if each in interface), "")


def _state(interface: Mapping[str, Any], report: Mapping[str, Any], *, is_running: bool) -> str:
    declared = str(interface.get("state") or "up").capitalize()
    if is_running and not report and declared != "Absent":
        return "Pending"
    return declared


def _allocations(
    key: ObjectKey, spec: Mapping[str, Any], pod: Object | None
) -> dict[str, model.Allocation]:
    """What weft allocated to each of the machine's networks, by the network's name."""
    if pod is None:
        return {}
    problems: list[errors.InvalidInput] = []
    requested = machine.nics(
        Fields(f"VirtualMachine {key}", "spec", spec, problems), key.namespace, {}
    )
    try:
        decided = podnetworks.parse(pod)
        keys = {each.interface: each.key for each in selection.parse(pod)}
    except errors.InvalidInput:
        return {}  # weft serves no pod with such annotations
    found = {}
    for nic in requested:
        named = (keys.get(one) for one in machine.pod_interfaces(nic))
        if (attachment := next((one for one in named if one in decided), None)) is not None:
            found[nic.name] = decided[attachment]
    return found


def _is_link_local(address: str) -> bool:
    return ip_address(address).is_link_local
