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


def claim_label(claim: model.IpamClaim) -> str:
    """Returns the claim's name in messages."""
    return f"IPAMClaim {claim.key}"
