"""The allocation annotation: to the letter as ovn-kubernetes writes it, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors, model, names, tunnelkeys
from weft.api import podnetworks
from weft.migration import Migration


def pod(text: str) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "shop",
            "name": "web1",
            "annotations": {names.POD_NETWORKS: text},
        }
    }


ONE = model.Allocation("0a:58:0a:64:00:01", (ip_interface("10.100.0.1/16"),), 12)
ONE_TEXT = (
    '{"default/ovn-k-1":{"ip_addresses":["10.100.0.1/16"],"mac_address":"0a:58:0a:64:00:01",'
    '"ip_address":"10.100.0.1/16","tunnel_id":12,"role":"secondary"}}'
)


def test_one_address_to_the_letter() -> None:
    assert podnetworks.render({"default/ovn-k-1": ONE}) == ONE_TEXT
    assert podnetworks.parse(pod(ONE_TEXT)) == {"default/ovn-k-1": ONE}


def test_the_clusters_own_network_only_where_weft_serves_it() -> None:
    own = model.Allocation(
        mac="0a:58:0a:80:02:03",
        addresses=(ip_interface("10.128.2.3/23"),),
        gateways=(ip_address("10.128.2.1"),),
        role="primary",
    )
    text = (
        '{"default":{"ip_addresses":["10.128.2.3/23"],"mac_address":"0a:58:0a:80:02:03",'
        '"gateway_ips":["10.128.2.1"],"ip_address":"10.128.2.3/23","gateway_ip":"10.128.2.1",'
        '"role":"primary"}}'
    )
    assert podnetworks.render({"default": own}) == text
    assert podnetworks.parse(pod(text), primary=True) == {"default": own}
    assert podnetworks.parse(pod(text)) == {}


def test_everything_to_the_letter() -> None:
    full = model.Allocation(
        mac="0a:58:0a:01:00:05",
        addresses=(ip_interface("10.1.0.5/24"), ip_interface("fd00::5/64")),
        tunnel_id=12,
        gateways=(ip_address("10.1.0.1"),),
        routes=(model.Route(ip_network("10.0.0.0/8"), ip_address("10.1.0.1")),),
    )
    text = (
        '{"ns1/blue":{"ip_addresses":["10.1.0.5/24","fd00::5/64"],"mac_address":'
        '"0a:58:0a:01:00:05","gateway_ips":["10.1.0.1"],"routes":[{"dest":"10.0.0.0/8",'
        '"nextHop":"10.1.0.1"}],"gateway_ip":"10.1.0.1","tunnel_id":12,"role":"secondary"}}'
    )
    assert podnetworks.render({"ns1/blue": full}) == text
    assert podnetworks.parse(pod(text)) == {"ns1/blue": full}


def test_without_addresses_to_the_letter() -> None:
    bare = model.Allocation("0a:58:00:00:00:01", tunnel_id=10)
    text = (
        '{"a/b":{"ip_addresses":null,"mac_address":"0a:58:00:00:00:01","tunnel_id":10,'
        '"role":"secondary"}}'
    )
    assert podnetworks.render({"a/b": bare}) == text
    assert podnetworks.parse(pod(text)) == {"a/b": bare}


def test_keys_are_sorted_and_foreign_entries_stay() -> None:
    foreign = '{"default":{"ip_addresses":["10.0.0.3/24"],"mac_address":"x","new":1}}'
    text = podnetworks.render({"z/z": ONE, "a/a": ONE}, onto=foreign)
    assert list(json.loads(text)) == ["a/a", "default", "z/z"]
    assert json.loads(text)["default"] == json.loads(foreign)["default"]
    assert podnetworks.parse(pod(text)) == {"a/a": ONE, "z/z": ONE}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", {}),
        ("{}", {}),
        ('{"a/b":{"ip_addresses":null,"mac_address":""}}', {}),
        ('{"a/b":{}}', {}),
        (
            '{"a/b":{"ip_address":"10.1.0.5/24","mac_address":"0A:58:0a:01:00:05"}}',
            {"a/b": model.Allocation("0a:58:0a:01:00:05", (ip_interface("10.1.0.5/24"),))},
        ),
    ],
)
def test_entries_of_others(text: str, read: dict[str, model.Allocation]) -> None:
    assert podnetworks.parse(pod(text)) == read


@pytest.mark.parametrize(
    ("text", "field", "rule"),
    [
        ('{"a/b":', "", "not valid JSON"),
        ("[]", "", "must hold a JSON object, not a list"),
        ('{"a/b":5}', "['a/b']", "must be an object"),
        ('{"a/b":{"mac_address":"x"}}', "['a/b'].mac_address", "six bytes"),
        ('{"a/b":{"ip_addresses":["10.1.0.5"]}}', "['a/b'].ip_addresses[0]", "prefix length"),
        ('{"a/b":{"ip_addresses":["fd00::5%x/64"]}}', "['a/b'].ip_addresses[0]", "no scope"),
        ('{"a/b":{"ip_addresses":["x/24"]}}', "['a/b'].ip_addresses[0]", "does not appear"),
        ('{"a/b":{"tunnel_id":40000}}', "['a/b'].tunnel_id", "from 1 to 32767"),
        ('{"a/b":{"routes":5}}', "['a/b'].routes", "list of objects"),
        (
            '{"a/b":{"routes":[{"dest":"0.0.0.0/0","nextHop":"10.1.0.1"}]}}',
            "['a/b'].routes[0].dest",
            "gateway_ips",
        ),
        ('{"a/b":{"mac_address":"\\ud800"}}', "", "not usable JSON"),
    ],
)
def test_refused(text: str, field: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        podnetworks.parse(pod(text))
    assert caught.value.field == names.POD_NETWORKS + field
    assert rule in caught.value.rule


MACS = st.integers(1, 2**48 - 1).map(
    lambda number: ((number & ~(1 << 40)) | (2 << 40)).to_bytes(6, "big").hex(":")
)
INTERFACES = st.builds(
    lambda value, length: IPv4Interface((value, length)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
) | st.builds(
    lambda value, length: IPv6Interface((value, length)),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)
ALLOCATIONS = st.builds(
    model.Allocation,
    mac=MACS,
    addresses=st.lists(INTERFACES, max_size=3).map(tuple),
    tunnel_id=st.integers(0, tunnelkeys.LAST_TUNNEL_KEY),
    gateways=st.lists(st.ip_addresses(), max_size=2).map(tuple),
    routes=st.lists(
        st.builds(
            model.Route,
            INTERFACES.filter(lambda each: each.network.prefixlen > 0).map(
                lambda each: each.network
            ),
            st.ip_addresses(),
        ),
        max_size=2,
    ).map(tuple),
)
KEYS = st.from_regex(r"[a-z]{1,5}/[a-z]{1,5}(/[1-9])?", fullmatch=True)


@given(st.dictionaries(KEYS, ALLOCATIONS, max_size=4))
def test_what_is_rendered_reads_back(allocations: dict[str, model.Allocation]) -> None:
    text = podnetworks.render(allocations)
    assert podnetworks.parse(pod(text)) == allocations
    assert podnetworks.render(allocations, onto=text) == text


def test_a_migrations_target_says_whose_allocation_it_shares() -> None:
    text = ONE_TEXT.replace(
        '"role":"secondary"',
        '"role":"secondary","migration":{"source":"launcher-1","sourceUID":"u1","active":false}',
    )
    shared = replace(ONE, migration=Migration("launcher-1", "u1"))
    assert podnetworks.render({"default/ovn-k-1": shared}) == text
    assert podnetworks.parse(pod(text)) == {"default/ovn-k-1": shared}
    moved = podnetworks.parse(pod(text.replace("false", "true")))["default/ovn-k-1"]
    assert moved.migration == Migration("launcher-1", "u1", is_active=True)


@pytest.mark.parametrize(
    "broken", ["{}", '{"source": "launcher-1"}', '{"source": 1, "sourceUID": "u"}', '"a"']
)
def test_a_migration_without_a_source_is_refused(broken: str) -> None:
    text = ONE_TEXT.replace('"role"', f'"migration":{broken},"role"')
    with pytest.raises(errors.InvalidInput, match="migration"):
        podnetworks.parse(pod(text))
