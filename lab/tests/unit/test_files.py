"""Files and sockets of a lab, where somebody else may put things."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from weft_lab import state, terminal


def test_what_a_console_said_is_read_from_a_file_and_not_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert terminal.past(tmp_path / "file") == b"hello"
    assert terminal.past(tmp_path / "link") == b""


def test_a_socket_is_called_and_a_link_to_one_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "sock"))
        listening.listen()
        (tmp_path / "link").symlink_to(tmp_path / "sock")
        state.dial(tmp_path / "sock").close()
        with pytest.raises(OSError, match="non-socket"):
            state.dial(tmp_path / "link")
