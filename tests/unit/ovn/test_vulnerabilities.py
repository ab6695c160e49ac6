"""Which versions have which faults, and what is told of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.ovn import vulnerabilities

DHCPV6 = next(fault for fault in vulnerabilities.KNOWN if fault.name == "CVE-2026-5367")


@pytest.mark.parametrize(
    ("text", "is_in"),
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
def test_a_fault_is_in_a_series_until_it_is_mended_there(text: str, is_in: bool) -> None:
    version = vulnerabilities.parse(text)
    assert version is not None
    assert DHCPV6.is_in(version) is is_in


def test_debian_13_is_reported_what_is_open_first_and_where_it_is_mended() -> None:
    told = vulnerabilities.report("25.03.0-20.41.0-78.8")
    assert told.exposure is vulnerabilities.Exposure.EXPLOITABLE
    assert told.status == "True"
    assert told.message.startswith("OVN 25.03.0 has known faults: CVE-2026-5265, fixed in 25.03.3")
    assert "CVE-2026-5367" in told.message
    assert len(told.message) < 1024  # an Event's limit


def test_what_user_space_drops_is_open_to_nobody_there() -> None:
    told = vulnerabilities.report("25.03.0", in_userspace=True)
    assert told.exposure is vulnerabilities.Exposure.NOT_EXPLOITABLE
    assert "OVS in user space drops" in told.message


def test_what_is_shielded_is_reported_as_such() -> None:
    told = vulnerabilities.report("25.03.0", [DHCPV6])
    assert (told.exposure, told.status) == (vulnerabilities.Exposure.NOT_EXPLOITABLE, "True")


def test_a_sound_version_and_one_that_is_not_said() -> None:
    sound = vulnerabilities.report("26.03.1-21.0.0-80.0")
    assert (sound.exposure, sound.status) == (vulnerabilities.Exposure.NONE_KNOWN, "False")
    for text in ("", "master", "25.03"):
        told = vulnerabilities.report(text)
        assert (told.exposure, told.status) == (vulnerabilities.Exposure.UNKNOWN, "Unknown")


@given(st.tuples(st.integers(20, 30), st.integers(1, 12), st.integers(0, 20)))
def test_every_faulty_version_has_a_remedy_that_is_sound(version: vulnerabilities.Version) -> None:
    for fault in vulnerabilities.KNOWN:
        if fault.is_in(version):
            remedy = fault.remedy(version)
            assert remedy > version
            assert not fault.is_in(remedy)
    assert vulnerabilities.parse(vulnerabilities.dotted(version)) == version


def test_each_says_where_that_is_known_from() -> None:
    assert all(fault.source for fault in vulnerabilities.KNOWN)
