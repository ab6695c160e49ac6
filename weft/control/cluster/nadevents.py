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
from weft.model import ObjectKey
from weft.reasons import Reason

Messages = tuple[tuple[Reason, str], ...]  # reasons of Events with their messages


class NadEvents:
    """The Events of all NADs, by NAD key."""

    def __init__(self) -> None:
        self._messages: dict[ObjectKey, Messages] = {}
        # By NAD and reason: what the Event was about, and the uids of the pods that it named.
        self._named: dict[ObjectKey, dict[Reason, tuple[object, frozenset[str]]]] = {}

    def forget(self, key: ObjectKey) -> None:
        self._messages.pop(key, None)
        self._named.pop(key, None)

    @property
    def naming(self) -> tuple[ObjectKey, ...]:
        """The NADs with an Event that names pods."""
        return tuple(self._named)

    def new_events(self, nad: Nad, messages: Messages) -> Iterator[Event]:
        """Yields Events for the messages that are new since the last call."""
        before = self._messages.get(nad.key, ())
        self._messages[nad.key] = messages
        for reason, message in messages:
            if (reason, message) not in before:
                yield Event(nad.subject, reason, message)

    def name(
        self,
        nad: Nad,
        reason: Reason,
        users: Mapping[str, str],
        *,
        about: object,
        text: Callable[[Iterable[str], int], str],
    ) -> Iterator[Event]:
        """Yields an Event that names some of the pods for which a deletion or edit waits.

        `users`: label by uid. `about` identifies what waits; falsy for nothing. `text` makes the
        message of some labels and the count of all.
        """
        named = self._named.setdefault(nad.key, {})
        if not users or not about:
            named.pop(reason, None)
        else:
            last, named_pods = named.get(reason, (None, frozenset()))
            if last != about or not named_pods & users.keys():
                some = dict(islice(users.items(), edits.MAX_NAMED))
                named[reason] = (about, frozenset(some))
                yield Event(nad.subject, reason, text(some.values(), len(users)))
        if not named:
            del self._named[nad.key]
