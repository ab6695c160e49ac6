"""Frames of SPDY/3.1, against bytes that are made here by the rules of its text."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.tests.support.spdyclient import Client
from weft_lab.kubelet import spdy

HEADERS = st.dictionaries(st.text("abcdefghij-", min_size=1), st.text(max_size=40), max_size=5)


@given(st.lists(st.tuples(st.integers(1, 2**31 - 1), HEADERS), max_size=4), st.integers(1, 50))
def test_frames_are_read_however_they_are_cut(
    sent: list[tuple[int, dict[str, str]]], size: int
) -> None:
    client, encoder, decoder = Client(), spdy.Encoder(), spdy.Decoder()
    stream = b""
    for number, headers in sent:
        stream += client.stream(number, headers)
        stream += encoder.data(number, b"abc", last=True)
    stream += encoder.reset(7) + encoder.ping(b"\0\0\0\x05")
    frames = [
        frame
        for place in range(0, len(stream), size)
        for frame in decoder.feed(stream[place : place + size])
    ]
    expected = []
    for number, headers in sent:
        expected.append(spdy.Frame(spdy.SYN_STREAM, number, headers=headers))
        expected.append(spdy.Frame(0, number, spdy.FIN, b"abc"))
    expected.append(spdy.Frame(spdy.RST_STREAM, 7, data=b"\0\0\0\x07\0\0\0\x05"))
    expected.append(spdy.Frame(spdy.PING, 0, data=b"\0\0\0\x05"))
    assert frames == expected


def test_the_dictionary_is_that_of_the_draft() -> None:
    """Its length and checksum, which zlib's own streams name, are published facts."""
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_many_headers_in_few_bytes_are_refused() -> None:
    frame = Client().stream(1, {"a": "x" * (2 * spdy.LONGEST_HEADERS)})
    assert len(frame) < 2000
    with pytest.raises(spdy.Malformed, match="headers of more than"):
        list(spdy.Decoder().feed(frame))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00\x00\x00\x01\x00\xff\xff\xff", "a frame of 16777215 bytes"),
        (b"\x80\x02\x00\x01\x00\x00\x00\x00", "version 2"),
        (b"\x80\x03\x00\x01\x00\x00\x00\x0cxxxxyyyyyyzz", "headers:"),
    ],
)
def test_what_is_no_spdy_ends_the_connection(data: bytes, why: str) -> None:
    with pytest.raises(spdy.Malformed, match=why):
        list(spdy.Decoder().feed(data))
