"""Cookies that only their console opens, and links that are good once."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.patience import PATIENCE
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


def test_a_notice_is_for_one_page_of_one_session() -> None:
    seal = sessions.Seal(is_login=False)
    one, two = seal.open(seal.close()), seal.open(seal.close())
    assert one is not None
    assert two is not None
    cookie = seal.note(one, "/policies", "It is deleted.")
    assert seal.notice_of(one, "/policies", cookie) == "It is deleted."
    assert seal.notice_of(two, "/policies", cookie) == ""
    assert seal.notice_of(one, "/events", cookie) == ""
    assert seal.notice_of(one, "/policies", sessions.Seal(is_login=False).close()) == ""
    assert seal.notice_of(one, "/policies", "It is deleted.") == ""
    assert seal.notice_of(one, "/policies", seal.close()) == "", "a session says nothing"
    assert seal.open(cookie) is None, "a notice lets nobody in"


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


def opened(seal: sessions.Seal, cookie: str) -> sessions.Session:
    found = seal.open(cookie)
    assert found is not None
    return found


async def test_a_log_out_refuses_the_cookie_and_ends_what_is_open() -> None:
    seal = sessions.Seal(is_login=True)
    cookie, other = seal.close("a"), seal.close("a")
    is_open = asyncio.Event()

    async def last(cookie: str) -> bool:
        async with seal.lasting(opened(seal, cookie), 10 * PATIENCE) as limit:
            is_open.set()
            await asyncio.Event().wait()
        return limit.expired()

    streams = [asyncio.create_task(last(each)) for each in (cookie, other)]
    await is_open.wait()
    session = opened(seal, cookie)
    seal.log_out(session)
    async with asyncio.timeout(PATIENCE):
        assert await streams[0]
    assert seal.open(cookie) is None
    async with asyncio.timeout(PATIENCE), seal.lasting(session, 10 * PATIENCE):
        await asyncio.Event().wait()
    assert opened(seal, other).token == "a"
    assert not streams[1].done()
    seal.log_out(opened(seal, other))
    assert await streams[1]


async def test_what_is_open_ends_with_its_session() -> None:
    seal = sessions.Seal(is_login=True)
    session = sessions.Session("id", "a", ends=0.0)
    async with asyncio.timeout(PATIENCE), seal.lasting(session, 10 * PATIENCE) as limit:
        await asyncio.Event().wait()
    assert limit.expired()


async def test_an_error_of_the_block_is_not_taken_for_its_end() -> None:
    seal = sessions.Seal(is_login=True)
    with pytest.raises(TimeoutError):
        async with seal.lasting(opened(seal, seal.close("a")), PATIENCE):
            raise TimeoutError


def test_so_many_log_outs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_LOGGED_OUT", 2)
    seal = sessions.Seal(is_login=True)
    cookies = [seal.close("a") for _ in range(3)]
    for each in cookies:
        seal.log_out(opened(seal, each))
    assert [seal.open(each) is None for each in cookies] == [False, True, True]
