"""Decides which Events a NAD gets, and remembers those that it got.

Pure. An Event that names pods is told again when none of those that it named is there any more, so
that whoever waits for them always finds one that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from weft.control.cluster import edits
from weft.control.cluster.nads import Nad
from weft.control.cluster.outcome import Event
from weft.reasons import Reason

Told = tuple[tuple[Reason, str], ...]  # with the message


class NadEvents:
    """By key of the NAD."""

    def __init__(self) -> None:
        self._told: dict[str, Told] = {}
        # By NAD and reason: what was said of it, and the uids of the pods that were named.
        self._named: dict[str, dict[Reason, tuple[object, frozenset[str]]]] = {}

    def forget(self, key: str) -> None:
        self._told.pop(key, None)
        self._named.pop(key, None)

    @property
    def naming(self) -> tuple[str, ...]:
        """The NADs of which an Event names pods."""
        return tuple(self._named)

    def tell(self, nad: Nad, told: Told) -> Iterator[Event]:
        """Events of what was not said last time."""
        before = self._told.get(nad.key, ())
        self._told[nad.key] = told
        for reason, said in told:
            if (reason, said) not in before:
                yield Event(nad.subject, reason, said)

    def name(
        self,
        nad: Nad,
        reason: Reason,
        users: Mapping[str, str],
        *,
        about: object,
        said: Callable[[Iterable[str], int], str],
    ) -> Iterator[Event]:
        """Names some of the pods, `users` by uid, that stand in the way of what it is `about`."""
        named = self._named.setdefault(nad.key, {})
        if not users or not about:
            named.pop(reason, None)
        else:
            told, whom = named.get(reason, (None, frozenset()))
            if told != about or not whom & users.keys():
                some = dict(islice(users.items(), edits.MAX_NAMED))
                named[reason] = (about, frozenset(some))
                yield Event(nad.subject, reason, said(some.values(), len(users)))
        if not named:
            del self._named[nad.key]
