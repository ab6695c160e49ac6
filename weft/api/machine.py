"""Parses the NICs of a VirtualMachine or VirtualMachineInstance (KubeVirt) on secondary networks.

    nics           each NIC with its NAD, and the addresses and MAC that it asks for
    pod_interfaces the names that KubeVirt gives the pod's interface of a NIC
    requested      the addresses in the annotation `network.kubevirt.io/addresses`
    with_requested a pod's attachments with the addresses that this annotation asks for

Both kinds are untrusted input. Sources: KubeVirt's `namescheme` and its ipam-extensions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from weft import errors, model, names
from weft.api import fields, notation, selection
from weft.api.fields import Fields
from weft.model import ObjectKey

Requested = Mapping[str, tuple[model.Interface | model.Address, ...]]

MAX_NETWORKS = selection.MAX_ATTACHMENTS
_LONGEST_NAME, _LONGEST_SHOWN = 253, 63


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC on the NAD that one of `spec.networks` names; `name` is that network's.

    `place`: which one of the secondary networks it is, from 1.
    """

    name: str
    nad: ObjectKey
    place: int
    mac: str = ""
    addresses: tuple[model.Interface | model.Address, ...] = ()


def pod_interfaces(nic: Nic) -> tuple[str, str]:
    """The names of the pod's interface: the present scheme's, and that of older instances."""
    return pod_interface(nic.name), f"net{nic.place}"


def pod_interface(network: str) -> str:
    """The name of the pod's interface of a network of the machine."""
    return f"pod{hashlib.sha256(network.encode()).hexdigest()[:11]}"


def claim_name(machine: str, nic: Nic) -> str:
    """The name of the IPAMClaim of a NIC, as KubeVirt's IPAM controller names it."""
    return f"{machine}.{nic.name}".lower()


def nics(spec: Fields, namespace: str, asked: Requested) -> tuple[Nic, ...]:
    """The NICs of `spec`, that of an instance or of a template; problems are in `spec`.

    A network of the cluster's default kind is left out.
    """
    count = _length(spec.value("networks"))
    if count > MAX_NETWORKS:
        rule = f"has {count} networks; a machine can have {MAX_NETWORKS}"
        spec.refuse("networks", None, rule, hint="name fewer")
        return ()
    macs = _macs(spec)
    found: dict[str, Nic] = {}
    for _, network in spec.objects("networks"):
        multus = network.nested("multus")
        if multus is None or multus.flag("default"):
            continue
        name, text = network.text("name"), multus.text("networkName")
        where, slash, nad = text.rpartition("/")
        if not name or not nad or (slash and not where) or "/" in where:
            rule = "must have a name, and [namespace/]name of a NetworkAttachmentDefinition"
            network.refuse("multus.networkName", text or None, rule)
        elif max(len(where), len(nad)) > _LONGEST_NAME:
            rule = f"may have at most {_LONGEST_NAME} characters on each side of '/'"
            network.refuse("multus.networkName", f"{text[:_LONGEST_SHOWN]}...", rule)
        elif len(name) > _LONGEST_NAME or name in found:
            network.refuse("name", name, "is too long, or that of another network already")
        else:
            key, place = ObjectKey(where or namespace, nad), len(found) + 1
            found[name] = Nic(name, key, place, macs.get(name, ""), asked.get(name, ()))
    return tuple(found.values())


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _macs(spec: Fields) -> dict[str, str]:
    """The MAC that each interface asks for, by its network's name."""
    domain = spec.nested("domain")
    devices = domain.nested("devices") if domain is not None else None
    if devices is None or _length(devices.value("interfaces")) > 2 * MAX_NETWORKS:
        return {}
    found = {}
    for _, each in devices.objects("interfaces"):
        text = each.text("macAddress")
        for mac in each.each([("macAddress", text)] if text else [], notation.mac):
            found[each.text("name")] = mac
    return found


def requested(subject: str, text: str, found: list[errors.InvalidInput]) -> Requested:
    """The addresses that the annotation asks for, by network; problems are in `found`."""
    if not text.strip():
        return {}
    try:
        raw = fields.as_object(
            subject, names.MACHINE_ADDRESSES, fields.decode(subject, names.MACHINE_ADDRESSES, text)
        )
    except errors.InvalidInput as error:
        found.append(error)
        return {}
    if len(raw) > MAX_NETWORKS:
        rule = f"names {len(raw)} networks; a machine can have {MAX_NETWORKS}"
        found.append(errors.InvalidInput(subject, names.MACHINE_ADDRESSES, None, rule))
        return {}
    asked = {}
    for name, listed in raw.items():
        path = f"{names.MACHINE_ADDRESSES}.{name}"
        asked[name] = selection.requested_addresses(Fields(subject, path, {"ips": listed}, found))
    return asked


def with_requested(
    subject: str, text: str, attachments: tuple[model.Attachment, ...]
) -> tuple[model.Attachment, ...]:
    """A pod's attachments with what the annotation `text` asks for, where they ask for nothing.

    KubeVirt copies the annotation from the machine to the pod. Raises InvalidInput.
    """
    found: list[errors.InvalidInput] = []
    asked = {pod_interface(name): each for name, each in requested(subject, text, found).items()}
    if found:
        raise found[0]
    return tuple(
        each
        if each.addresses or each.ipam_claim
        else replace(each, addresses=asked.get(each.interface, ()))
        for each in attachments
    )
