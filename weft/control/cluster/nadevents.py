"""Decides which Events a NAD gets, and remembers those that it got.

Pure. An Event that names pods is emitted again when none of the named pods exists any more, so that
its reader always finds a pod that still counts.
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
    """The Events of all NADs, by NAD key."""

    def __init__(self) -> None:
        self._told: dict[str, Told] = {}
        # By NAD and reason: what the Event was about, and the uids of the pods that it named.
        self._named: dict[str, dict[Reason, tuple[object, frozenset[str]]]] = {}

    def forget(self, key: str) -> None:
        self._told.pop(key, None)
        self._named.pop(key, None)

    @property
    def naming(self) -> tuple[str, ...]:
        """The NADs with an Event that names pods."""
        return tuple(self._named)

    def tell(self, nad: Nad, told: Told) -> Iterator[Event]:
        """Yields Events for the messages that are new since the last call."""
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
        """Yields an Event that names some of the pods for which a deletion or edit waits.

        `users`: label by uid. `about` identifies what waits; falsy for nothing. `said` makes the
        message of some labels and the count of all.
        """
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
