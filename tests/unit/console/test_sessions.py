"""Cookies that only their console opens, and links that are good once."""

from __future__ import annotations

import pytest

from weft.console import sessions

OTHER = "gAAAAAAAAAAAfKH347R3aEKEyDcLGrkqYfJy1IUw"  # begins as a sealed one does


def test_a_cookie_holds_the_token_sealed() -> None:
    seal = sessions.Seal(is_login=True)
    cookie = seal.close("secret-token")
    assert "secret-token" not in cookie
    found = seal.open(cookie)
    assert found is not None
    assert found.token == "secret-token"
    assert "secret-token" not in repr(found)


def test_another_consoles_cookie_is_refused() -> None:
    assert sessions.Seal(is_login=True).open(sessions.Seal(is_login=True).close("a")) is None


@pytest.mark.parametrize("cookie", ["", "nonsense", "ü", OTHER])
def test_a_forged_cookie_is_refused(cookie: str) -> None:
    assert sessions.Seal(is_login=False).open(cookie) is None


def test_a_cookie_without_a_token_opens_no_console_with_login() -> None:
    seal = sessions.Seal(is_login=True)
    assert seal.open(seal.close("")) is None


def test_two_sessions_of_one_token_have_forms_of_their_own() -> None:
    seal = sessions.Seal(is_login=True)
    one, two = seal.open(seal.close("a")), seal.open(seal.close("a"))
    assert one is not None
    assert two is not None
    assert one.id != two.id


def test_the_longest_token_fits_into_a_cookie() -> None:
    cookie = sessions.Seal(is_login=True).close("x" * sessions.LONGEST_TOKEN)
    assert len(cookie) + len("weft-console-65535=") <= 4096


def test_a_link_is_good_once_and_another_one_is_announced() -> None:
    announced: list[str] = []
    links = sessions.Links(announced.append)
    first = announced[-1]
    assert not links.spend("wrong")
    assert not links.spend("")
    assert not links.spend("ü")
    assert len(announced) == 1
    assert links.spend(first)
    assert len(announced) == 2
    assert not links.spend(first)
    assert links.spend(announced[1])
