"""Counts allocations by the day on which their holders were created. Pure.

The holder of an address that an IPAMClaim keeps is the claim: the next pod of a virtual machine is
not a new one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

from weft.alloc import forecast
from weft.api.pod import Pod
from weft.control.cluster.objects import IpamClaim
from weft.model import ObjectKey

K = TypeVar("K", ObjectKey, str)

_DAY = len("YYYY-MM-DD")


class AllocationDays:
    """Allocations of pods by NAD, and those that IPAMClaims keep by network."""

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, Counter[str]] = {}  # by NAD: by day
        self._claims: dict[str, Counter[str]] = {}  # by network: by day
        self._known: dict[ObjectKey, tuple[str, str]] = {}  # claim: network, day

    def set_pod(self, old: Pod | None, new: Pod | None) -> None:
        """Counts a pod that is new, changed, or gone (None)."""
        if old is None and not (new is not None and new.allocated):
            return  # most new pods
        before, after = _of_pod(old), _of_pod(new)
        if before != after:
            for (nad, day), number in before.items():
                _add(self._pods, nad, day, -number)
            for (nad, day), number in after.items():
                _add(self._pods, nad, day, number)

    def set_claim(self, key: ObjectKey, new: IpamClaim | None) -> frozenset[str]:
        """Counts a claim that is new, changed, or gone (None); returns the networks of which
        another number is kept now."""
        before, after = self._known.pop(key, None), _of_claim(new)
        if after is not None:
            self._known[key] = after
        if before == after:
            return frozenset()
        if before is not None:
            _add(self._claims, *before, -1)
        if after is not None:
            _add(self._claims, *after, 1)
        return frozenset(each[0] for each in (before, after) if each is not None)

    def of(self, network: str, nads: Iterable[ObjectKey]) -> Mapping[str, int]:
        """Returns the latest days (`forecast.latest`) of a network's allocations."""
        found = Counter(self._claims.get(network))
        for nad in nads:
            found.update(self._pods.get(nad, {}))
        return forecast.latest(found)


def _of_pod(pod: Pod | None) -> Mapping[tuple[ObjectKey, str], int]:
    """Returns the pod's own allocations, by NAD and day."""
    if pod is None or not (pod.node and pod.allocated) or pod.is_completed:
        return {}
    own, day = Counter(pod.allocated), pod.created[:_DAY]
    for each in pod.request.attachments:
        if each.ipam_claim and each.nad is not None and each.nad in own:
            own[each.nad] -= 1
    return {(nad, day): number for nad, number in own.items() if number > 0}


def _of_claim(claim: IpamClaim | None) -> tuple[str, str] | None:
    if claim is None or claim.claim is None or not claim.claim.addresses:
        return None
    return claim.claim.network, claim.created[:_DAY]


def _add(counts: dict[K, Counter[str]], key: K, day: str, number: int) -> None:
    of_key = counts.setdefault(key, Counter())
    of_key[day] += number
    if not of_key[day]:
        del of_key[day]
    if not of_key:
        del counts[key]
