"""How commands show what they found, and what they do meanwhile."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from weft import errors
from weft.cli import output
from weft.observe.render.grid_text import Span


def test_only_events_that_count_move_the_bar() -> None:
    reported: list[tuple[str, float | None]] = []
    tell = output.counting(lambda what, done: reported.append((what, done)), "starting")
    for event in ({"ready": 1, "total": 4}, {"name": "node1"}, {"ready": "x", "total": 4}):
        tell(event)
    assert reported == [("starting", 0.25)]


def test_a_step_moves_no_bar_and_is_reported() -> None:
    reported: list[tuple[str, float | None]] = []
    tell = output.counting(lambda what, done: reported.append((what, done)), "starting")
    tell({"step": "waiting for the nodes"})
    assert reported == [("waiting for the nodes", None)]


def test_a_picture_goes_to_the_screen_or_to_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output.deliver("<svg/>", output.Target(output.SVG))
    assert capsys.readouterr().out == "<svg/>"
    file = tmp_path / "picture.svg"
    output.deliver("<svg/>", output.Target(output.SVG, str(file)))
    assert file.read_text() == "<svg/>"
    with pytest.raises(errors.Unavailable, match=r"none/picture.svg: cannot be written"):
        output.deliver("<svg/>", output.Target(output.SVG, str(tmp_path / "none" / "picture.svg")))


FORMS = (output.TEXT, output.JSON, output.SVG)


@pytest.mark.parametrize(
    ("text", "form", "target"),
    [
        ("text", "", output.Target("text")),
        ("svg", "", output.Target("svg")),
        ("table", "", output.Target("text")),
        ("tree", "", output.Target("text")),
        ("-", "svg", output.Target("svg")),
        ("my picture.svg", "", output.Target("svg", "my picture.svg")),
        ("it.txt", "", output.Target("text", "it.txt")),
        ("it", "json", output.Target("json", "it")),
        ("it", "tree", output.Target("text", "it")),
    ],
)
def test_what_an_output_asks_for(text: str, form: str, target: output.Target) -> None:
    assert output.target("weft matrix", text, FORMS, form) == target


@pytest.mark.parametrize("text", ["picture.png", "mermaid", "it.mmd", ""])
def test_an_output_that_is_none_is_refused_with_those_that_are(text: str) -> None:
    rule = r"must be text, json, svg, or a file that ends in .txt, .json, .svg"
    with pytest.raises(errors.InvalidInput, match=rule):
        output.target("weft matrix", text, FORMS)


def test_lines_go_to_a_file_without_colours(tmp_path: Path) -> None:
    lines = [(Span("blue", "title", 3), Span("  ")), (Span("x", "bad"),)]
    output.write(lines, output.Target(output.TEXT, str(tmp_path / "it.txt")))
    assert (tmp_path / "it.txt").read_text() == "blue\nx\n"


def test_text_is_as_wide_as_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert output.width() == 60


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.color() is None
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.color() is False


def test_a_program_that_is_on_the_path_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "weft"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", "/nowhere")
    assert output.program() == str(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert output.program() == "weft"
    monkeypatch.setattr(sys, "argv", ["/somewhere/pytest"])
    assert output.program() == "weft"


def test_a_document_says_the_same_in_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"name": "blue", "at": Path("/a b"), "nodes": [1, None]}
    read = {"name": "blue", "at": "/a b", "nodes": [1, None]}
    output.emit(output.Output.json, data, lambda: None)
    assert json.loads(capsys.readouterr().out) == read
    output.emit(output.Output.yaml, data, lambda: None)
    assert yaml.safe_load(capsys.readouterr().out) == read
