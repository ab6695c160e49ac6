"""Pods of a whole lab that ping a machine while something happens to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from lab.tests.support.inside import linkwatch
from tests.support import cuts, pinger

Place = tuple[str, ...]  # as bench.stream.inside gives it
# Seconds before and after a link of a node has come or gone in which its switch, in userspace, may
# drop what tunnels carry: it reads its routes anew, and on a busy machine waits for its turn (ADR
# 0113). A ping may have been sent before and passed the switch then, and whoever tells of the link
# may have had no turn either.
BEFORE, AFTER = 2.0, 3.0
LATE = 15.0  # seconds for which answers are waited for that each ping must have


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


def output(process: subprocess.Popen[str]) -> str:
    """What it says until its end."""
    assert process.stdout is not None
    return process.stdout.read()


@dataclass(frozen=True)
class Counted:
    """What one peer saw: when each ping was sent (monotonic seconds), and how often answered; and
    for those that were, when the first answer came."""

    pings: list[tuple[float, int]]
    came: dict[float, float] = field(default_factory=dict)  # by when the ping was sent

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Of what the pinger says."""
        begin, told = found["begin"], found["pings"]
        came = {begin + sent: begin + first for sent, first, times in told if times}
        return cls([(begin + sent, times) for sent, _, times in told], came)

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


# Seconds from the end of a move. In the first the source's links go; then all have to reach it.
SETTLED, ENOUGH = 1.0, 3.0


def check_goes_on(each: Counted, ended: float, about: object) -> None:
    """A peer reaches a machine that has moved, and once. A while without an answer is excused that
    a link of the peer's node may cause: the source's pod ends when it does."""
    late = [ping for ping in each.pings if ping[0] > ended + SETTLED]
    assert any(times for _, times in late), about
    assert not cuts.is_cut(late, SETTLED), about
    assert all(times < 2 for _, times in late), about


@contextmanager
def counted(
    lab: str,
    peers: Mapping[str, Place],
    address: str,
    interval: float = 0.01,
    late: float = pinger.BUSY,
) -> Iterator[dict[str, Counted]]:
    """Pings from all peers for as long as this is open; then the figures are there, by peer.

    `late`: seconds for which answers are waited for in the end.
    """
    seen: dict[str, Counted] = {}
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(
                program(lab, where, pinger.__file__, address, f"{interval:g}", f"{late:g}")
            )
            for name, where in peers.items()
        }
        yield seen
        for process in running.values():
            assert process.stdin is not None
            process.stdin.close()
        for name, process in running.items():
            seen[name] = Counted.read(json.loads(output(process)))


@dataclass
class Watched:
    """What peers saw of one machine, by node, and when links of each node came or went."""

    peers: dict[str, Counted] = field(default_factory=dict)
    links: dict[str, list[float]] = field(default_factory=dict)

    @property
    def lost(self) -> dict[str, list[float]]:
        """When pings were sent that nobody answered, by peer.

        Without those that a switch lost because a link of the peer's own node came or went. Where
        no pod comes or goes no link does, nor at the guest: there each ping counts.
        """
        found = {
            node: [
                sent
                for sent, times in each.pings
                if not times and not any(-BEFORE < sent - at < AFTER for at in self.links[node])
            ]
            for node, each in self.peers.items()
        }
        return {node: times for node, times in found.items() if times}

    @property
    def twice(self) -> dict[str, int]:
        """How many pings were answered more than once, by peer."""
        return {node: each.twice for node, each in self.peers.items() if each.twice}


@contextmanager
def watched(
    lab: str,
    peers: Mapping[str, Place],
    address: str,
    interval: float,
    late: float = LATE,
) -> Iterator[Watched]:
    """Pings from all peers, by node, for as long as this is open; then what was seen is there."""
    seen = Watched()
    with ExitStack() as stack:
        nodes = {
            node: stack.enter_context(program(lab, ("exec", node, "--"), linkwatch.__file__))
            for node in peers
        }
        with counted(lab, peers, address, interval, late) as found:
            yield seen
        seen.peers |= found
        for node, process in nodes.items():
            assert process.stdin is not None
            process.stdin.close()
            seen.links[node] = json.loads(output(process))


@contextmanager
def counted_each(
    lab: str, peers: Mapping[str, tuple[Place, Collection[str]]], interval: float = 0.01
) -> Iterator[dict[str, dict[str, Counted]]]:
    """Pings from all peers to the addresses of each for as long as this is open; then the figures
    are there, by peer and address."""
    seen: dict[str, dict[str, Counted]] = {}
    with ExitStack() as stack:
        running = {}
        for name, (where, addresses) in peers.items():
            argv = (pinger.__file__, "each", f"{interval:g}", *addresses)
            running[name] = stack.enter_context(program(lab, where, *argv))
        yield seen
        for process in running.values():  # all stop before any is read
            assert process.stdin is not None
            process.stdin.close()
        for name, process in running.items():
            assert process.stdout is not None
            for address, found in json.load(process.stdout).items():
                seen.setdefault(name, {})[address] = Counted.read(found)
