"""Tokens: read, made once, and asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft_lab.apiserver import auth, status


def test_tokens() -> None:
    found = auth.parse_tokens('t1\n# no\n\nt2,bob,7,"a,b"\n')
    assert found["t1"].name == "admin"
    assert found["t2"] == auth.User("bob", "7", ("a", "b", "system:authenticated"))
    assert auth.identify(found, "Bearer t2", nobody).name == "bob"
    for header in (None, "", "Bearer", "Basic t1"):
        assert auth.identify(found, header, nobody) == auth.ANONYMOUS
    with pytest.raises(status.ApiError, match="Unauthorized"):
        auth.identify(found, "Bearer t3", nobody)
    assert auth.identify(found, "Bearer t3", auth.User).name == "t3"


def nobody(_: str) -> None:
    """No token is signed."""


def test_a_token_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "a" / "tokens"
    token = auth.ensure_tokens(path)
    assert auth.ensure_tokens(path) == token
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
