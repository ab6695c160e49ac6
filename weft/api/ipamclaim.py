"""Which addresses does an IPAMClaim keep for a VM's interface, beyond the life of one pod?

Reads a claim and renders its status; who may use it and when it is freed is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft import errors, model
from weft.api import fields, objects, written

KIND = "IPAMClaim"
ALLOCATED = "IPsAllocated"


def parse(claim: object) -> model.IpamClaim:
    """The claim, with the addresses of its status if it has got them."""
    found: list[errors.InvalidInput] = []
    raw = claim if isinstance(claim, Mapping) else {}
    reader = fields.Fields(objects.subject(KIND, claim), "", raw, found)
    spec, status = reader.nested("spec"), reader.nested("status")
    wanted = {}
    for name in ("network", "interface"):
        wanted[name] = spec.text(name) if spec else ""
        if not wanted[name] and not found:
            (spec or reader).refuse(name if spec else f"spec.{name}", None, "is missing or empty")
    addresses = []
    for place, text in status.strings("ips") if status else ():
        try:
            addresses.append(written.interface(text))
        except ValueError as error:
            assert status is not None
            status.refuse(place, text, str(error))
    owner = status.nested("ownerPod") if status else None
    pod = owner.text("name") if owner else ""
    if found:
        raise found[0]
    namespace, name = objects.key(claim)
    return model.IpamClaim(
        namespace=namespace,
        name=name,
        network=wanted["network"],
        interface=wanted["interface"],
        addresses=tuple(addresses),
        owner_pod=pod,
    )


def render_status(
    claim: model.IpamClaim, *, reason: str, message: str, now: str
) -> dict[str, object]:
    """The status object; `reason` is SuccessfulAllocation or why there are no addresses.

    `now` is the time of the condition's change, RFC 3339.
    """
    condition = {
        "type": ALLOCATED,
        "status": "True" if claim.addresses else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    }
    status: dict[str, object] = {"ips": [str(address) for address in claim.addresses]}
    if claim.owner_pod:
        status["ownerPod"] = {"name": claim.owner_pod}
    return {**status, "conditions": [condition]}
