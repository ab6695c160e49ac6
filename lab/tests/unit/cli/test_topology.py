"""Which lab `weft topology` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.test_main import run


@pytest.fixture(autouse=True)
def no_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_a_lab_that_does_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "topology --name x") == 1
    said = capsys.readouterr().err
    assert "lab 'x': this lab is not running" in said
    assert "weft lab up --name x" in said


def test_a_kubeconfig_of_a_lab_means_that_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "weft" / "mine" / "kubeconfig"
    own.parent.mkdir(parents=True)
    own.write_text("x")
    monkeypatch.setenv("KUBECONFIG", str(own))
    assert run(monkeypatch, "topology") == 1
    assert "lab 'mine': this lab is not running" in capsys.readouterr().err
    assert run(monkeypatch, "topology --name other") == 1
    assert "lab 'other': this lab is not running" in capsys.readouterr().err
