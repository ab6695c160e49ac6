"""Decides which edits of a network in use take effect and which wait, and words their Events.

Pure. An edit that running pods can follow counts at once. An edit that would leave them with
addresses, an MTU or a DHCP server that new pods do not have waits as a whole until the last of them
is gone; until then the network stays as it was, for new pods too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from weft import model
from weft.api import nad as reading
from weft.control.cluster.nads import Nad

MAX_NAMED = 10  # pods that one Event names

# What a pod keeps for its life, by the keys of `reading.difference`.
_FIXED = (
    "name",
    "topology",
    "role",
    "mtu",
    "subnets",
    "vlanID",
    "physicalNetworkName",
)


def held_back(accepted: model.NetworkSpec, declared: model.NetworkSpec) -> tuple[str, ...]:
    """Returns the keys of an edit that running pods cannot follow.

    DHCP options reach a guest when it renews its lease; ranges and access count for new pods. But
    no pod loses its DHCP server or its claim.
    """
    differing = reading.differences(accepted, declared)
    # Some pod may have the address of weft's own DNS server already.
    is_served_anew = bool(set(declared.dns_servers) - set(accepted.dns_servers))
    taken = {
        "dnsRecords": is_served_anew or (declared.dns_records and not accepted.dns_records),
        "dhcp.dns": is_served_anew,
        "dhcp.enabled": accepted.dhcp.enabled and not declared.dhcp.enabled,
        "allowPersistentIPs": accepted.allow_persistent_ips and not declared.allow_persistent_ips,
        "persistentIPs": bool(accepted.persistent_ips) and not declared.persistent_ips,
    }
    return tuple(key for key in differing if key in _FIXED or taken.get(key))


def standing(nad: Nad, *, used: bool) -> model.NetworkSpec | None:
    """Returns the network that a NAD stands for: its own spec, or the accepted one.

    The accepted one stands while pods use it (`used`) and cannot follow the edit.
    """
    accepted, declared = nad.accepted, nad.spec
    if accepted is None or not used:
        return declared
    return accepted if declared is None or held_back(accepted, declared) else declared


def waits(nad: Nad, keys: Sequence[str], pods: Iterable[str], count: int) -> str:
    """Returns the message of an edit that waits: which fields, and for which pods."""
    accepted, declared = nad.accepted, nad.spec
    assert accepted is not None
    assert declared is not None
    changes = ", ".join(
        f"{key} {reading.value_of(declared, key)} (pods run with {reading.value_of(accepted, key)})"
        for key in keys
    )
    return (
        f"NetworkAttachmentDefinition {nad.key}: an edit waits until no pod uses network "
        f"{accepted.name}, which goes on as it was: {changes}; it is used by {named(pods, count)} "
        "(delete and recreate all these pods at the same time, or undo the edit)"
    )


def in_use(nad: Nad, pods: Iterable[str], count: int) -> str:
    """Returns the message of a NAD that is being deleted while pods use it."""
    return (
        f"NetworkAttachmentDefinition {nad.key}: is being deleted, and stays until the pods "
        f"that use it are gone: {named(pods, count)}"
    )


def excluded(nad: Nad, pods: Iterable[str], count: int) -> str:
    """Returns the message that names pods with an address that an edit excluded."""
    return (
        f"NetworkAttachmentDefinition {nad.key}: excludeSubnets holds addresses of running "
        f"pods, which keep them: {named(pods, count)} (recreate these pods to free them)"
    )


def named(pods: Iterable[str], count: int) -> str:
    """Lists some labels of pods, and how many more of `count` there are."""
    some = list(islice(pods, MAX_NAMED))
    more = count - len(some)
    return ", ".join(some) + (f" and {more} more" if more > 0 else "")
