"""Which error a program that cannot be executed gives."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from weft_lab import nsenter


def forbidden(*_: object) -> NoReturn:
    """As execvpe(3) does when a folder of PATH may not be searched."""
    raise PermissionError


@pytest.mark.parametrize(
    ("program", "error"),
    [("there", PermissionError), ("elsewhere", FileNotFoundError)],
)
def test_a_folder_that_may_not_be_searched_hides_no_missing_program(
    program: str, error: type[OSError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").touch()
    monkeypatch.setattr("os.execvpe", forbidden)
    for argv, path in ((program, f"/nowhere:{tmp_path}"), (str(tmp_path / program), "")):
        with pytest.raises(error) as raised:
            nsenter._execute([argv], {"PATH": path})
        assert type(raised.value) is error
