"""Decides which NICs of a running machine come, go or change, by KubeVirt's rules.

Pure. An edit of the VirtualMachine reaches its instance, then the launcher's pod, then the guest. A
NIC to be unplugged (`state: absent`) leaves the guest first, then the pod, then both objects. What
cannot change while the machine runs is named, for the condition RestartRequired.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from weft_lab.vm import machine

DOMAIN, MULTUS = "domain", "multus-status"  # words of a status' infoSource

Object = Mapping[str, Any]
Json = dict[str, Any]


def interfaces_of(spec: Object) -> list[Json]:
    devices = (spec.get("domain") or {}).get("devices") or {}
    return list(devices.get("interfaces") or ())


def networks_of(spec: Object) -> list[Json]:
    return list(spec.get("networks") or ())


def statuses(vmi: Object) -> dict[str, Object]:
    """status.interfaces of an instance by the name in its specification."""
    listed = (vmi.get("status") or {}).get("interfaces") or ()
    return {str(each["name"]): each for each in listed if each.get("name")}


def sources(entry: Object | None) -> set[str]:
    """The words of an interface's infoSource."""
    return set(str((entry or {}).get("infoSource") or "").split(", "))


def with_nics(spec: Object, interfaces: list[Json], networks: list[Json]) -> Json:
    """A specification with other interfaces and networks."""
    made = copy.deepcopy(dict(spec))
    made.setdefault("domain", {}).setdefault("devices", {})["interfaces"] = interfaces
    made["networks"] = networks
    return made


def synced(template: Object, vmi: Object) -> Json:
    """The instance's specification after what the machine's template asks for, live.

    New bridged NICs on secondary networks come, a `state` or a network changes, and what is
    `absent` and gone from the status goes.
    """
    spec, there = vmi["spec"], statuses(vmi)
    interfaces = [dict(each) for each in interfaces_of(spec)]
    networks = [dict(each) for each in networks_of(spec)]
    by_name = {each["name"]: each for each in interfaces}
    declared = {each["name"]: each for each in networks_of(template)}
    for each in interfaces_of(template):
        name, present = each["name"], by_name.get(each["name"])
        if present is None:
            if _is_pluggable(each, declared.get(name)):
                interfaces.append(dict(each))
                networks.append(declared[name])
        elif present.get("state") != "absent" and _may_have(each, declared.get(name)):
            present.pop("state", None)
            if each.get("state"):
                present["state"] = each["state"]
    networks = [
        declared[each["name"]] if _may_become(each, declared, by_name) else each
        for each in networks
    ]
    kept = [each for each in interfaces if each.get("state") != "absent" or each["name"] in there]
    return with_nics(spec, kept, _of(networks, kept))


def _of(networks: Iterable[Json], interfaces: Iterable[Object]) -> list[Json]:
    names = {each["name"] for each in interfaces}
    return [each for each in networks if each["name"] in names]


def _is_secondary(interface: Object, network: Object | None) -> bool:
    return network is not None and "multus" in network and machine.binding(interface) == "bridge"


def _may_become(
    network: Object, declared: Mapping[str, Object], running: Mapping[str, Object]
) -> bool:
    """Whether a running NIC can go to the network that the template names for it."""
    interface = running.get(network["name"])
    if interface is None or interface.get("state") == "absent":
        return False
    other = declared.get(network["name"])
    return _is_secondary(interface, network) and _is_secondary(interface, other)


def _is_pluggable(interface: Object, network: Object | None) -> bool:
    return interface.get("state") != "absent" and _is_secondary(interface, network)


def _may_have(interface: Object, network: Object | None) -> bool:
    """Whether an interface can have this state while the machine runs."""
    return interface.get("state") != "absent" or _is_secondary(interface, network)


def cleared(template: Object, vmi: Object | None) -> Json:
    """The machine's template without NICs that are `absent` and gone from its instance."""
    there = set(statuses(vmi)) if vmi is not None else set()
    if vmi is not None:
        there |= {each["name"] for each in interfaces_of(vmi["spec"])}
    interfaces = [
        each
        for each in interfaces_of(template)
        if each.get("state") != "absent" or each["name"] in there
    ]
    return with_nics(template, interfaces, _of(networks_of(template), interfaces))


def of_pod(vmi: Object) -> Json:
    """The instance as its pod's networks follow it: what the guest still has stays in the pod."""
    there = statuses(vmi)
    interfaces = []
    for each in interfaces_of(vmi["spec"]):
        if each.get("state") == "absent" and DOMAIN in sources(there.get(each["name"])):
            each = {key: value for key, value in each.items() if key != "state"}
        interfaces.append(each)
    return {**vmi, "spec": with_nics(vmi["spec"], interfaces, networks_of(vmi["spec"]))}


def needs_restart(template: Object, vmi: Object) -> list[str]:
    """The fields of a template that its running instance has otherwise, and keeps so."""
    spec = vmi["spec"]
    found = []
    started = with_nics(machine.completed({**vmi, "spec": template}), [], [])
    running_now = with_nics(machine.completed(vmi), [], [])
    if "startStrategy" not in started:  # a request to start it may have had it so
        running_now.pop("startStrategy", None)
    if started != running_now:
        found.append("spec.template.spec")
    running = {each["name"]: each for each in interfaces_of(spec)}
    asked = {each["name"]: each for each in interfaces_of(template)}
    ours = {each["name"]: each for each in networks_of(template)}
    theirs = {each["name"]: each for each in networks_of(spec)}
    found += _interfaces(asked, running, ours)
    for name, network in ours.items():
        is_other = name in theirs and theirs[name] != network
        if is_other and not _may_become(theirs[name], ours, running):
            found.append(f"networks[{name}]")
    return found


def with_macs(chosen: list[Json], current: Iterable[Object], macs: Mapping[str, str]) -> list[Json]:
    """A pod's selection in which a NIC that goes to another network keeps its guest's MAC.

    `current` is the selection that the pod has, `macs` are by the pod's interface.
    """
    known = {each.get("interface"): each for each in current}
    return [_with_mac(each, known.get(each["interface"]), macs) for each in chosen]


def _with_mac(element: Json, before: Object | None, macs: Mapping[str, str]) -> Json:
    if before is None or element.get("mac"):
        return element
    is_same = all(before.get(key) == element[key] for key in ("name", "namespace"))
    mac = before.get("mac") if is_same else macs.get(element["interface"])
    return {**element, "mac": mac} if mac else element


def _interfaces(
    asked: Mapping[str, Json], running: Mapping[str, Json], networks: Mapping[str, Object]
) -> Iterator[str]:
    for name, interface in asked.items():
        present = running.get(name)
        if present is None:
            if interface.get("state") != "absent" and not _is_pluggable(
                interface, networks.get(name)
            ):
                yield f"interfaces[{name}]"
        elif _lasting(interface) != _lasting(present):
            yield f"interfaces[{name}]"
        elif not _may_have(interface, networks.get(name)):
            yield f"interfaces[{name}].state"
    for name, interface in running.items():
        if name not in asked and interface.get("state") != "absent":
            yield f"interfaces[{name}]"


def _lasting(interface: Object) -> Json:
    return {key: value for key, value in interface.items() if key != "state"}
