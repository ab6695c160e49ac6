"""What a capture leaves in a file, and what it prints at the end."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_an_older_file_becomes_its_users_alone(tmp_path: Path) -> None:
    file = tmp_path / "old"
    file.touch(mode=0o644)
    file.chmod(0o644)
    with capture._sink(str(file)) as sink:
        sink.write(b"packets")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == b"packets"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / "other").chmod(0o644)
    for target in ("other", "nothing"):
        link = tmp_path / f"to-{target}"
        link.symlink_to(tmp_path / target)
        with (
            pytest.raises(errors.Unavailable, match="is a link"),
            capture._sink(str(link)),
        ):
            pass
    assert (tmp_path / "other").read_text() == "kept"
    assert (tmp_path / "other").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "nothing").exists()


def test_another_users_file_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "theirs"
    file.write_text("kept")
    file.chmod(0o666)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(errors.Unavailable, match="another user's file"), capture._sink(str(file)):
        pass
    assert file.read_text() == "kept"
    assert file.stat().st_mode & 0o777 == 0o666


def test_pipes_and_what_the_shell_has_opened_are_written(tmp_path: Path) -> None:
    """As /dev/stdout and >(wireshark) are: links to descriptors of this process."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o644)
    reading, writing = os.pipe()
    from_fifo = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    for path, reader in ((f"/dev/fd/{writing}", reading), (str(fifo), from_fifo)):
        with capture._sink(path) as sink:
            capture._Taker(sink, False, "").take([(None, b"head")])
        assert os.read(reader, 9) == b"head"
    file = tmp_path / "redirected"
    with file.open("wb") as opened:
        file.chmod(0o640)
        with capture._sink(f"/proc/self/fd/{opened.fileno()}") as sink:
            sink.write(b"head")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"head", 0o640)
    code = "from weft.cli import capture\nwith capture._sink('/dev/stdout') as s: s.write(b'head')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert done.stdout == b"head"
    for each in (reading, writing, from_fifo):
        os.close(each)


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
