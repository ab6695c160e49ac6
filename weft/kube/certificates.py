"""Keeps a TLS context up to date with the files of authorities and certificates behind it.

Authorities and client certificates rotate on disk, as tokens do. A context that is made anew is
for new connections; those that are open end by themselves.
"""

from __future__ import annotations

import logging
import os
import ssl
import time

from weft import errors
from weft.kube import config

log = logging.getLogger(__name__)

_AGE = 60.0  # seconds between two looks at the files; they change long before the old ones expire

_Seen = tuple[tuple[int, int, int], ...]


class Certificates:
    """Of one endpoint."""

    def __init__(self, endpoint: config.Endpoint) -> None:
        self._endpoint = endpoint
        self._context = endpoint.tls
        self._seen = self._look()
        self._looked = time.monotonic()

    def context(self) -> ssl.SSLContext | None:
        """The context for a new connection. The old one stays while the new files make none."""
        make = self._endpoint.make_tls
        if make is None or time.monotonic() - self._looked < _AGE:
            return self._context
        self._looked = time.monotonic()
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            try:
                self._context = make()
                log.info("certificates were changed on disk and are read again")
            except errors.InvalidInput as error:  # only half of them is written, it may be
                log.warning("%s; the former ones stay in use", error)
        return self._context

    def doubt(self) -> None:
        """A connection failed: the files may have changed since the last look."""
        self._looked = -_AGE

    def _look(self) -> _Seen:
        """What tells of a change, also where a link is turned to another file."""
        found = []
        for path in self._endpoint.tls_files:
            try:
                state = os.stat(path)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((state.st_ino, state.st_mtime_ns, state.st_size))
        return tuple(found)
