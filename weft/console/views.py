"""Remembers what a viewer's pages showed last, for as long as the objects stay the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from weft.console.page import Page, Question, Reading
from weft.observe.remembered import Memo

MOST_MEMOS = 2  # of a viewer: the parts of the views that were used last; each member takes 3 KiB
MOST = 4  # of a viewer: a picture of a large cluster takes a megabyte


class Views:
    """The views of one viewer; used by one thread at a time."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, _View] = OrderedDict()

    def of(self, page: Page, read: Reading, asked: Question) -> object:
        """What the page's view returns."""
        given = (asked.path, asked.query)
        key = page.name, asked.namespace, *(tuple(sorted(each.items())) for each in given)
        view = self._known.pop(key, None) or _View()
        self._known[key] = view
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        for older in list(self._known.values())[:-MOST_MEMOS]:
            older.memo.clear()
        if not page.is_timeless or view.versions != read.versions or not read.versions:
            view.memo.sweep()
            view.found = page.view(replace(read, memo=view.memo), asked)
            view.versions = read.versions
        return view.found


@dataclass(slots=True)
class _View:
    """What a page has shown last, and the parts of it that the next one may have, too."""

    found: object = None
    versions: tuple[int, ...] = ()
    memo: Memo = field(default_factory=Memo)
