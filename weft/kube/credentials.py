"""Keeps the credentials for an API server up to date with their files.

Tokens, CAs, client certificates and kubeconfigs rotate on disk. New requests and
connections use the present contents; open watches and connections stay as they are.
"""

from __future__ import annotations

import logging
import os
import ssl
import time
from pathlib import Path

from weft import errors as weft_errors
from weft.kube import config, errors

log = logging.getLogger(__name__)

_AGE = 10.0  # seconds between two checks of the files, which change long before they expire

_Seen = tuple[tuple[int, int, int], ...]


class Credentials:
    """The credentials of one endpoint."""

    def __init__(self, endpoint: config.Endpoint) -> None:
        self._endpoint = endpoint
        self._token = endpoint.token
        self._seen = self._look()
        self._looked = time.monotonic()
        self._token_is_read = not endpoint.token_file

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context for a new connection."""
        self._refresh()
        return self._endpoint.tls

    @property
    def server_name(self) -> str:
        """The name in the server's certificate; empty: the host of its address."""
        return self._endpoint.server_name

    @property
    def token(self) -> str:
        """The token for a new request; raises Unauthorized if the token file has none."""
        self._refresh()
        if not self._token_is_read:
            self._token = _read_token(self._endpoint.token_file)
            self._token_is_read = True
        return self._token

    def recheck(self) -> None:
        """Read the files again before the next use: the credentials were refused, or a connection
        failed."""
        self._looked = -_AGE

    def are_new(self) -> bool:
        """Whether the files have changed since they were read: call it after a refusal."""
        before = self._seen
        self.recheck()
        self._refresh()
        return self._seen != before

    def _refresh(self) -> None:
        """Read what has changed; the former ones stay in use while new certificates are invalid."""
        if time.monotonic() - self._looked < _AGE:
            return
        self._looked = time.monotonic()
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        self._token_is_read = False
        if self._endpoint.reload is not None:
            try:
                self._endpoint = self._endpoint.reload()
                log.info("the credentials were changed on disk and are read again")
            except weft_errors.InvalidInput as error:  # the files may be half written
                log.warning("%s; the former ones stay in use", error)
        if not self._endpoint.token_file:
            self._token, self._token_is_read = self._endpoint.token, True

    def _look(self) -> _Seen:
        """The state of the files; it also changes if a symbolic link points to another file."""
        found = []
        for path in filter(None, (*self._endpoint.files, self._endpoint.token_file)):
            try:
                state = os.stat(path)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((state.st_ino, state.st_mtime_ns, state.st_size))
        return tuple(found)


def _read_token(path: str) -> str:
    try:
        token = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise errors.unauthorized(f"no token can be read from {path}: {why}") from error
    if not token:
        # With an empty token the server would treat every request as anonymous.
        raise errors.unauthorized(f"no token can be read from {path}: the file is empty")
    return token
