"""Notices when the API server does not answer any more.

Watches stay open, without events, if the server hangs or packets are lost. So the server is asked
for its version, which is cheap, whenever it has sent nothing for some seconds.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

from weft.kube import errors, transport

log = logging.getLogger(__name__)

CUT_OFF = 10.0  # seconds without a byte after which the server counts as not reachable
_QUIET = 5.0  # seconds without a byte after which it is asked
_ANSWER = 4.0  # seconds that it has for the answer


class Liveness:
    """Asks one server whether it answers, while `run` runs."""

    def __init__(self, door: transport.Transport) -> None:
        self._door = door
        self._failure = ""

    @property
    def trouble(self) -> str:
        """Since when the server does not answer, and the error; empty while it answers."""
        unanswered = time.monotonic() - self._door.received_at
        if not self._failure or unanswered < CUT_OFF:
            return ""
        return f"the Kubernetes API has not answered for {unanswered:.0f} s: {self._failure}"

    async def run(self) -> None:
        """Ask whenever it is quiet, until cancelled."""
        while True:
            quiet = time.monotonic() - self._door.received_at
            if quiet < _QUIET:
                self._note("")
                await asyncio.sleep((_QUIET - quiet) * random.uniform(1.0, 1.1))
                continue
            try:
                await self._door.ask("/version", _ANSWER)
            except errors.ApiError as error:
                if not error.status or isinstance(error, errors.Unauthorized):
                    self._note(error.in_full())
                await asyncio.sleep(random.uniform(0.5, 1.0))

    def _note(self, failure: str) -> None:
        if failure and not self._failure:
            log.warning("the API server does not answer: %s", failure)
        elif self._failure and not failure:
            log.info("the API server answers again")
        self._failure = failure
