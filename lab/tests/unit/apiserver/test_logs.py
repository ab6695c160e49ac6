"""Which container's log is read, and which part of it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.tests.support.memory_cluster import pod
from weft_lab.apiserver import logs, status


def test_which_container() -> None:
    one = pod()
    assert logs.choose_container(one, "") == "main"
    two = pod(containers=[{"name": "a"}, {"name": "b"}], initContainers=[{"name": "i"}])
    assert logs.choose_container(two, "i") == "i"
    with pytest.raises(status.ApiError, match=r"choose one of: \[a b\]"):
        logs.choose_container(two, "")
    with pytest.raises(status.ApiError, match="container c is not valid"):
        logs.choose_container(two, "c")


def part(data: bytes, **query: str) -> bytes:
    found = logs.choose(io.BytesIO(data), query)
    assert found.size == len(data)
    return data[found.start : found.end]


def test_which_part_of_a_log() -> None:
    data = b"1\n2\n3"
    assert part(data) == data
    assert part(data, tailLines="2") == b"2\n3"
    assert part(data, tailLines="0") == b""
    assert part(data, limitBytes="1") == b"1"
    assert part(data, limitBytes="99", tailLines="1") == b"3"


@given(st.lists(st.sampled_from([b"", b"a", b"bc" * 40_000])), st.booleans(), st.integers(0, 9))
def test_the_last_lines_are_read_from_the_end(lines: list[bytes], ended: bool, last: int) -> None:
    data = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    whole = data.splitlines(keepends=True)
    assert part(data, tailLines=str(last)) == (b"".join(whole[-last:]) if last else b"")


def test_the_tail_of_a_long_log_costs_no_more_than_its_lines() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    file = Counting(b"x\n" * 5_000_000)
    logs.choose(file, {"tailLines": "3"})
    assert file.taken <= 64 * 1024
