"""Says what an IPAMClaim is to a virtual machine: how it is made, whose it is, whether it serves.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from weft import errors, model, names
from weft.api import machine, selection
from weft.api.machine import Nic
from weft.control.cluster.machines import GROUP, Machine
from weft.control.cluster.objects import IpamClaim
from weft.control.cluster.outcome import Patch
from weft.kube import resources
from weft.model import ObjectKey

_LONGEST_NAME, _LONGEST_LABEL = 253, 63
_KINDS = (resources.VMS.kind, resources.VMIS.kind)


def is_protected(claim: IpamClaim) -> bool:
    """Whether a deletion of it waits, and it can be used until then."""
    return names.CLAIM_PROTECTION in claim.finalizers


def is_going(claim: IpamClaim) -> bool:
    return claim.is_deleting and not is_protected(claim)


def owners(claim: IpamClaim | None) -> Iterator[ObjectKey]:
    """Yields the machines that own a claim, or that weft made it for, by name."""
    if claim is not None and claim.made_for:  # whose owners may have been taken off
        yield ObjectKey(claim.subject.key.namespace, claim.made_for)
    for each in claim.owners if claim is not None else ():
        if each.group == GROUP and each.kind in _KINDS:
            assert claim is not None
            yield ObjectKey(claim.subject.key.namespace, each.name)


def life(claim: IpamClaim | None) -> object:
    """What a claim is to the pods of its machine."""
    return claim and (claim.uid, claim.owners, claim.is_deleting, claim.claim)


def problem(owner: Machine, nic: Nic, nics: Iterable[Nic]) -> errors.InvalidInput | None:
    """Returns why a NIC can have no claim of its own."""
    name, rule, hint = machine.claim_name(owner.key.name, nic), "", ""
    if len(name) > _LONGEST_NAME:
        rule = f"has {len(name)} characters; at most {_LONGEST_NAME} are allowed"
    elif not machine.OBJECT_NAME.fullmatch(name):
        rule = "is no name of an object: small letters, digits, '-' and '.'"
    elif sum(machine.claim_name(owner.key.name, each) == name for each in nics) > 1:
        rule = "would be that of two networks, whose names differ in capitals alone"
    else:
        return None
    hint = "rename the network in the machine's spec.networks"
    field = f"IPAMClaim of network {nic.name[:_LONGEST_LABEL]}"
    return errors.InvalidInput(owner.label, field, name, rule, hint=hint)


def foreign(owner: Machine, claim: IpamClaim) -> errors.Conflict | None:
    """Returns why a claim is not this machine's."""
    if claim.owners == (owner.owner,):
        return None
    others = [f"{kind} {name} ({uid})" for _, kind, name, uid in claim.owners]
    whose = f"is owned by {', '.join(others)}" if others else "has no owner"
    return errors.Conflict(
        f"{whose}, not by {owner.label} ({owner.uid}) alone: weft does not take it over",
        where=f"IPAMClaim {claim.subject.key}",
        hint="delete the claim, which frees its addresses, or rename the machine's network",
        field="owner",
    )


def of_another(name: str, claim: IpamClaim) -> errors.Conflict | None:
    """Returns why a machine of a name may not use a claim that it names: another one owns it."""
    others = [each for each in owners(claim) if each.name != name]
    if not others:
        return None
    key = claim.subject.key
    return errors.Conflict(
        f"is that of virtual machine {others[0]}, not of {name}",
        where=f"IPAMClaim {key}",
        hint=f"to pass it on, annotate it {names.CLAIM_TRANSFER}={name}, and stop that machine",
        field="owner",
    )


def transferred(owner: Machine, claim: IpamClaim) -> Patch:
    """Returns the patch that makes a machine the owner of a claim."""
    notes: dict[str, str | None] = {names.CLAIM_TRANSFER: None}
    if claim.made_for:
        notes[names.CLAIM_MADE_FOR] = owner.key.name
    return Patch(
        claim.subject,
        annotations=notes,
        labels={names.CLAIM_VM: _label(owner)},
        owners=(_reference(owner),),
        version=claim.version,
    )


def suits(claim: IpamClaim, nic: Nic, network: model.Network) -> bool:
    """Whether a claim is of the NIC's network, and keeps the addresses that the NIC asks for."""
    held = claim.claim
    if held is None or held.network != network.name:
        return held is None  # its error is told where it is used
    requested = {*map(selection.without_prefix, nic.addresses)}
    if held.addresses:
        return requested <= {each.ip for each in held.addresses}
    asked = held.reservation.addresses if held.reservation is not None else ()
    return not asked or requested == {*map(selection.without_prefix, asked)}


def manifest(
    owner: Machine, claim: ObjectKey, nic: Nic, network: model.Network
) -> dict[str, object]:
    asked = {"ips": [str(each) for each in nic.addresses], "mac": nic.mac}
    asked = {name: value for name, value in asked.items() if value}
    # With a MAC alone it would take an address for a machine that may never run.
    notes = {names.IP_RESERVATION: orjson.dumps(asked).decode()} if nic.addresses else {}
    return {
        "metadata": {
            **claim._asdict(),
            "annotations": {names.CLAIM_MADE_FOR: owner.key.name, **notes},
            "labels": {names.CLAIM_VM: _label(owner)},
            "finalizers": [names.CLAIM_PROTECTION],
            "ownerReferences": [_reference(owner)],
        },
        "spec": {"network": network.name, "interface": machine.pod_interfaces(nic)[0]},
    }


def _label(owner: Machine) -> str:
    return owner.key.name[:_LONGEST_LABEL].rstrip("-.")


def _reference(owner: Machine) -> dict[str, object]:
    _, kind, name, uid = owner.owner
    about = {"apiVersion": owner.subject.resource.api_version, "kind": kind}
    return {**about, "name": name, "uid": uid, "controller": True}
