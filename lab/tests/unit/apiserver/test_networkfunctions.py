"""Kubernetes' functions of addresses and subnets in CEL."""

from __future__ import annotations

import pytest

from weft_lab.apiserver.expressions import SELF, Expression, Faulty


def value(text: str, of: object = None) -> object:
    return Expression(text, SELF).value({"self": of, "oldSelf": None})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", True),
        ("10.0.0.1/8", True),  # bits behind the prefix are a matter of masked()
        ("fd00::/64", True),
        ("10.0.0.0", False),
        ("10.0.0.0/08", False),
        ("10.0.0.0/33", False),
        ("10.0.0.0/255.0.0.0", False),
        ("10.00.0.0/8", False),
        ("::ffff:10.0.0.0/104", False),
        ("fe80::1%eth0/64", False),
        ("", False),
    ],
)
def test_what_is_a_subnet(text: str, expected: bool) -> None:
    assert value("isCIDR(self)", text) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("10.0.0.1", True), ("fd00::1", True), ("::ffff:10.0.0.1", False)]
)
def test_what_is_an_address(text: str, expected: bool) -> None:
    assert value("isIP(self)", text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "cidr(self).ip().family() == 4",
        "cidr('fd00::/64').ip().family() == 6",
        "cidr(self).prefixLength() == 16",
        "cidr(self) != cidr(self).masked()",
        "cidr('10.1.0.0/16') == cidr(self).masked()",
        "cidr(self).containsIP('10.1.200.3')",
        "cidr(self).containsIP(ip('10.1.200.3'))",
        "!cidr(self).containsIP('10.2.0.1')",
        "!cidr(self).containsIP('fd00::1')",
        "cidr(self).containsCIDR('10.1.128.0/17')",
        "cidr(self).containsCIDR(cidr('10.1.0.0/16'))",
        "!cidr(self).containsCIDR('10.0.0.0/8')",
        "!cidr(self).containsCIDR('fd00::/64')",
        "ip('10.0.0.1') == ip('10.0.0.1')",
    ],
)
def test_what_holds_of_a_subnet(text: str) -> None:
    assert value(text, "10.1.0.7/16") is True


def test_what_is_no_subnet_has_no_value() -> None:
    with pytest.raises(Faulty):
        value("cidr(self).prefixLength() > 8", "no subnet")
