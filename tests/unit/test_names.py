"""Derived names: as the field knows them where that is safe, and never one for two."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weft import names, tunnelkeys

LABEL = st.from_regex(r"[ab]([ab-]{0,2}[ab])?", fullmatch=True)
NAD_NAME = st.from_regex(r"[ab]([ab.-]{0,2}[ab])?", fullmatch=True)
KEYS = st.builds(
    lambda namespace, name, repetition: f"{namespace}/{name}{repetition}",
    LABEL,
    NAD_NAME,
    st.sampled_from(("", "/1", "/2")),
)
NETWORKS = st.from_regex(r"[ab][ab._-]{0,4}", fullmatch=True)


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("ovn-k-1", "ovn.k.1_"),
        ("default/ovn-k-1", "default.ovn.k.1_"),
    ],
)
def test_plain_keys_fold_as_the_field_does(key: str, prefix: str) -> None:
    assert names.prefix(key) == prefix


@given(KEYS, LABEL, LABEL, KEYS, LABEL, LABEL)
def test_two_attachments_never_share_a_port(
    key: str, namespace: str, pod: str, other: str, other_namespace: str, other_pod: str
) -> None:
    same = names.logical_port(key, namespace, pod) == names.logical_port(
        other, other_namespace, other_pod
    )
    assert same is ((key, namespace, pod) == (other, other_namespace, other_pod))


@given(NETWORKS, KEYS, LABEL, st.sampled_from(("advertiser", "a")))
@example("a-b_c", "a/b", "c", "advertiser")
@example("a-b", "a/b", "ovn", "advertiser")
def test_no_pod_has_the_port_of_an_advertiser(
    network: str, key: str, namespace: str, pod: str
) -> None:
    assert names.advertiser_port(network) != names.logical_port(key, namespace, pod)


@given(NETWORKS, NETWORKS)
def test_two_networks_never_share_a_switch(one: str, other: str) -> None:
    assert (names.layer2_switch(one) == names.layer2_switch(other)) is (one == other)


def test_owners_read_back() -> None:
    assert names.owner_parts(names.pod_owner("shop", "web1")) == ("Pod", "shop", "web1")
    assert names.owner_parts(names.network_owner("a/b")) == ("Network", "", "a/b")
    assert names.owner_parts(names.node_owner("node1")) == ("Node", "", "node1")


def test_datapath_keys_stay_in_northds_free_range() -> None:
    assert tunnelkeys.datapath_key(0) == 16711683
    assert tunnelkeys.datapath_key(tunnelkeys.MAX_NETWORKS - 1) < 2**24


def test_no_two_datapaths_of_a_zone_have_one_key() -> None:
    kinds = ("node switch", "cluster router", "join switch", "gateway router", "external switch")
    ends = (0, tunnelkeys.MAX_NETWORKS - 1)
    keys = [tunnelkeys.local_datapath_key(kind, number) for kind in kinds for number in ends]
    assert sorted(set(keys)) == keys
    assert keys[-1] < tunnelkeys.datapath_key(0)


def test_the_default_networks_names_are_nobody_elses() -> None:
    """They have no prefix, so a network must not be able to spell one of them."""
    assert names.node_switch(names.DEFAULT_NETWORK, "node1") == "node1"
    assert names.logical_port(names.DEFAULT_NETWORK, "shop", "web") == "shop_web"
    assert names.node_switch("ext", "node1") != names.external_switch("node1")
    assert names.node_switch("GR", "node1") != names.gateway_router("node1")
    assert names.node_switch("transit", "switch") != names.transit_switch(names.DEFAULT_NETWORK)


def test_a_mac_follows_from_an_address() -> None:
    assert names.address_mac("100.88.1.2") == "0a:58:64:58:01:02"
    assert names.address_mac("fd97::102").startswith("0a:58:")


def test_a_long_name_of_an_acl_ends_in_what_it_is_and_is_nobody_elses() -> None:
    assert names.acl_name("NP:ns:guard", "Ingress", 3) == "NP:ns:guard:Ingress:3"
    found = {names.acl_name("NP:" + "n" * 60 + end, "Ingress", 3) for end in ("", "a", "b")}
    assert len(found) == 3
    assert all(len(name) <= 63 and name.endswith(":Ingress:3") for name in found)


def test_identifiers_are_letters_and_digits() -> None:
    found = names.identifier("set/blue/[ns]/{app In (web)}")
    assert found.isalnum()
    assert found[0].isalpha()
