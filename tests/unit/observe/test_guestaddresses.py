"""What guests report is input: what is no plain address is passed over, and there is a bound."""

from typing import Any

import pytest

from weft.observe import guestaddresses


@pytest.mark.parametrize(
    ("nic", "found"),
    [
        ({"ipAddresses": ["10.9.0.7/24", "fe80::1/64"]}, ["10.9.0.7/24", "fe80::1/64"]),
        ({"ipAddress": "10.9.0.7", "ipAddresses": ["10.9.0.7"]}, ["10.9.0.7/32"]),
        ({"ipAddress": "10.9.0.7"}, ["10.9.0.7/32"]),
        ({"ipAddresses": None, "ipAddress": ""}, []),
        ({"ipAddresses": ["no address", "", "10.9.0.7/99", 7.5, None]}, []),
        ({"ipAddresses": ["fe80::1%eth0", "fe80::1%x || ip/64", "10.9.0.7"]}, ["10.9.0.7/32"]),
        ({}, []),
    ],
)
def test_addresses_that_a_guest_reports(nic: dict[str, Any], found: list[str]) -> None:
    assert [str(each) for each in guestaddresses.of(nic)] == found


def test_a_guest_reports_a_bounded_number_of_addresses() -> None:
    many = {
        "ipAddresses": ["x", *(f"10.9.{number // 250}.{number % 250}" for number in range(999))]
    }
    assert len(guestaddresses.of(many)) == guestaddresses.MOST


def test_a_nic_is_found_at_its_own_instance() -> None:
    def instance(namespace: str, **nic: Any) -> dict[str, Any]:
        meta = {"namespace": namespace, "name": "vm1"}
        return {"metadata": meta, "status": {"interfaces": [{"mac": "0A:58:00:00:00:01", **nic}]}}

    mine, others = instance("default", name="mine"), instance("shop", name="other")
    empty = {"metadata": {"namespace": "default", "name": "vm2"}}
    found = guestaddresses.nics([mine, others, empty])
    assert found["default", "vm1", "0a:58:00:00:00:01"]["name"] == "mine"
    assert found["shop", "vm1", "0a:58:00:00:00:01"]["name"] == "other"
    assert len(found) == 2
