"""How a lab is named on the command line, and what is said of it that can be pasted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import run
from weft_lab import spec
from weft_lab.cli import names


@pytest.fixture(autouse=True)
def own_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of labs with a blank in its path."""
    home = tmp_path / "my labs"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home / "weft"


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


def test_a_kubeconfig_with_blanks_in_its_path_can_be_pasted() -> None:
    assert names.export("/a b/config") == "export KUBECONFIG='/a b/config'"


def test_the_default_lab_needs_no_name() -> None:
    assert names.option(spec.DEFAULT_NAME) == ""
    assert names.option("mine") == " --name mine"


def test_ctrl_c_says_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), names.interruptible("mine"):
        raise KeyboardInterrupt
    err = capsys.readouterr().err
    assert "Interrupted: nothing of lab 'mine' runs; " in err
    assert "lab up --name mine starts it" in err
