"""Pods of a whole lab that ping a machine while something happens to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.support import pinger

Place = tuple[str, ...]  # as bench.stream.inside gives it


@contextmanager
def program(lab: str, where: Place, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program in the network namespace of a pod; it has begun."""
    weft = (sys.executable, "-m", "weft", "lab", where[0], "--name", lab, *where[1:])
    with subprocess.Popen(
        [*weft, sys.executable, "-I", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        try:
            yield process
        finally:
            process.kill()


@dataclass(frozen=True)
class Counted:
    """What one peer saw: when each ping was sent (monotonic seconds), and how often answered."""

    pings: list[tuple[float, int]]

    @property
    def lost(self) -> int:
        return sum(not times for _, times in self.pings)

    @property
    def twice(self) -> int:
        return sum(times > 1 for _, times in self.pings)

    @property
    def outage(self) -> float:
        """The longest time in which no ping was sent that was answered, in seconds."""
        longest, last = 0.0, self.pings[0][0]
        for sent, times in self.pings:
            last, longest = (sent, longest) if times else (last, max(longest, sent - last))
        return longest

    def __repr__(self) -> str:
        return (
            f"{len(self.pings)} sent, {self.lost} lost, {self.twice} twice, {self.outage:.3f} s out"
        )


@contextmanager
def counted(
    lab: str, peers: Mapping[str, Place], address: str, interval: float = 0.01
) -> Iterator[dict[str, Counted]]:
    """Pings from all peers for as long as this is open; then the figures are there, by peer."""
    seen: dict[str, Counted] = {}
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(
                program(lab, where, pinger.__file__, address, f"{interval:g}")
            )
            for name, where in peers.items()
        }
        yield seen
        for name, process in running.items():
            found = json.loads(process.communicate()[0])
            pings = [(found["begin"] + sent, times) for sent, _, times in found["pings"]]
            seen[name] = Counted(pings)
