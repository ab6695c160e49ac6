"""DHCP options by code: typed values, and none that says more than it seems."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import dhcpcodes, errors, model
from weft.api import dhcpoptions
from weft.api.fields import Fields
from weft.ovn import dhcp

LONG = ".".join(["c" * 45, "d" * 45])  # 93 bytes in an option


def read(**options: Any) -> tuple[tuple[model.DhcpOption, ...], list[errors.InvalidInput]]:
    found: list[errors.InvalidInput] = []
    fields = Fields("NAD red/blue", "dhcp", options, found)
    return dhcpoptions.read(fields, dhcpoptions.NETWORK_KEYS), found


def test_by_code_and_by_name() -> None:
    made, found = read(
        options={"42": ["10.1.0.9", "10.1.0.10"], "bootfile_name": "pxelinux.0", "19": True},
        options6={"59": "tftp://[fd00:1::9]/boot", "31": "fd00:1::0009"},
    )
    assert not found
    assert made == (
        model.DhcpOption(4, 19, ("1",)),
        model.DhcpOption(4, 42, ("10.1.0.9", "10.1.0.10")),
        model.DhcpOption(4, 67, ("pxelinux.0",)),
        model.DhcpOption(6, 31, ("fd00:1::9",)),
        model.DhcpOption(6, 59, ("tftp://[fd00:1::9]/boot",)),
    )
    assert dhcp.rendered(made) == {
        "ip_forward_enable": "1",
        "ntp_server": "{10.1.0.9, 10.1.0.10}",
        "bootfile_name": '"pxelinux.0"',
    }


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"3": "10.1.0.1"}, "dhcp.options.3"),  # a router has a key of its own
        ({"54": "10.1.0.1"}, "dhcp.options.54"),
        ({"ntp": "10.1.0.1"}, "dhcp.options.ntp"),
        ({"42": "ntp.example"}, "dhcp.options.42"),
        ({"42": []}, "dhcp.options.42"),
        ({"42": ["10.1.0.1"] * 9}, "dhcp.options.42"),
        ({"16": ["10.1.0.1"]}, "dhcp.options.16"),
        ({"19": 1}, "dhcp.options.19"),
        ({"23": 256}, "dhcp.options.23"),
        ({"58": True}, "dhcp.options.58"),
        ({"67": ""}, "dhcp.options.67"),
        ({"67": "x" * 256}, "dhcp.options.67"),
        ({"67": 'x"); next; outport = "'}, "dhcp.options.67"),
        ({"67": "a\\"}, "dhcp.options.67"),
        ({"67": "a\nb"}, "dhcp.options.67"),
        ({"119": ["a b"]}, "dhcp.options.119"),
        ({"119": ["a"]}, "dhcp.options.119"),  # OVN writes beyond what it has for it
        ({"119": [LONG, LONG, "b" * 60 + ".example"]}, "dhcp.options.119"),
        ({"67": "a", "bootfile_name": "b"}, "dhcp.options.bootfile_name"),
        ({str(code): "10.1.0.1" for code in range(100, 117)}, "dhcp.options"),
    ],
)
def test_what_is_refused_is_named(options: dict[str, Any], field: str) -> None:
    _, (first, *_) = read(options=options)
    assert first.field == field
    assert first.rule


@given(st.sampled_from(sorted(dhcpcodes.V4)), st.text() | st.lists(st.text(), max_size=3))
def test_no_text_leaves_its_quotes(code: int, value: object) -> None:
    """Whatever somebody writes, what northd puts into an action is one token or list."""
    made, _ = read(options={str(code): value})
    for text in dhcp.rendered(made).values():
        inside = str(text)
        if inside.startswith('"'):
            assert inside.endswith('"')
            inside = inside[1:-1]
        assert not set(inside) & set('"\\')
        assert inside.isprintable()


def test_what_a_nic_is_given_is_read_again() -> None:
    options = {"67": "a", "42": ["10.1.0.9"], "19": False, "58": 60, "119": ["a.example"]}
    found: list[errors.InvalidInput] = []
    whole = {"dhcpOptions": options, "dhcpOptions6": {"59": "b"}}
    made = dhcpoptions.read(Fields("Pod a/b", "", whole, found), dhcpoptions.NIC_KEYS)
    again = Fields("Pod a/b", "", dhcpoptions.render(made), found)
    assert dhcpoptions.read(again, dhcpoptions.NIC_KEYS) == made
    assert not found


def test_search_domains_fill_an_option_and_no_more() -> None:
    made, found = read(options={"119": [LONG, LONG, "b" * 59 + ".example"]})
    assert not found
    (option,) = made
    assert sum(1 + len(each) + 1 for each in option.values) == 255
    assert dhcp.rendered(made) == {"domain_search_list": f'"{",".join(option.values)}"'}


def test_permits() -> None:
    found: list[errors.InvalidInput] = []
    given = {"dhcpOptions": ["67", "ntp_server"], "dhcpOptions6": ["59", "3"]}
    made = dhcpoptions.permits(Fields("NAD a/b", "permits", given, found))
    assert made == ((4, 42), (4, 67), (6, 59))
    assert [each.field for each in found] == ["permits.dhcpOptions6[1]"]
