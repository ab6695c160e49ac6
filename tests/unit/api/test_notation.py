"""What people write for addresses, subnets and MACs."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.api import notation


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("10.100.200.0/24", "10.100.200.0/24"),
        ("10.100.200.7/24", "10.100.200.0/24"),
        ("fd00:10::/64", "fd00:10::/64"),
        ("FD00:0010:0::1/64", "fd00:10::/64"),
    ],
)
def test_subnets(text: str, read: str) -> None:
    assert str(notation.subnet(text)) == read


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10.0.0.0", "must be a subnet"),
        ("10.0.0.0/255.255.255.0", "must be a subnet"),
        ("10.0.0.0/33", "must be a subnet"),
        ("10.0.0/24", "must be a subnet"),
        ("10.0.0.0/2４", "must be a subnet"),
        ("fe80::1%eth0/64", "must be a subnet"),
        ("224.0.0.0/24", "multicast"),
        ("127.0.0.0/8", "loopback"),
        ("0.0.0.0/0", "this network"),
        ("fe80::/64", "link-local"),
        ("ff05::/64", "multicast"),
        ("::ffff:10.0.0.0/120", "IPv4 addresses in IPv6 form"),
    ],
)
def test_subnets_refused(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        notation.subnet(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10.0.0.0/24", "subnet 10.0.0.0/24 itself"),
        ("10.0.0.255/24", "broadcast address of 10.0.0.0/24"),
        ("fd00::/64", "subnet fd00::/64 itself"),
        ("10.0.0.5", "prefix length"),
        ("10.0.0.5/", "prefix length"),
        ("127.0.0.1/8", "loopback"),
    ],
)
def test_interfaces_refused(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=re.escape(rule)):
        notation.interface(text)


@pytest.mark.parametrize("text", ["10.0.0.5/24", "10.0.0.0/31", "10.0.0.5/32", "fd00::ffff/112"])
def test_interfaces(text: str) -> None:
    assert str(notation.interface(text)) == text


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (notation.gateway, "127.0.0.1", "lies in 127.0.0.0/8, loopback addresses: no interface"),
        (notation.interface, "ff02::1/64", "lies in ff00::/8, multicast addresses: no interface"),
        (notation.subnet, "224.0.0.0/24", "lies in 224.0.0.0/4, multicast addresses: no interface"),
        (notation.subnet, "126.0.0.0/7", "contains 127.0.0.0/8, loopback addresses: no interface"),
        (notation.address, "fe80::1", "lies in fe80::/10, link-local addresses, which every"),
    ],
)
def test_what_is_said_of_the_unusable(
    read: Callable[[str], object], text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        read(text)


@pytest.mark.parametrize("text", ["02:00:00:AB:cd:01", "02-00-00-ab-cd-01", "0200.00ab.cd01"])
def test_macs(text: str) -> None:
    assert notation.mac(text) == "02:00:00:ab:cd:01"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("02:00:00:00:00", "six bytes"),
        ("02:00:00:00:00:0g", "six bytes"),
        ("02:00-00:00:00:01", "six bytes"),
        ("02:00:00:00:00:00:00:01", "six bytes"),
        ("01:00:00:00:00:01", "unicast"),
        ("ff:ff:ff:ff:ff:ff", "unicast"),
        ("00:00:00:00:00:00", "zeros"),
    ],
)
def test_macs_refused(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        notation.mac(text)


@pytest.mark.parametrize(
    "read", [notation.subnet, notation.address, notation.interface, notation.mac]
)
@given(text=st.text() | st.from_regex(r"[0-9a-f:./]{1,40}"))
def test_nothing_but_a_rule_comes_of_any_text(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ValueError as error:
        rule = str(error)
    else:
        return
    assert rule.split(" ", 1)[0] in ("must", "is", "lies", "contains")


def test_a_gateway_may_be_link_local() -> None:
    """Most IPv6 routers are reached by such an address alone."""
    assert str(notation.gateway("fe80::1")) == "fe80::1"
    assert str(notation.gateway("10.1.0.1")) == "10.1.0.1"
    with pytest.raises(ValueError, match="link-local addresses, which every interface has anyway"):
        notation.address("fe80::1")
    for text in ("fe80::1%net1", "fe80::1/64", "fe80::", "ff02::1", "x"):
        with pytest.raises(ValueError, match=r"must be an address|no interface can"):
            notation.gateway(text)
