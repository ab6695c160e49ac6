"""When does a file grow? The kernel says so; nobody needs to look again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from weft.host import inotify


@contextmanager
def watching(path: Path, changed: asyncio.Event) -> Iterator[None]:
    """Set `changed` whenever the file is written, or goes away."""
    with closing(inotify.Inotify(changed.set)) as watch:
        watch.add(path, inotify.MODIFIED | inotify.TOUCHED | inotify.GONE)
        yield
