"""What is shown of a console's past."""

from __future__ import annotations

from pathlib import Path

from weft_lab import terminal


def test_the_past_begins_with_a_whole_line_and_is_not_too_long(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"".join(b"line %d\r\n" % number for number in range(2000)) + b"login: ")
    shown = terminal.past(log)
    assert shown.endswith(b"line 1999\r\nlogin: ")
    assert shown.startswith(b"line ")
    assert 4000 < len(shown) <= terminal.PAST


def test_a_short_past_is_shown_whole_and_one_that_is_missing_is_none(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert terminal.past(log) == b""
    log.write_bytes(b"booting\r\n")
    assert terminal.past(log) == b"booting\r\n"


def test_one_endless_line_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"." * 10 * terminal.PAST)
    assert terminal.past(log) == b"." * terminal.PAST


def test_what_a_console_said_is_read_from_a_file_and_not_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert terminal.past(tmp_path / "file") == b"hello"
    assert terminal.past(tmp_path / "link") == b""
