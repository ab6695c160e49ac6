"""The certificates of a process and the bundle by which they are trusted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from weft.app import servingcertificate

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ("weft-webhook.weft-system.svc", "192.0.2.1")


def test_a_bundle_holds_all_copies_and_is_left_alone_then() -> None:
    one, two = (servingcertificate.make(NAMES, NOW) for _ in range(2))
    first = servingcertificate.bundle(b"", [one], NOW)
    both = servingcertificate.bundle(first, [two], NOW)
    assert first == one.pem
    assert sorted((one.pem, two.pem)) == sorted((both[: len(two.pem)], both[len(two.pem) :]))
    assert servingcertificate.bundle(both, [one], NOW) is both
    assert servingcertificate.bundle(both, [two], NOW) is both


def test_what_is_over_or_is_no_certificate_is_taken_out() -> None:
    old = servingcertificate.make(NAMES, NOW - 2 * servingcertificate.LIFE)
    own = servingcertificate.make(NAMES, NOW)
    for there in (old.pem, old.pem + own.pem, b"not a certificate"):
        assert servingcertificate.bundle(there, [own], NOW) == own.pem


def test_a_bundle_does_not_grow_for_ever() -> None:
    there = b""
    for hour in range(40):
        now = NOW + timedelta(hours=hour)
        own = servingcertificate.make(NAMES, now)
        there = servingcertificate.bundle(there, [own], now)
    assert there.count(b"BEGIN CERTIFICATE") == servingcertificate.MAX_CERTIFICATES
    assert own.pem in there


def test_the_next_one_comes_well_before_the_end() -> None:
    made = servingcertificate.make(NAMES, NOW)
    assert not made.is_due(NOW + servingcertificate.LIFE / 2)
    assert made.is_due(made.until - timedelta(days=2))
    assert b"PRIVATE KEY" not in made.pem
