"""What a capture leaves in a file, and what it prints at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weft import errors
from weft.cli import capture
from weft.cli.output import Output
from weft.model import ObjectKey
from weft.observe.capture import choice, pcapng, session

NIC = choice.Nic(ObjectKey("default", "a"), "node1", "blue", "net1", "0a:58:00:00:00:01", "p")
PACKET = pcapng.Packet(0, b"x" * 60, 60, True)


def test_a_file_keeps_what_it_has_until_the_capture_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.pcapng"
    file.write_text("an older and longer capture")
    with capture._sink(str(file)) as sink:
        assert file.read_text() == "an older and longer capture"
        taker = capture._Taker(sink, False, "capturing")
        taker.take([(None, b"head")])
        taker.take([(PACKET, b"packet")])
    assert file.read_bytes() == b"headpacket"
    assert capsys.readouterr().err == "capturing\n"


def test_a_new_file_is_its_users_alone(tmp_path: Path) -> None:
    with capture._sink(str(tmp_path / "new")):
        pass
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    with (
        pytest.raises(errors.Unavailable, match="cannot be written"),
        capture._sink(str(tmp_path / "no" / "file")),
    ):
        pass


def test_packets_are_lines_without_a_file(tmp_path: Path) -> None:
    with capture._sink(str(tmp_path / "lines")) as sink:
        capture._Taker(sink, True, "").take([(None, b"head"), (PACKET, b"packet")])
    text = (tmp_path / "lines").read_text()
    assert text.startswith("00:00:00.000000 In  ")
    assert text.count("\n") == 1


def test_a_pipe_that_nobody_reads_is_noticed() -> None:
    reading, writing = os.pipe()
    assert capture._is_read(writing)
    os.close(reading)
    assert not capture._is_read(writing)
    os.close(writing)


def test_the_end_says_what_is_missing() -> None:
    end = pcapng.Statistics(0, 2_500_000_000, 9, 2, "the NIC is gone\x1b")
    outcome = session.Outcome(7, 900, end)
    found = capture._Result(NIC, outcome, "a.pcapng", "default/a is on node2 now")
    assert list(capture.written(found)) == [
        "7 packets in a.pcapng in 2.5 s; it ended because the NIC is gone",
        "2 packets dropped by the kernel: narrow it with --filter or --snaplen",
        "default/a is on node2 now",
    ]
    assert capture.data(found)["dropped"] == 2
    missing = capture._Result(NIC, session.Outcome(7, 900, trouble="why"), "-")
    assert list(capture.written(missing)) == ["7 packets"]
    assert capture.data(missing)["reason"] is None


def test_a_document_needs_a_file() -> None:
    with pytest.raises(errors.InvalidInput, match="needs --write FILE"):
        capture._check("", Output.json)
    capture._check("file", Output.json)
