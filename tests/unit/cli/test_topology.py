"""What the command refuses, in words; no database is needed for that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command import run
from weft.app import settings


@pytest.fixture(autouse=True)
def no_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


def test_a_lab_and_a_node_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "topology --name x --nb unix:/nowhere") == 1
    assert '--name "x": cannot be combined' in capsys.readouterr().err


def test_a_machine_that_is_no_node_and_a_cluster_that_is_no_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "a cluster"
    other.write_text("x")
    monkeypatch.setenv("KUBECONFIG", str(other))
    monkeypatch.setattr(settings, "NB", replace(settings.NB, default=f"unix:{tmp_path}/none"))
    assert run(monkeypatch, "topology") == 1
    err = capsys.readouterr().err
    assert "there are no OVN databases on this machine" in err
    assert "name a lab with --lab" in err


def test_two_pictures_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "topology --logical --physical") == 1
    assert "--logical: cannot be combined with --physical" in capsys.readouterr().err


def test_a_node_without_databases(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "topology --nb unix:/nowhere/a --sb unix:/nowhere/b") == 1
    err = capsys.readouterr().err
    assert "cannot connect" in err
    assert "is the database server running?" in err
