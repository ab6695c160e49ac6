"""Which requests a console takes: Host, Origin, Sec-Fetch-Site, and the token of forms."""

from __future__ import annotations

import pytest

from weft.console import guard

SITE = guard.site("http", 8420, ("127.0.0.1", "localhost"))


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1:8420", True),
        ("LOCALHOST:8420", True),
        ("127.0.0.1", False),
        ("127.0.0.1:8421", False),
        ("evil.example:8420", False),
        ("", False),
    ],
)
def test_a_name_that_was_made_to_lead_here_is_no_host(host: str, is_own: bool) -> None:
    assert guard.is_own_host(SITE, {"Host": host}) is is_own


def test_the_usual_port_may_be_left_out_and_ipv6_has_brackets() -> None:
    site = guard.site("https", 443, ("console.example", "2001:db8::1"))
    assert guard.is_own_host(site, {"Host": "console.example"})
    assert guard.is_own_host(site, {"Host": "[2001:db8::1]:443"})


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"Origin": "http://127.0.0.1:8420"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://127.0.0.1:8420", "Sec-Fetch-Site": "same-origin"}, True),
        ({}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:9000"}, False),
        ({"Origin": "https://127.0.0.1:8420"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://127.0.0.1:8420", "Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_writes_come_from_own_pages_alone(headers: dict[str, str], is_own: bool) -> None:
    assert guard.is_from_own_page(SITE, headers) is is_own


def test_a_link_from_elsewhere_is_followed_and_a_frame_or_picture_is_not() -> None:
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert not guard.is_led_from_elsewhere({})
    assert not guard.is_led_from_elsewhere({**cross, "Sec-Fetch-Mode": "navigate"})
    assert guard.is_led_from_elsewhere({**cross, "Sec-Fetch-Mode": "no-cors"})


def test_a_forms_token_is_of_one_session() -> None:
    token = guard.form_token(b"key", "mine")
    assert guard.is_form_token(b"key", "mine", token)
    assert not guard.is_form_token(b"key", "another", token)
    assert not guard.is_form_token(b"other", "mine", token)
    assert not guard.is_form_token(b"key", "mine", "ünicode")


def test_the_policy_lets_no_inline_script_run() -> None:
    policy = guard.HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("fetched", "starts", "probes"),
    [
        ("same-origin", True, True),
        ("none", True, False),
        ("same-site", False, False),
        ("cross-site", False, False),
        ("", False, False),
    ],
)
def test_jobs_start_where_no_other_site_has_led(fetched: str, starts: bool, probes: bool) -> None:
    headers = {"Sec-Fetch-Site": fetched} if fetched else {}
    assert guard.is_led_by_own(headers) is starts
    assert guard.is_led_by_own(headers, by_page=True) is probes
