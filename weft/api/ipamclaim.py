"""Parses IPAMClaims, which keep the addresses of a VM's interface between pods, and renders status.

The cluster manager decides who may use a claim and when its addresses are freed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from weft import errors, model, names
from weft.api import fields, notation, objects, selection

KIND = "IPAMClaim"
ALLOCATED = "IPsAllocated"
# The message of a claim on a network without subnets.
KEPT_MAC = "MAC {} is kept"
SUCCESS = "SuccessfulAllocation"
FAILED = "InternalError"


def parse(claim: object) -> model.IpamClaim:
    """The claim, with the addresses in its status; `reservation` reads what it asks for."""
    found: list[errors.InvalidInput] = []
    raw = claim if isinstance(claim, Mapping) else {}
    reader = fields.Fields(objects.subject(KIND, claim), "", raw, found)
    spec, status = reader.nested("spec"), reader.nested("status")
    network = spec.text("network") if spec else ""
    if not network and not found:
        (spec or reader).refuse("network" if spec else "spec.network", None, "is missing or empty")
    elif spec and not spec.has("interface"):
        spec.refuse("interface", None, "is missing")
    addresses = tuple(status.each(status.strings("ips"), notation.interface)) if status else ()
    owner = status.nested("ownerPod") if status else None
    pod = owner.text("name") if owner else ""
    if found:
        raise found[0]
    return model.IpamClaim(
        key=objects.key(claim),
        network=network,
        # KubeVirt's IPAM controller leaves it empty.
        interface=spec.text("interface") if spec else "",
        addresses=addresses,
        owner_pod=pod,
    )


def reservation(claim: object) -> model.Reservation | None:
    """What the claim asks for before a pod uses it; None if it does not. Raises InvalidInput."""
    text = objects.annotation(KIND, claim, names.IP_RESERVATION).strip()
    if not text:
        return None
    subject, found = objects.subject(KIND, claim), list[errors.InvalidInput]()
    raw = fields.as_object(
        subject, names.IP_RESERVATION, fields.decode(subject, names.IP_RESERVATION, text)
    )
    reader = fields.Fields(subject, names.IP_RESERVATION, raw, found)
    reader.only("ips", "mac")
    addresses, mac = selection.requested_addresses(reader), selection.requested_mac(reader)
    if found:
        raise found[0]
    return model.Reservation(addresses, mac)


def reason_of(error: errors.WeftError) -> str:
    """The reason of the claim's condition for an error."""
    match error:
        case errors.Exhausted():
            return "SubnetExhausted"
        case errors.Conflict(field="mac"):
            return "MACAddressConflict"
        case errors.Conflict(field="ips" | "address" | "addresses"):
            return "IPAddressConflict"
    return FAILED


def condition(claim: object) -> tuple[str, str, str]:
    """Status, reason and message of the claim's condition; empty if it has none."""
    status = claim.get("status") if isinstance(claim, Mapping) else None
    listed = status.get("conditions") if isinstance(status, Mapping) else None
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, Mapping) and each.get("type") == ALLOCATED:
            values = (str(each.get(key) or "") for key in ("status", "reason", "message"))
            return tuple(values)  # type: ignore[return-value]
    return "", "", ""


def generations(claim: object) -> tuple[int, int]:
    """The generation of the claim, and that of which its condition speaks; 0 where unknown."""
    raw = claim if isinstance(claim, Mapping) else {}
    status, meta = raw.get("status"), raw.get("metadata")
    listed = status.get("conditions") if isinstance(status, Mapping) else None
    own = [
        each.get("observedGeneration")
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping) and each.get("type") == ALLOCATED
    ]
    found = (meta.get("generation") if isinstance(meta, Mapping) else 0, own[0] if own else 0)
    return tuple(each if isinstance(each, int) else 0 for each in found)  # type: ignore[return-value]


def kept_mac(message: str) -> str:
    """The MAC that the message of a claim's condition says it keeps, "" if none."""
    found = re.match(
        r"(?:addresses are kept, with )?MAC ((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\b", message
    )
    return found[1] if found else ""


def render_status(
    claim: model.IpamClaim, *, reason: str, message: str, now: str, generation: int = 0
) -> dict[str, object]:
    """The status object; `reason` is SUCCESS, or why the claim has no usable addresses.

    `now` is the time of the condition's transition, in RFC 3339; `generation` that of the spec.
    """
    condition: dict[str, object] = {
        "type": ALLOCATED,
        "status": "True" if reason == SUCCESS else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    }
    if generation:
        condition["observedGeneration"] = generation
    status: dict[str, object] = {"ips": [str(address) for address in claim.addresses]}
    if claim.owner_pod:
        status["ownerPod"] = {"name": claim.owner_pod}
    return {**status, "conditions": [condition]}
