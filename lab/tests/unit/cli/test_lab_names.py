"""How a lab is named on the command line, and what is said of it that can be pasted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.unit.cli.test_main import run
from weft.cli import main, output
from weft_lab import spec, state
from weft_lab.cli import names


@pytest.fixture(autouse=True)
def own_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of labs with a blank in its path."""
    home = tmp_path / "my labs"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home / "weft"


def made(name: str, nodes: int) -> None:
    folder = state.Folder.of(name)
    folder.make()
    folder.store(spec.Lab(name=name, nodes=nodes))


@pytest.mark.parametrize(
    "words",
    ["lab up -n x", "lab status -nx", "lab down -n x", "lab exec -n x node1 -- true", "demo -n x"],
)
def test_n_is_a_namespace_and_the_former_meaning_is_refused_with_the_new_word(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, words) == 1
    assert "-n: is a namespace in all commands: a lab is named by --name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "lab exec node1 -- head -n 1",
        "lab exec node1 head -n 1",
        "lab exec --name other node1 head -n 1",
        "lab console -n shop db",
    ],
)
def test_n_of_what_runs_in_the_lab_is_its_own(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, words) == 1
    assert "this lab is not running" in capsys.readouterr().err


def test_labs_are_listed_whether_they_run_or_not(
    own_labs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lab list") == 0
    assert capsys.readouterr().out.startswith("There is no lab. ")
    made("one", 3)
    made("two", 5)
    (own_labs / "two" / "lab.json").write_text("{")
    (own_labs / "no-lab").mkdir()
    assert run(monkeypatch, "lab list") == 0
    lines = [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines] == [
        ["lab", "state", "nodes"],
        ["one", "stopped", "3"],
        ["two", "broken", "0"],
    ]
    assert lines[1][3] == str(own_labs / "one" / "kubeconfig")
    assert run(monkeypatch, "lab list -o json") == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["one", "two"]


def test_a_kubeconfig_with_blanks_in_its_path_can_be_pasted() -> None:
    assert names.export("/a b/config") == "export KUBECONFIG='/a b/config'"


def test_the_default_lab_needs_no_name() -> None:
    assert names.option(spec.DEFAULT_NAME) == ""
    assert names.option("mine") == " --name mine"


def test_ctrl_c_says_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), names.interruptible("mine"):
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert "Interrupted: nothing of lab 'mine' runs; " in said
    assert "lab up --name mine starts it" in said


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("weft lab up --name x", "'/my venv/bin/weft' lab up --name x"),
        ("run weft as root", "run weft as root"),
        ("set KUBECONFIG, or weft topology", "set KUBECONFIG, or '/my venv/bin/weft' topology"),
    ],
)
def test_hints_show_the_command_as_it_was_called(
    hint: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/my venv/bin/weft"])
    assert main.pasteable(hint) == shown


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
