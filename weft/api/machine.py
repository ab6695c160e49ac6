"""Parses the NICs of a VirtualMachine or VirtualMachineInstance (KubeVirt) on secondary networks.

    nics           each NIC with its NAD, and the addresses and MAC that it asks for
    pod_interfaces the names that KubeVirt gives the pod's interface of a NIC
    requested      the addresses in the annotation `network.kubevirt.io/addresses`
    named_claims   the IPAMClaims in the annotation `weft/ipam-claims`
    with_requested a pod's attachments with what these annotations ask for

Both kinds are untrusted input. Sources: KubeVirt's `namescheme` and its ipam-extensions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from weft import errors, model, names
from weft.api import fields, notation, selection
from weft.api.fields import Fields
from weft.model import ObjectKey

Requested = Mapping[str, tuple[model.Interface | model.Address, ...]]

MAX_NETWORKS = selection.MAX_ATTACHMENTS
_LONGEST_NAME, _LONGEST_SHOWN = 253, 63
NOTHING: Mapping[str, str] = MappingProxyType({})
# Of any object, as the API server has it; at most 253 characters.
OBJECT_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC on the NAD that one of `spec.networks` names; `name` is that network's.

    `place`: which one of the secondary networks it is, from 1. `claim`: the IPAMClaim that the
    machine names for it, "" for that which it has by default.
    """

    name: str
    nad: ObjectKey
    place: int
    mac: str = ""
    addresses: tuple[model.Interface | model.Address, ...] = ()
    claim: str = ""


def pod_interfaces(nic: Nic) -> tuple[str, str]:
    """The names of the pod's interface: the present scheme's, and that of older instances."""
    return pod_interface(nic.name), f"net{nic.place}"


def pod_interface(network: str) -> str:
    """The name of the pod's interface of a network of the machine."""
    return f"pod{hashlib.sha256(network.encode()).hexdigest()[:11]}"


def claim_name(machine: str, nic: Nic) -> str:
    """The name of the IPAMClaim of a NIC: by default as KubeVirt's IPAM controller names it."""
    return nic.claim or f"{machine}.{nic.name}".lower()


def nics(
    spec: Fields, namespace: str, asked: Requested, claims: Mapping[str, str] = NOTHING
) -> tuple[Nic, ...]:
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
            own = macs.get(name, ""), asked.get(name, ()), claims.get(name, "")
            found[name] = Nic(name, key, place, *own)
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
    asked = {}
    for name, listed in _by_network(subject, names.MACHINE_ADDRESSES, text, found).items():
        path = f"{names.MACHINE_ADDRESSES}.{name}"
        asked[name] = selection.requested_addresses(Fields(subject, path, {"ips": listed}, found))
    return asked


def named_claims(subject: str, text: str, found: list[errors.InvalidInput]) -> Mapping[str, str]:
    """The IPAMClaims that the annotation names, by network; problems are in `found`."""
    claims: dict[str, str] = {}
    for name, claim in _by_network(subject, names.MACHINE_CLAIMS, text, found).items():
        rule = ""
        if not isinstance(claim, str) or not OBJECT_NAME.fullmatch(claim):
            rule = "must be the name of an IPAMClaim of the machine's namespace"
        elif claim in claims.values():
            rule = "is named for another network, too: a claim serves one NIC"
        if rule:
            field = f"{names.MACHINE_CLAIMS}.{name}"
            shown = claim[:_LONGEST_SHOWN] if isinstance(claim, str) else None
            found.append(errors.InvalidInput(subject, field, shown, rule))
        else:
            claims[name] = str(claim)
    return claims


def _by_network(
    subject: str, key: str, text: str, found: list[errors.InvalidInput]
) -> Mapping[str, object]:
    """An annotation that says something of each network."""
    if not text.strip():
        return {}
    try:
        raw = fields.as_object(subject, key, fields.decode(subject, key, text))
    except errors.InvalidInput as error:
        found.append(error)
        return {}
    if len(raw) > MAX_NETWORKS:
        rule = f"names {len(raw)} networks; a machine can have {MAX_NETWORKS}"
        found.append(errors.InvalidInput(subject, key, None, rule))
        return {}
    return raw


def with_requested(
    subject: str, addresses: str, claims: str, attachments: tuple[model.Attachment, ...]
) -> tuple[model.Attachment, ...]:
    """A pod's attachments with what the annotations ask for, where they ask for nothing.

    KubeVirt copies the annotations from the machine to the pod. Raises InvalidInput.
    """
    found: list[errors.InvalidInput] = []
    asked = {
        pod_interface(name): each for name, each in requested(subject, addresses, found).items()
    }
    named = {
        pod_interface(name): each for name, each in named_claims(subject, claims, found).items()
    }
    if found:
        raise found[0]
    return tuple(
        each
        if each.addresses or each.ipam_claim
        else replace(
            each,
            addresses=asked.get(each.interface, ()),
            ipam_claim=named.get(each.interface, ""),
        )
        for each in attachments
    )
