"""Pages that name tests name such as there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"docs/explanation/security.md": 30, "docs/reference/explain.md": 30}
NAMED = [
    (page, *named)
    for page in PAGES
    for named in sorted(set(re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", (ROOT / page).read_text())))
]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_many(page: str) -> None:
    assert len(re.findall(r"`[\w/]+\.py(?:::\w+)?`", (ROOT / page).read_text())) > PAGES[page]


@pytest.mark.parametrize(("page", "path", "function"), NAMED)
def test_the_test_is_there(page: str, path: str, function: str) -> None:
    places = (ROOT / "tests" / path, ROOT / "lab/tests" / path)
    text = next(place for place in places if place.exists()).read_text()
    assert f"def {function}(" in text if function else "def test_" in text, page
