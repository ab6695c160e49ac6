"""A command of weft as its user types it, run in the test's own process."""

from __future__ import annotations

import pytest

from weft.cli import main


def run(monkeypatch: pytest.MonkeyPatch, words: str) -> int:
    """The exit status."""
    monkeypatch.setattr("sys.argv", ["weft", *words.split()])
    try:
        return main.main()
    except SystemExit as end:
        return int(end.code or 0)
