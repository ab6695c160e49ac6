"""What commands do where the package weft-lab is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import run
from weft.cli import clusters, labs, mistakes
from weft.control.cluster import nads


@pytest.fixture(autouse=True)
def no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labs, "installed", lambda: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


@pytest.mark.parametrize("words", ["matrix blue --lab x", "topology --lab x"])
def test_a_lab_is_missing_with_its_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    assert run(monkeypatch, words) == 1
    assert capsys.readouterr().err == (
        "Error: a lab is in the package weft-lab, which is not installed\n"
        "  pip install weft-lab, or set KUBECONFIG\n"
    )


def test_where_there_is_no_cluster_a_lab_is_offered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "matrix blue") == 1
    err = capsys.readouterr().err
    assert "no cluster is chosen" in err
    assert "set KUBECONFIG, or try a lab: pip install weft-lab" in err


def test_every_kubeconfig_is_some_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert clusters.choose().lab is None


def test_of_a_virtual_machine_the_networks_are_checked_and_the_rest_is_not() -> None:
    vm = {
        "kind": "VirtualMachine",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"domain": {"no": "such field"}}}},
    }
    rules = nads.Rules(underlay_mtu=1500)
    (one,) = mistakes.find([("f", vm)], rules, "default")
    assert one.verdict == "not checked"
    assert one.message == (
        "VirtualMachine default/web: only its networks are checked; the rest is in the package"
        " weft-lab, which is not installed (pip install weft-lab)"
    )
