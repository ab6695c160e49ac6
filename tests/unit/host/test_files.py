"""Files where somebody else may put things."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from weft.host import files
from weft_lab import state, terminal


def test_a_file_is_read_and_a_link_or_pipe_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "file", opener=files.plain) as file:
        assert file.read() == "hello"
    for name in ("link", "pipe"):
        with pytest.raises(OSError):
            files.plain(str(tmp_path / name), os.O_RDONLY)
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
