"""Which cluster a command works on: the same words and the same order for all commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import run
from weft import errors
from weft.cli import clusters


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def test_a_kubeconfig_of_a_lab_means_that_lab(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = written(home / "state" / "weft" / "mine" / "kubeconfig")
    other = written(home / "a folder" / "config")
    assert clusters.choose(str(own)).lab == "mine"
    assert clusters.choose(str(other)) == clusters.Cluster(str(other))
    monkeypatch.setenv("KUBECONFIG", str(own))
    assert clusters.choose().lab == "mine"
    assert clusters.choose(str(other)).lab is None


def test_the_lab_weft_comes_before_the_usual_file(home: Path) -> None:
    usual = written(home / ".kube" / "config")
    assert clusters.choose(context="c") == clusters.Cluster(str(usual), "c")
    own = written(home / "state" / "weft" / "weft" / "kubeconfig")
    assert clusters.choose() == clusters.Cluster(str(own), "", "")


def test_a_lab_by_its_name_in_the_new_word_and_the_former_one(home: Path) -> None:
    chosen = clusters.choose(lab="its")
    assert chosen == clusters.choose(name="its")
    assert chosen.kubeconfig == str(home / "state" / "weft" / "its" / "kubeconfig")
    with pytest.raises(errors.InvalidInput, match="both choose the cluster"):
        clusters.choose(kubeconfig="x", lab="its")


def test_a_kubeconfig_that_is_not_there(home: Path) -> None:
    with pytest.raises(errors.Unavailable, match="there is no such kubeconfig") as caught:
        clusters.choose(str(home / "none")).client()
    assert caught.value.hint == "choose another with --kubeconfig"
    with pytest.raises(errors.Unavailable) as caught:
        clusters.choose().client()
    assert caught.value.hint == "weft lab up"


def test_a_lab_that_does_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "topology --name x") == 1
    err = capsys.readouterr().err
    assert "lab 'x': this lab is not running" in err
    assert "weft lab up --name x" in err


def test_topology_is_of_the_lab_that_is_meant(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(written(home / "state/weft/mine/kubeconfig")))
    assert run(monkeypatch, "topology") == 1
    assert "lab 'mine': this lab is not running" in capsys.readouterr().err
    assert run(monkeypatch, "topology --name other") == 1
    assert "lab 'other': this lab is not running" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["lab exec node1 -- true", "lab console web1", "lab reboot node1", "topology"]
)
def test_commands_work_in_the_lab_of_the_kubeconfig_unless_one_is_named(
    words: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(written(home / "state/weft/mine/kubeconfig")))
    assert run(monkeypatch, words) == 1
    assert "lab 'mine': this lab is not running" in capsys.readouterr().err
    command, _, rest = words.partition(" ")
    word, _, rest = rest.partition(" ") if command == "lab" else ("", "", rest)
    assert run(monkeypatch, f"{command} {word} --lab other {rest}") == 1
    assert "lab 'other': this lab is not running" in capsys.readouterr().err


def test_a_kubeconfig_of_another_cluster_leaves_the_lab_weft(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(written(home / ".kube" / "config")))
    assert run(monkeypatch, "lab exec node1 -- true") == 1
    assert "lab 'weft': this lab is not running" in capsys.readouterr().err


def test_a_lab_is_ended_by_its_name_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = written(home / "state/weft/mine/kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(own))
    assert run(monkeypatch, "lab down") == 0
    assert "Lab 'weft' was not there" in capsys.readouterr().out
    assert own.exists()
