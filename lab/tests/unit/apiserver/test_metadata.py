"""The names that objects may have."""

from __future__ import annotations

import pytest

from weft_lab.apiserver import metadata


@pytest.mark.parametrize("name", ["a", "a-b", "0a", "a.b.c"])
def test_good_names(name: str) -> None:
    assert metadata.validate_name(name, "subdomain") == []


@pytest.mark.parametrize("name", ["", "A", "a_", "-a", "a-", ".a", "a\n"])
def test_bad_names(name: str) -> None:
    assert metadata.validate_name(name, "subdomain") != []


def test_rules_for_names() -> None:
    assert metadata.validate_name("a.b", "label") != []
    assert metadata.validate_name("a" * 64, "label") != []
    assert metadata.validate_name("a/b", "path") != []
    assert metadata.validate_name("A_b", "path") == []
