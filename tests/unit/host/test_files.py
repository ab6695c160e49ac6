"""Files where somebody else may put things."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weft.host import files


def test_a_file_is_read_and_a_link_or_pipe_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "file", opener=files.regular_file) as file:
        assert file.read() == "hello"
    for name in ("link", "pipe"):
        with pytest.raises(OSError):
            files.regular_file(str(tmp_path / name), os.O_RDONLY)
