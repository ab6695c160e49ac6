"""Files of packets, read by another reader; and what a node may send in place of one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import pcapfile
from weft import errors
from weft.observe.capture import pcapng

NIC = pcapng.Interface("eth1 (blue)", "eth1 of default/a", "tcp and port 443", 200)
HEAD = pcapng.head(NIC, "weft capture")
END = pcapng.Statistics(1 << 60, (1 << 60) + 5, 7, 2, "10 s are over")

packets = st.builds(
    lambda time, data, more, inbound: pcapng.Packet(time, data, len(data) + more, inbound),
    st.integers(0, (1 << 62) - 1),
    st.binary(max_size=200),
    st.integers(0, 70000),
    st.booleans(),
)


@given(st.lists(packets, max_size=4), st.integers(1, 50))
def test_another_reader_and_this_one_read_what_is_written(
    written: list[pcapng.Packet], step: int
) -> None:
    data = HEAD + b"".join(map(pcapng.packet, written)) + pcapng.statistics(END)
    file = pcapfile.read(data)
    assert (file.interface, file.description) == (NIC.name, NIC.description)
    assert (file.filter, file.snaplen) == (NIC.filter, NIC.length)
    assert (file.received, file.dropped) == (7, 2)
    assert [(each.data, each.length, each.direction) for each in file.packets] == [
        (each.data, each.length, 1 if each.inbound else 2) for each in written
    ]
    reader = pcapng.Reader()
    found = [pair for at in range(0, len(data), step) for pair in reader.feed(data[at : at + step])]
    assert [block for block, _ in found] == [None, NIC, *written, END]
    assert b"".join(raw for _, raw in found) == data
    assert reader.is_between_blocks


def test_a_file_that_is_cut_off_is_not_taken_for_whole() -> None:
    reader = pcapng.Reader()
    assert len(list(reader.feed(HEAD + pcapng.statistics(END)[:-1]))) == 2
    assert not reader.is_between_blocks


@given(st.binary(max_size=300))
def test_whatever_a_node_sends_is_read_or_refused(data: bytes) -> None:
    for sent in (data, HEAD + data):
        with contextlib.suppress(errors.Unavailable):
            for block, raw in pcapng.Reader().feed(sent):
                assert block is None or raw in sent


def _mangled(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (pcapng.packet(pcapng.Packet(0, b"", 0, True)), "no beginning"),
        (HEAD + HEAD, "another beginning"),
        (_mangled(HEAD, 4, b"\xff\xff\xff\x7f"), "a block of"),
        (_mangled(HEAD, 8, bytes(4)), "another beginning"),
        (HEAD + bytes.fromhex("0a000000 0c000000 0c000000"), "type 0xa"),
        (HEAD + bytes.fromhex("06000000 0c000000 0c000000"), "too short"),
        (HEAD + bytes.fromhex("06000000 0c000000 10000000"), "two lengths"),
        (HEAD + _mangled(pcapng.packet(pcapng.Packet(0, b"x", 1, True)), 20, b"\xff"), "longer"),
    ],
)
def test_what_is_refused(sent: bytes, what: str) -> None:
    with pytest.raises(errors.Unavailable, match=what):
        list(pcapng.Reader().feed(sent))


def test_a_long_text_is_cut_between_characters() -> None:
    long = pcapng.Interface("ä" * 4000, "", "", 1)
    assert pcapfile.read(pcapng.head(long, "")).interface == "ä" * 500
