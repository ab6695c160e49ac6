"""The sockets of a lab's folder, where somebody else may put things."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from weft_lab import state


def test_a_socket_is_called_and_a_link_to_one_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "sock"))
        listening.listen()
        (tmp_path / "link").symlink_to(tmp_path / "sock")
        state.dial(tmp_path / "sock").close()
        with pytest.raises(OSError, match="non-socket"):
            state.dial(tmp_path / "link")
