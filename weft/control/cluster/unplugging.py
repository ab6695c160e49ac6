"""Decides when the allocation of a NIC that a running pod names no more may be taken away.

A NIC that `network-status` has named is unplugged once it does not any more. One that it has never
named may be on its way: somebody called the plugin for it, which takes a moment, and writes
`network-status` after that. Who took its allocation away meanwhile, and gave another one to the
next edit that names the interface, would leave the pod with the addresses of the first one for
good: the names of interfaces are as asked, so nobody plugs again. So such an allocation stays for
GRACE after it is named last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Set
from typing import NamedTuple

from weft import model
from weft.api import podnetworks
from weft.api.pod import Pod

Clock = Callable[[], float]  # seconds
GRACE = 60.0  # seconds: a call of the plugin ends within half of that


class Unplugged(NamedTuple):
    """Keys of attachments whose allocations go now, and in how many seconds others may (or 0)."""

    now: frozenset[str]
    later: float


NOT_UNPLUGGED = Unplugged(frozenset(), 0.0)


class Unplugging:
    """NICs that were plugged into running pods, by pod uid and attachment key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: dict[str, set[str]] = {}  # which network-status has named
        self._given_up: dict[str, dict[str, float]] = {}  # others, since when

    def judge(
        self, pod: Pod, held: Mapping[str, model.Allocation], departed: Set[str]
    ) -> Unplugged:
        """Hears of a pod, with what it holds and which keys of that `departed` by its word; returns
        which of these may go. What a pod had from its start has been made."""
        there = {(podnetworks.nad_of(key), name) for key, name in pod.interfaces}
        plugged = {key: (podnetworks.nad_of(key), held[key].interface) for key in held}
        plugged = {key: place for key, place in plugged.items() if place[1]}
        made = self._made.pop(pod.uid, set())
        # One that is named still, and not there any more, is made again.
        made = {key for key, place in plugged.items() if place in there or key in made & departed}
        if made:
            self._made[pod.uid] = made
        waiting = (departed & plugged.keys()) - made
        before, now = self._given_up.pop(pod.uid, {}), self._clock()
        since = {key: before.get(key, now) for key in waiting}
        if since:
            self._given_up[pod.uid] = since
        over = {key for key, at in since.items() if now >= at + GRACE}
        later = min((at + GRACE - now for key, at in since.items() if key not in over), default=0.0)
        return Unplugged(frozenset(departed) - (waiting - over), later)

    def taken(self, uid: str, keys: Collection[str]) -> None:
        """Hear that allocations of a pod were taken away."""
        self._made.get(uid, set()).difference_update(keys)
        for key in keys:
            self._given_up.get(uid, {}).pop(key, None)

    def forget(self, uid: str) -> None:
        self._made.pop(uid, None)
        self._given_up.pop(uid, None)
