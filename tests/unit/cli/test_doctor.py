from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.command import run
from weft.cli import labs
from weft.observe.checks import Finding, Verdict


class Machine:
    """Labs of a machine of which these things are found."""

    def __init__(self, folder: Path, *findings: Finding) -> None:
        self._folder, self._findings = folder, findings

    def machine_findings(self) -> Sequence[Finding]:
        return self._findings

    def kubeconfig(self, lab: str) -> Path:
        return self._folder / lab / "kubeconfig"

    def owner(self, kubeconfig: Path) -> str:
        return ""


def machine(monkeypatch: pytest.MonkeyPatch, folder: Path, *findings: Finding) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(labs, "installed", lambda: Machine(folder, *findings))


WELL = Finding(Verdict.OK, "Python", "3.12")
SLOW = Finding(Verdict.WARN, "/dev/kvm", "cannot be opened", "usermod -aG kvm USER")
NONE = Finding(Verdict.FAIL, "/dev/net/tun", "cannot be opened", "modprobe tun")


def test_a_machine_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, tmp_path, WELL, SLOW)
    assert run(monkeypatch, "doctor") == 0
    assert capsys.readouterr().out.splitlines() == [
        "machine",
        "ok    Python: 3.12",
        "warn  /dev/kvm: cannot be opened",
        "      usermod -aG kvm USER",
        "",
        "cluster",
        "      not checked: there is no cluster yet",
    ]


def test_a_failure_is_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, tmp_path, WELL, NONE)
    assert run(monkeypatch, "doctor machine -o json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["verdict"] for one in told["machine"]] == ["ok", "fail"]
    assert told["machine"][1]["remedy"] == "modprobe tun"


@pytest.mark.parametrize("words", ["doctor cluster", "doctor --kubeconfig nowhere"])
def test_a_cluster_that_was_asked_for_and_is_not_there_is_a_failure(
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(monkeypatch, tmp_path, WELL)
    assert run(monkeypatch, words) == 1
    assert "fail  API server: " in capsys.readouterr().out


def test_a_machine_without_the_package_of_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(labs, "installed", lambda: None)
    assert run(monkeypatch, "doctor") == 0
    assert "not checked: weft-lab is not installed" in capsys.readouterr().out
    assert run(monkeypatch, "doctor machine") == 1
    assert "pip install weft-lab" in capsys.readouterr().err
