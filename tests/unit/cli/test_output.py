"""How commands show what they found, and what they do meanwhile."""

from pathlib import Path

import pytest

from weft import errors
from weft.cli import output


def test_only_events_that_count_move_the_bar() -> None:
    reported: list[tuple[str, float]] = []
    tell = output.counting(lambda what, done: reported.append((what, done)), "starting")
    for event in ({"ready": 1, "total": 4}, {"name": "node1"}, {"ready": "x", "total": 4}):
        tell(event)
    assert reported == [("starting", 0.25)]


def test_a_picture_goes_to_the_screen_or_to_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output.deliver("<svg/>", "-", screen="-")
    assert capsys.readouterr().out == "<svg/>"
    file = tmp_path / "picture.svg"
    output.deliver("<svg/>", str(file), screen="-")
    assert file.read_text() == "<svg/>"
    with pytest.raises(errors.Unavailable, match=r"none/picture.svg: cannot be written"):
        output.deliver("<svg/>", str(tmp_path / "none" / "picture.svg"), screen="-")


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.color() is None
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.color() is False
