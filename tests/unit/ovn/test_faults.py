"""Which versions have which faults, and what is told of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.ovn import faults

DHCPV6 = next(fault for fault in faults.KNOWN if fault.name == "CVE-2026-5367")


@pytest.mark.parametrize(
    ("said", "is_in"),
    [
        ("25.03.0-20.41.0-78.8", True),
        ("25.03.2", True),
        ("25.03.3", False),
        ("25.03.10", False),
        ("25.09.2", True),
        ("25.09.3", False),
        ("26.03.0", True),
        ("26.03.1", False),
        ("26.09.0", False),
        ("24.03.7", True),
        ("24.03.8", False),
        ("23.03.1", True),  # never mended
        ("24.09.3", True),
    ],
)
def test_a_fault_is_in_a_series_until_it_is_mended_there(said: str, is_in: bool) -> None:
    version = faults.parse(said)
    assert version is not None
    assert DHCPV6.is_in(version) is is_in


def test_debian_13_is_told_what_is_open_first_and_where_it_is_mended() -> None:
    told = faults.report("25.03.0-20.41.0-78.8")
    assert told.standing is faults.Standing.OPEN
    assert told.status == "True"
    assert told.message.startswith("OVN 25.03.0 has known faults: CVE-2026-5265, fixed in 25.03.3")
    assert "CVE-2026-5367" in told.message
    assert len(told.message) < 1024  # an Event's limit


def test_what_user_space_drops_is_open_to_nobody_there() -> None:
    told = faults.report("25.03.0", in_user_space=True)
    assert told.standing is faults.Standing.SHIELDED
    assert "OVS in user space drops" in told.message


def test_what_is_shielded_is_told_as_such() -> None:
    told = faults.report("25.03.0", [DHCPV6])
    assert (told.standing, told.status) == (faults.Standing.SHIELDED, "True")


def test_a_sound_version_and_one_that_is_not_said() -> None:
    sound = faults.report("26.03.1-21.0.0-80.0")
    assert (sound.standing, sound.status) == (faults.Standing.NONE_KNOWN, "False")
    for said in ("", "master", "25.03"):
        told = faults.report(said)
        assert (told.standing, told.status) == (faults.Standing.UNKNOWN, "Unknown")


@given(st.tuples(st.integers(20, 30), st.integers(1, 12), st.integers(0, 20)))
def test_every_faulty_version_has_a_remedy_that_is_sound(version: faults.Version) -> None:
    for fault in faults.KNOWN:
        if fault.is_in(version):
            remedy = fault.remedy(version)
            assert remedy > version
            assert not fault.is_in(remedy)
    assert faults.parse(faults.shown(version)) == version


def test_each_says_where_that_is_known_from() -> None:
    assert all(fault.source for fault in faults.KNOWN)
