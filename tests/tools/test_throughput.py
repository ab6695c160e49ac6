"""What a count of datagrams says about a NIC's rate, when sender and receiver lack their turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from tests.support.throughput import Arrival, rate

BITS = 10_000
OFFERED = 25e6
LIMIT = 10e6


def sent(seconds: float, *pauses: tuple[float, float]) -> Iterator[Arrival]:
    """What is sent at the offered rate, but for pauses (when, how long), after each of which a
    tenth of a second is made up for."""
    due = now = 0.0
    number = 0
    while due < seconds:
        now = max(now, due)
        for begin, long in pauses:
            if begin <= now < begin + long:
                now = begin + long
                due = max(due, now - 0.1)
        yield Arrival(now, number)
        number += 1
        due += BITS / OFFERED


def passed(packets: Iterable[Arrival], limit: float) -> Iterator[Arrival]:
    """Those that a bucket of a second's traffic lets pass, as a meter of Open vSwitch has it."""
    left, last = limit, 0.0
    for packet in packets:
        left, last = min(limit, left + (packet.at - last) * limit), packet.at
        if left >= BITS:
            left -= BITS
            yield packet


PAUSES = ((), ((0.8, 0.5),), ((1.2, 0.7), (3.5, 0.9)), ((3.2, 0.9),))


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize("limit", [LIMIT, LIMIT / 2])
def test_a_limit_is_found_whatever_the_sender_could_do(
    limit: float, pauses: tuple[tuple[float, float], ...]
) -> None:
    seen = [each for each in passed(sent(5, *pauses), limit) if each.at >= 1]
    assert rate(seen, OFFERED, BITS) == pytest.approx(limit, rel=0.01)


@pytest.mark.parametrize("pauses", PAUSES)
def test_without_a_limit_it_is_what_was_offered(pauses: tuple[tuple[float, float], ...]) -> None:
    seen = [each for each in sent(5, *pauses) if each.at >= 1]
    assert rate(seen, OFFERED, BITS) == OFFERED
    del seen[len(seen) // 2 :: 40]  # some are lost
    assert 0.9 * OFFERED < rate(seen, OFFERED, BITS) < OFFERED
