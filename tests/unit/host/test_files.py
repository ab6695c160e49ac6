"""Files that are replaced whole."""

from pathlib import Path

import pytest

from weft.host import files


def test_a_file_is_replaced_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_text("old")
    path.chmod(0o644)
    reader = path.open()
    files.put(path, b"new")
    assert (reader.read(), path.read_text()) == ("old", "new")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    reader.close()


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="folder"):
        files.put(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
