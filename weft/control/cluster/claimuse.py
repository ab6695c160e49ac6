"""Says what an IPAMClaim is among the owners of allocations, and which attachments use it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from weft import model
from weft.alloc.ledger import AllocationOwner


@dataclass(slots=True)
class ClaimUse:
    """Whether an IPAMClaim exists, and which attachments use it."""

    network: str
    is_there: bool = False
    users: set[tuple[str, str]] = field(default_factory=set)  # pod uid, attachment key


def claim_owner(claim: model.IpamClaim) -> AllocationOwner:
    """Returns the owner of what a claim keeps."""
    return AllocationOwner(claim=claim.key)


def claim_mac(claim: model.IpamClaim) -> str:
    """Returns the MAC that a claim asks for, "" if none."""
    return claim.reservation.mac if claim.reservation is not None else ""


def reserving(claim: model.IpamClaim, reservation: model.Reservation) -> model.Attachment:
    """Returns the attachment that is to come, with what the claim asks for."""
    return model.Attachment(
        nad=None,
        key=claim.interface,
        interface=claim.interface,
        mac=reservation.mac,
        addresses=reservation.addresses,
        identity=str(claim_owner(claim)),
    )


def claim_label(claim: model.IpamClaim) -> str:
    """Returns the claim's name in messages."""
    return f"IPAMClaim {claim.key}"
