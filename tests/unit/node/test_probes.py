"""Which peers answer, judged from probes and answers alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from weft.node import probes
from weft.node.probes import Probes, State


def nonces() -> Iterator[bytes]:
    for number in range(10_000):
        yield number.to_bytes(16, "big")


class Pair:
    """Two nodes with an underlay between them; `cut`: it loses everything."""

    def __init__(self) -> None:
        made = nonces()
        self.one, self.two = (Probes(lambda _: next(made)) for _ in range(2))
        self.one.set_peer("two", "10.0.0.2")
        self.two.set_peer("one", "10.0.0.1")
        self.now, self.cut = 0.0, False

    def round(self) -> State:
        self.now += 1
        for _, probe in list(self.one.round(self.now)):
            answer = b"" if self.cut else self.two.receive("10.0.0.1", probe, self.now)
            if answer:
                assert len(answer) <= len(probe)
                assert self.one.receive("10.0.0.2", answer, self.now + 0.001) == b""
        return self.one.states()["two"]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_peer_that_answers_is_up(pair: Pair) -> None:
    assert pair.one.states() == {"two": State.UNANSWERED}
    assert pair.round() is State.UP
    assert pair.one.round_trips() == {"two": pytest.approx(0.001)}


def test_a_cut_underlay_is_seen_and_its_end_too(pair: Pair) -> None:
    pair.round()
    pair.cut = True
    seen = [pair.round() for _ in range(probes.MISSES + 1)]
    assert seen == [State.UP] * probes.MISSES + [State.DOWN]
    assert pair.one.addresses(State.DOWN) == {"10.0.0.2"}
    pair.cut = False
    assert [pair.round() for _ in range(probes.ANSWERS)] == [State.DOWN, State.UP]


def test_one_lost_probe_is_nothing(pair: Pair) -> None:
    pair.round()
    for _ in range(5):
        pair.cut = True
        assert pair.round() is State.UP
        pair.cut = False
        assert pair.round() is State.UP


def test_a_peer_that_never_answered_is_not_down(pair: Pair) -> None:
    """Its agent may be older than probes."""
    pair.cut = True
    assert {pair.round() for _ in range(10)} == {State.UNANSWERED}


def test_strangers_and_forgers_change_nothing(pair: Pair) -> None:
    ((_, probe),) = pair.one.round(1.0)
    answer = pair.two.receive("10.0.0.1", probe, 1.0)
    assert pair.two.receive("10.0.0.9", probe, 1.0) == b"", "a stranger is not answered"
    for forged in (answer[:-1] + b"x", b"x" * probes.SIZE, b"", answer + b"x", probe[:8]):
        pair.one.receive("10.0.0.2", forged, 1.0)
        assert pair.one.states() == {"two": State.UNANSWERED}
    pair.one.receive("10.0.0.9", answer, 1.0)
    assert pair.one.states() == {"two": State.UNANSWERED}
    pair.one.receive("10.0.0.2", answer, 1.0)
    assert pair.one.states() == {"two": State.UP}


def test_an_old_answer_does_not_count(pair: Pair) -> None:
    ((_, probe),) = pair.one.round(1.0)
    answer = pair.two.receive("10.0.0.1", probe, 1.0)
    list(pair.one.round(2.0))
    pair.one.receive("10.0.0.2", answer, 2.0)
    assert pair.one.states() == {"two": State.UNANSWERED}


def test_many_peers_are_probed_at_a_bounded_rate() -> None:
    many = Probes(lambda _: bytes(16))
    for number in range(500):
        many.set_peer(f"node{number}", f"10.0.{number // 250}.{number % 250}")
    assert len(many) / many.interval <= probes.PEERS_A_SECOND
    many.set_peer("node1", "")
    assert "node1" not in many.states()
