"""What the commands of a lab say."""

from __future__ import annotations

import pytest

from tests.unit.cli.test_main import run
from weft_lab.cli import lab


@pytest.mark.parametrize(
    ("started", "before", "nodes", "said"),
    [
        (True, 0, 3, "Lab 'a' is up: 3 nodes."),
        (True, 3, 1, "Lab 'a' is up: 1 node."),
        (False, 3, 3, "Lab 'a' was up already: 3 nodes."),
        (False, 3, 4, "Lab 'a' has 4 nodes now, 3 before."),
        (False, 3, 1, "Lab 'a' has 1 node now, 3 before."),
    ],
)
def test_up_says_what_became_of_the_lab(started: bool, before: int, nodes: int, said: str) -> None:
    found = {"name": "a", "started": started, "lab": {"nodes": nodes}}
    assert lab.became(found, before) == said


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
