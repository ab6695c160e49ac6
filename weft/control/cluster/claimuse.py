"""Says what an IPAMClaim is among the owners of allocations, and what its pods get. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from weft import errors, model, names
from weft.alloc.ledger import AllocationOwner, Ledger


@dataclass(slots=True)
class ClaimUse:
    """Which attachments use an IPAMClaim, and whether it exists; or, without one, which two pods of
    a machine share an allocation."""

    network: str
    is_there: bool = False
    users: set[tuple[str, str]] = field(default_factory=set)  # pod uid, attachment key

    def check_network(self, network: str, claim: model.IpamClaim) -> None:
        """Raises Conflict while pods use the claim on another network: it has addresses of one."""
        if self.network != network:
            raise errors.Conflict(
                f"is that of its addresses no more: pods use them on network {self.network} still",
                where=f"{claim_label(claim)}: spec.network {network}",
                hint="delete those pods, or make another claim",
                field="network",
            )

    def check_interface(self, uid: str, key: str, label: str) -> None:
        """Raises InvalidInput if another interface of a pod uses the claim that is called so."""
        if any(pod == uid and other != key for pod, other in self.users):
            rule = "is used by another interface of the same pod already"
            hint = "make a claim for each interface"
            raise errors.InvalidInput(label, "name", None, rule, hint=hint)


def claim_owner(claim: model.IpamClaim) -> AllocationOwner:
    """Returns the owner of what a claim keeps."""
    return AllocationOwner(claim=claim.key)


def claim_mac(claim: model.IpamClaim) -> str:
    """Returns the MAC that a claim asks for, "" if none."""
    return claim.reservation.mac if claim.reservation is not None else ""


def check_mac(
    claim: model.IpamClaim, spec: model.NetworkSpec, addresses: tuple[model.Interface, ...]
) -> None:
    """Raises InvalidInput if a claim asks for the MAC that is made of another's address."""
    mac = claim_mac(claim)
    made_of = IPv4Address(bytes.fromhex(mac.replace(":", ""))[2:]) if mac else None
    if made_of is None or mac != names.address_mac(made_of):
        return
    others = any(made_of in subnet for subnet in spec.subnets if subnet.version == 4)
    if others and made_of not in [each.ip for each in addresses]:
        rule = f"is made of address {made_of} of network {spec.name}, whose holder has it"
        hint = "choose another one, such as 02:…"
        raise errors.InvalidInput(claim_label(claim), "mac", mac, rule, hint=hint)


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


def allocate_claimed(
    book: Ledger, attachment: model.Attachment, claim: model.IpamClaim, *, in_use: bool
) -> model.Allocation:
    """Returns what a pod gets by a claim: what that keeps, checked by the network's rules.

    Raises as `Ledger.allocate`; then the claim holds what it held.
    """
    owner, label = claim_owner(claim), claim_label(claim)
    known = book.get(owner)
    # Without a port key, no rule was applied to it yet.
    is_checked = known is not None and known.tunnel_id
    if known is not None and is_checked and (in_use or attachment.mac in ("", known.mac)):
        return known
    if known is not None:
        book.release(owner)  # only its addresses were kept, or the VM has another MAC now
    kept = known.addresses if known is not None else claim.addresses
    addresses = kept or attachment.addresses
    mac = attachment.mac or (known.mac if known is not None else claim_mac(claim))
    try:
        requested = replace(attachment, addresses=addresses, mac=mac)
        if not addresses and not book.network.spec.subnets:  # it goes with the claim
            requested = replace(requested, identity=str(owner))
        chosen = book.allocate(owner, requested, label=label)
        if known is None and not attachment.mac:
            check_mac(claim, book.network.spec, chosen.addresses)
    except errors.WeftError:
        book.release(owner)
        if known is not None:
            book.reserve(owner, known, label=label)
        raise
    return chosen


def claim_label(claim: model.IpamClaim) -> str:
    """Returns the claim's name in messages."""
    return f"IPAMClaim {claim.key}"
