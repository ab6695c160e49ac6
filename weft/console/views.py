"""Remembers what a viewer's pages showed last, for as long as the objects stay the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from weft.console.page import Page, Question, Reading

MOST = 4  # of a viewer: a picture of a large cluster takes a megabyte


class Views:
    """The views of one viewer; used by one thread at a time."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, tuple[tuple[int, ...], object]] = OrderedDict()

    def of(self, page: Page, read: Reading, asked: Question) -> object:
        """What the page's view returns."""
        if not page.is_timeless:
            return page.view(read, asked)
        given = (asked.path, asked.query)
        key = page.name, asked.namespace, *(tuple(sorted(each.items())) for each in given)
        versions, found = self._known.pop(key, ((), None))
        if versions != read.versions or not versions:
            found = page.view(read, asked)
        self._known[key] = read.versions, found
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return found
