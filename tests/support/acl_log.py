"""What a zone's ovn-controller logs of packets, heard as it comes."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.patience import PATIENCE
from tests.support.zones import Zone

LINE = re.compile(r"acl_log\(.*?\|INFO\|name=.*?: (?P<protocol>\w+),.*?(?:tp_dst=(?P<port>\d+)|$)")


@dataclass
class Log:
    process: subprocess.Popen[str]
    received: list[str] = field(default_factory=list)
    _buffer: str = ""

    def until(self, *wanted: str, timeout: float = PATIENCE) -> list[str]:
        """All lines on packets so far, up to one that has these words in it."""
        end = time.monotonic() + timeout
        while not any(all(word in line for word in wanted) for line in self.received):
            assert self.process.stdout is not None
            out = self.process.stdout.fileno()
            assert select.select([out], [], [], max(end - time.monotonic(), 0))[0], self.received
            self._take(os.read(out, 1 << 16))
        return self.received

    def _take(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data.decode()).split("\n")
        self.received += [line for line in lines if LINE.search(line)]


@contextmanager
def acl_log(zone: Zone) -> Iterator[Log]:
    """Of the zone's whole life."""
    process = zone.space.popen("tail", "-n", "+1", "-F", "/run/ovn/ovn-controller.log")
    try:
        yield Log(process)
    finally:
        process.kill()
        process.wait(PATIENCE)
