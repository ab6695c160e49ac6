"""`weft check` on virtual machines, of which the lab knows what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import bad_input
from tests.unit.cli.test_check import IN_CLUSTER_ONLY, found, run

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "case",
    [c for c in bad_input.MACHINES if c.reason not in IN_CLUSTER_ONLY],
    ids=lambda case: case.name,
)
def test_it_says_what_the_cluster_would_say(case: bad_input.Case) -> None:
    messages = [one.message for one in found(case.obj)]
    assert any(all(word in one for word in case.words) for one in messages), messages


def test_examples_are_without_mistakes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(map(str, (ROOT / "examples").rglob("*.yaml")))
    assert files
    assert run(monkeypatch, *files) == 0
    *others, last = capsys.readouterr().out.strip().splitlines()
    assert ": 0 errors, 0 warnings, " in last
    assert all("not checked: ServiceAccount" in each or "RoleBinding" in each for each in others)
