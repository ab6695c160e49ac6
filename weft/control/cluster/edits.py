"""Decides which edits of a network in use take effect and which wait, and words their Events.

Pure. An edit that what runs can follow counts at once. One that would leave pods with addresses,
an MTU or a server that new ones do not have waits as a whole until the last of them is gone; the
network goes on as it was, for new pods too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from weft import model
from weft.api import nad as reading
from weft.control.cluster.nads import Nad

MAX_NAMED = 10  # pods that one Event names

# What a pod was given for its life, by the keys of `reading.difference`.
_FIXED = (
    "name",
    "topology",
    "role",
    "mtu",
    "subnets",
    "vlanID",
    "physicalNetworkName",
)


def held_back(accepted: model.NetworkSpec, said: model.NetworkSpec) -> tuple[str, ...]:
    """The keys of an edit that running pods cannot follow.

    Options of DHCP reach a guest when it renews, ranges and permissions count for whom comes; but
    nobody loses a server, or a claim, that it has.
    """
    differing = reading.differences(accepted, said)
    taken = {
        "dhcp.enabled": accepted.dhcp.enabled and not said.dhcp.enabled,
        "allowPersistentIPs": accepted.allow_persistent_ips and not said.allow_persistent_ips,
    }
    return tuple(key for key in differing if key in _FIXED or taken.get(key))


def standing(nad: Nad, *, used: bool) -> model.NetworkSpec | None:
    """What a NAD stands for: what it says, or what was accepted while pods hold to that.

    `used`: whether pods use the network that was accepted.
    """
    accepted, said = nad.accepted, nad.spec
    if accepted is None or not used:
        return said
    return accepted if said is None or held_back(accepted, said) else said


def waits(nad: Nad, keys: Sequence[str], pods: Iterable[str], count: int) -> str:
    """The message of an edit that waits: which fields, and for which pods."""
    accepted, said = nad.accepted, nad.spec
    assert accepted is not None
    assert said is not None
    changes = ", ".join(
        f"{key} {reading.value_of(said, key)} (pods run with {reading.value_of(accepted, key)})"
        for key in keys
    )
    return (
        f"NetworkAttachmentDefinition {nad.key}: an edit waits until no pod uses network "
        f"{accepted.name}, which goes on as it was: {changes}; it is used by {named(pods, count)} "
        "(delete and recreate all these pods at the same time, or undo the edit)"
    )


def in_use(nad: Nad, pods: Iterable[str], count: int) -> str:
    """The message of a deleted nad that pods still use."""
    return (
        f"NetworkAttachmentDefinition {nad.key}: is being deleted, and stays until the pods "
        f"that use it are gone: {named(pods, count)}"
    )


def excluded(nad: Nad, pods: Iterable[str], count: int) -> str:
    """The message that names pods with an address that an edit excluded."""
    return (
        f"NetworkAttachmentDefinition {nad.key}: excludeSubnets holds addresses of running "
        f"pods, which keep them: {named(pods, count)} (recreate these pods to free them)"
    )


def named(pods: Iterable[str], count: int) -> str:
    some = list(islice(pods, MAX_NAMED))
    more = count - len(some)
    return ", ".join(some) + (f" and {more} more" if more > 0 else "")
