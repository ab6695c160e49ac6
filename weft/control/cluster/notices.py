"""Which Events does a definition get, and which did it get already?

An Event that names pods is told again when none of those that it named is there any more, so that
whoever waits for them always finds one that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from weft.control.cluster import edits
from weft.kube import events
from weft.kube.client import Object

News = tuple[tuple[str, str], ...]  # reason and message
NEWS_OF_GUESTS = "ForeignNetwork"  # nothing is wrong, so the Event is Normal
_NORMAL = (NEWS_OF_GUESTS,)


class Notices:
    """By key of the definition."""

    def __init__(self, recorder: events.Recorder) -> None:
        self.recorder = recorder
        self._told: dict[str, News] = {}
        # By definition and reason: what was said of it, and the uids of the pods that were named.
        self._named: dict[str, dict[str, tuple[object, frozenset[str]]]] = {}

    def forget(self, key: str) -> None:
        self._told.pop(key, None)
        self._named.pop(key, None)

    @property
    def naming(self) -> tuple[str, ...]:
        """The definitions of which an Event names pods."""
        return tuple(self._named)

    def tell(self, key: str, obj: Object, news: News) -> None:
        """Events of what was not said last time."""
        before = self._told.get(key, ())
        self._told[key] = news
        for reason, said in news:
            if (reason, said) not in before:
                kind = "Normal" if reason in _NORMAL else "Warning"
                self.recorder.emit(obj, kind, reason, said)

    def name(
        self,
        key: str,
        obj: Object,
        reason: str,
        users: Mapping[str, str],
        *,
        about: object,
        said: Callable[[Iterable[str], int], str],
    ) -> None:
        """Names some of the pods, `users` by uid, that stand in the way of what it is `about`."""
        named = self._named.setdefault(key, {})
        if not users or not about:
            named.pop(reason, None)
        else:
            told, whom = named.get(reason, (None, frozenset()))
            if told != about or not whom & users.keys():
                some = dict(islice(users.items(), edits.MOST_NAMED))
                named[reason] = (about, frozenset(some))
                message = said(some.values(), len(users))
                self.recorder.emit(obj, "Warning", reason, message)
        if not named:
            del self._named[key]
