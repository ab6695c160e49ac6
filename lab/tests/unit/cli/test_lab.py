"""What the commands of a lab say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import run
from weft_lab import spec, state
from weft_lab.cli import lab


@pytest.mark.parametrize(
    ("started", "before", "nodes", "sentence"),
    [
        (True, 0, 3, "Lab 'a' is up: 3 nodes."),
        (True, 3, 1, "Lab 'a' is up: 1 node."),
        (False, 3, 3, "Lab 'a' was up already: 3 nodes."),
        (False, 3, 4, "Lab 'a' has 4 nodes now, 3 before."),
        (False, 3, 1, "Lab 'a' has 1 node now, 3 before."),
    ],
)
def test_up_says_what_became_of_the_lab(
    started: bool, before: int, nodes: int, sentence: str
) -> None:
    found = {"name": "a", "started": started, "lab": {"nodes": nodes}}
    assert lab.became(found, before) == sentence


def test_a_name_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lab up --name Bad!") == 1
    assert 'name "Bad!"' in capsys.readouterr().err


def test_defaults_are_shown_of_each_setting_of_a_lab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lab up --help") == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for default in ("3", "1500", "as last time", "netdev", "weft", "10.128.0.0/14/23"):
        assert f"[default: {default}]" in shown


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/img", "/img"),
        ("img", "{here}/img"),
        ("qcow2:img", "qcow2:{here}/img"),
        ("./a:b", "{here}/a:b"),
        ("raw:/img", "raw:/img"),
    ],
)
def test_a_folder_is_named_from_where_one_stands(
    typed: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab.absolute(typed) == kept.format(here=tmp_path)


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
