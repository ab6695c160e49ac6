"""Keeps a TLS context up to date with its CA and certificate files.

CAs and client certificates rotate on disk, as tokens do. A new context is used for new connections;
open ones stay as they are.
"""

from __future__ import annotations

import logging
import os
import ssl
import time

from weft import errors
from weft.kube import config

log = logging.getLogger(__name__)

_AGE = 60.0  # seconds between two looks at the files, which change long before they expire

_Seen = tuple[tuple[int, int, int], ...]


class Certificates:
    """Of one endpoint."""

    def __init__(self, endpoint: config.Endpoint) -> None:
        self._endpoint = endpoint
        self._context = endpoint.tls
        self._seen = self._look()
        self._looked = time.monotonic()

    def context(self) -> ssl.SSLContext | None:
        """The context for a new connection; the old one while the new files are invalid."""
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
            except errors.InvalidInput as error:  # the files may be half written
                log.warning("%s; the former ones stay in use", error)
        return self._context

    def doubt(self) -> None:
        """After a failed connection: look at the files again before the next one."""
        self._looked = -_AGE

    def _look(self) -> _Seen:
        """The state of the files; it also changes if a symbolic link points to another file."""
        found = []
        for path in self._endpoint.tls_files:
            try:
                state = os.stat(path)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((state.st_ino, state.st_mtime_ns, state.st_size))
        return tuple(found)
