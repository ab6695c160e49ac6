"""docs/explanation/security.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = sorted(
    set(
        re.findall(
            r"`([\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/explanation/security.md").read_text()
        )
    )
)


def test_the_page_names_many() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("path", "function"), NAMED)
def test_the_test_is_there(path: str, function: str) -> None:
    places = (ROOT / "tests" / path, ROOT / "lab/tests" / path)
    text = next(place for place in places if place.exists()).read_text()
    assert f"def {function}(" in text if function else "def test_" in text
