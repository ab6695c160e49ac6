"""Compressed data from outside: unpacked whole or refused, never past the limit."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.decode import inflate
from weft.decode.budget import Exceeded, Malformed


@given(st.lists(st.binary(), min_size=1, max_size=3))
def test_all_parts_are_unpacked(parts: list[bytes]) -> None:
    packed = b"".join(gzip.compress(each) for each in parts)
    whole = b"".join(parts)
    assert inflate.gunzip(packed, len(whole)) == whole
    if whole:
        with pytest.raises(Exceeded):
            inflate.gunzip(packed, len(whole) - 1)


def test_a_bomb_is_refused() -> None:
    with pytest.raises(Exceeded, match="more than 1000 bytes"):
        inflate.gunzip(gzip.compress(b"x" * 10_000_000), 1000)


@pytest.mark.parametrize("data", [b"", b"no gzip", gzip.compress(b"x" * 100, mtime=0)[:-9]])
def test_what_is_no_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        inflate.gunzip(data, 1000)
