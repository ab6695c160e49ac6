"""What a node is asked for arrives as it was said, and asks for no more than it may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors
from weft.observe.capture import order
from weft.observe.capture.order import Limits, Order


@given(st.text(), st.text(), st.integers(1, 9))
def test_an_order_is_one_line_and_reads_back(port: str, filter: str, packets: int) -> None:
    asked = Order(port, "default/p", "eth1", filter, Limits(packets, 0.5, 7, 100))
    line = asked.line()
    assert line.count(b"\n") == 1
    assert order.parse(line) == asked


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ((0, 1.0, 1, 1), "--count"),
        ((order.MOST_PACKETS + 1, 1.0, 1, 1), "--count"),
        ((1, 0.0, 1, 1), "--duration"),
        ((1, 90_000.0, 1, 1), "--duration"),
        ((1, 1.0, 0, 1), "--size"),
        ((1, 1.0, 1, 262_145), "--snaplen"),
    ],
)
def test_limits_have_limits(values: tuple[int, float, int, int], option: str) -> None:
    with pytest.raises(errors.InvalidInput, match=option):
        order.limits(*values)


def test_the_defaults_are_within() -> None:
    assert order.limits(order.PACKETS, order.SECONDS, order.BYTES, 100).packets == order.PACKETS
