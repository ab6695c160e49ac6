"""What pods ask for, in both forms; each mistake is named by element and field."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import errors, model, names
from weft.api import selection
from weft.model import ObjectKey


def pod(networks: object, namespace: str = "shop") -> dict[str, Any]:
    text = networks if isinstance(networks, str) else json.dumps(networks)
    return {
        "metadata": {
            "namespace": namespace,
            "name": "web1",
            "annotations": {names.NETWORKS: text},
        }
    }


def element(**changes: object) -> list[dict[str, object]]:
    return [{"name": "blue", **changes}]


def attachment(nad: str, interface: str, **changes: Any) -> model.Attachment:
    return model.Attachment(
        **{"nad": ObjectKey.parse(nad), "key": nad, "interface": interface, **changes}
    )


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", ()),
        ("  ", ()),
        ("[]", ()),
        ("blue", (attachment("shop/blue", "net1"),)),
        ("blue@db0", (attachment("shop/blue", "db0"),)),
        ("other/blue@db0", (attachment("other/blue", "db0"),)),
        (
            " red , other/blue ",
            (attachment("shop/red", "net1"), attachment("other/blue", "net2")),
        ),
        (
            "blue,blue@x,shop/blue",
            (
                attachment("shop/blue", "net1"),
                attachment("shop/blue", "x", key="shop/blue/1"),
                attachment("shop/blue", "net3", key="shop/blue/2"),
            ),
        ),
        ("my.net", (attachment("shop/my.net", "net1"),)),
    ],
)
def test_short_form(text: str, read: tuple[model.Attachment, ...]) -> None:
    assert selection.parse(pod(text)) == read


def test_pods_without_annotation() -> None:
    assert selection.parse({"metadata": {"name": "a"}}) == ()
    assert selection.parse({"metadata": {"name": "a", "annotations": None}}) == ()


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({}, {}),
        ({"namespace": "other"}, {"nad": "other/blue", "key": "other/blue"}),
        ({"interface": "abcdefghijklmno"}, {"interface": "abcdefghijklmno"}),
        ({"mac": "02-00-00-AA-00-01"}, {"mac": "02:00:00:aa:00:01"}),
        (
            {"ips": ["10.1.0.5", "fd00::5/64"]},
            {"addresses": (ip_address("10.1.0.5"), ip_interface("fd00::5/64"))},
        ),
        (
            {"default-route": ["10.1.0.1", "fe80::1"]},
            {"default_route": (ip_address("10.1.0.1"), ip_address("fe80::1"))},
        ),
        ({"ipam-claim-reference": "vm1.blue"}, {"ipam_claim": "vm1.blue"}),
        (
            {"bandwidth": {"ingressRate": 1000, "egressRate": 2_000_000, "egressBurst": 9}},
            {"nic": model.NicOptions(model.Bandwidth(model.Rate(1000), model.Rate(2_000_000, 9)))},
        ),
        ({"bandwidth": {"ingressRate": 0}, "cni-args": {"a": 1}, "portMappings": []}, {}),
        ({"deviceID": "0000:03:02.1", "infiniband-guid": "x", "new": [1]}, {}),
        ({"mac": "", "ips": None, "interface": ""}, {}),
    ],
)
def test_list_form(changes: dict[str, object], read: dict[str, Any]) -> None:
    assert selection.parse(pod(element(**changes))) == (
        attachment(**{"nad": "shop/blue", "interface": "net1", **read}),
    )


@pytest.mark.parametrize(
    ("networks", "field", "rule"),
    [
        ("a,,b", "[1]", "[namespace/]name[@interface]"),
        ("a,", "[1]", "[namespace/]name[@interface]"),
        ("a/b/c", "[0]", "[namespace/]name[@interface]"),
        ("/a", "[0]", "[namespace/]name[@interface]"),
        ("a@", "[0]", "[namespace/]name[@interface]"),
        ("@eth1", "[0]", "[namespace/]name[@interface]"),
        ("Blue", "[0].name", "Kubernetes name"),
        ("Shop/blue", "[0].namespace", "namespace"),
        ("blue@a/b", "[0].interface", "interface name"),
        ('[{"name": "blue"', "", "not valid JSON"),
        ('{"name": "blue"}', "", "must be a list of objects, not an object"),
        ('["blue"]', "[0]", "must be an object, not a string"),
        ([{}], "[0].name", "missing"),
        ([{"name": ""}], "[0].name", "missing"),
        ([{"name": 5}], "[0].name", "must be a string"),
        ([{"name": "shop/blue"}], "[0].name", "must not contain a '/'"),
        (element(namespace="a.b"), "[0].namespace", "must be a namespace"),
        (element(interface="abcdefghijklmnop"), "[0].interface", "16 characters"),
        (element(interface="a b"), "[0].interface", "interface name"),
        (element(interface="a:b"), "[0].interface", "interface name"),
        (element(interface=".."), "[0].interface", "interface name"),
        (element(interface="é"), "[0].interface", "interface name"),
        (element(interface="eth0"), "[0].interface", "default interface"),
        (element(interface="lo"), "[0].interface", "loopback"),
        (element(mac="01:00:00:00:00:01"), "[0].mac", "unicast"),
        (element(mac="02:00:00"), "[0].mac", "six bytes"),
        (element(mac=5), "[0].mac", "must be a string"),
        (element(ips="10.1.0.5"), "[0].ips", "list of strings"),
        (element(ips=["10.1.0.5", "10.1.0.300"]), "[0].ips[1]", "must be an address"),
        (element(ips=["10.1.0.0/24"]), "[0].ips[0]", "subnet 10.1.0.0/24 itself"),
        (element(ips=["224.0.0.1"]), "[0].ips[0]", "multicast"),
        (element(ips=["10.1.0.5", "10.1.0.5/24"]), "[0].ips[1]", "requested twice"),
        (element(**{"default-route": ["gateway"]}), "[0].default-route[0]", "must be an address"),
        (
            [
                {"name": "a", "default-route": ["10.1.0.1"]},
                {"name": "b", "default-route": ["10.2.0.1"]},
            ],
            "[1].default-route",
            "by element 0 already",
        ),
        (
            element(**{"ips": ["10.1.0.5"], "ipam-claim-reference": "c"}),
            "[0].ipam-claim-reference",
            "is set beside ips",
        ),
        (element(**{"ipam-claim-reference": "C!"}), "[0].ipam-claim-reference", "an IPAMClaim"),
        (element(bandwidth=5), "[0].bandwidth", "must be an object"),
        (element(bandwidth={"egressRate": "1M"}), "[0].bandwidth.egressRate", "whole number"),
        (element(bandwidth={"egressRate": -1}), "[0].bandwidth.egressRate", "from 1000 to"),
        (element(bandwidth={"egressRate": 999}), "[0].bandwidth.egressRate", "from 1000 to"),
        (element(bandwidth={"egressBurst": 9}), "[0].bandwidth.egressBurst", "without egressRate"),
        (element(bandwidth={"egres": 1}), "[0].bandwidth.egres", "not a field here"),
        (element(**{"cni-args": []}), "[0].cni-args", "must be an object"),
        (element(portMappings={}), "[0].portMappings", "must be a list"),
        (
            [{"name": "a", "interface": "x"}, {"name": "b", "interface": "x"}],
            "[1].interface",
            "element 0",
        ),
        ([{"name": "a", "interface": "net2"}, {"name": "b"}], "[1].interface", "called net2"),
    ],
)
def test_refused(networks: object, field: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        selection.parse(pod(networks))
    assert caught.value.field == names.NETWORKS + field
    assert str(caught.value).startswith(f"Pod shop/web1: {names.NETWORKS}{field}")
    assert rule in caught.value.rule
    assert str(selection.problems(pod(networks))[0]) == str(caught.value)


def test_an_annotation_that_is_no_text() -> None:
    with pytest.raises(errors.InvalidInput, match="must be a string"):
        selection.parse({"metadata": {"name": "a", "annotations": {names.NETWORKS: 5}}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("name", "ips", "mac", "bandwidth")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.text() | JSON)
def test_anything_is_read_or_refused(networks: object) -> None:
    if not selection.problems(pod(networks)):
        found = selection.parse(pod(networks))
        assert len({each.key for each in found}) == len(found)
        assert len({each.interface for each in found}) == len(found)


OWN = model.Attachment(nad=None, key="default", interface="eth0")


def choosing(chosen: object, networks: object = "") -> dict[str, Any]:
    made = pod(networks)
    text = chosen if isinstance(chosen, str) else json.dumps(chosen)
    made["metadata"]["annotations"][names.CHOSEN_DEFAULT] = text
    return made


def test_the_clusters_own_network_comes_first_where_weft_serves_it() -> None:
    assert selection.parse(pod("blue"), primary=True) == (OWN, attachment("shop/blue", "net1"))
    assert selection.parse({"metadata": {"name": "bare"}}, primary=True) == (OWN,)
    assert selection.parse({"metadata": {"name": "bare"}}) == ()


@pytest.mark.parametrize("primary", [False, True])
@pytest.mark.parametrize(
    ("chosen", "first"),
    [
        ("blue", attachment("kube-system/blue", "eth0")),
        ("ns1/blue", attachment("ns1/blue", "eth0")),
        ("ns1/blue@eth0", attachment("ns1/blue", "eth0")),
        (
            [{"name": "blue", "namespace": "ns1", "interface": "first", "mac": "02:0:0:0:0:1"}],
            None,
        ),
        (
            [{"name": "blue", "namespace": "ns1", "mac": "02:00:00:00:00:01"}],
            attachment("ns1/blue", "eth0", mac="02:00:00:00:00:01"),
        ),
    ],
)
def test_a_chosen_default_network(
    chosen: object, first: model.Attachment | None, primary: bool
) -> None:
    if first is None:
        with pytest.raises(errors.InvalidInput, match="MAC"):
            selection.parse(choosing(chosen), primary=primary)
        return
    assert selection.parse(choosing(chosen), primary=primary) == (first,)


def test_a_chosen_default_network_counts_as_the_first_of_its_nad() -> None:
    read = selection.parse(choosing("shop/blue", "blue, red"), primary=True)
    assert [(requested.key, requested.interface) for requested in read] == [
        ("shop/blue", "eth0"),
        ("shop/blue/1", "net1"),
        ("shop/red", "net2"),
    ]


@pytest.mark.parametrize(
    ("chosen", "rule"),
    [("blue, red", "one default network"), ("[5]", "must be an object"), ("a/b/c", "the form")],
)
def test_a_default_network_that_cannot_be(chosen: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rule) as caught:
        selection.parse(choosing(chosen))
    assert names.CHOSEN_DEFAULT in str(caught.value)


@pytest.mark.parametrize("is_short", [False, True])
def test_a_pod_has_so_many_networks_and_no_more(is_short: bool) -> None:
    def requested(count: int) -> object:
        return ",".join(["blue"] * count) if is_short else [{"name": "blue"}] * count

    assert len(selection.parse(pod(requested(selection.MAX_ATTACHMENTS)))) == 32
    with pytest.raises(errors.InvalidInput, match="names 33 networks; a pod can have 32"):
        selection.parse(pod(requested(33)))


def test_an_interface_has_so_many_addresses_and_no_more() -> None:
    ips = [f"10.1.0.{number}/24" for number in range(1, 34)]
    assert len(selection.parse(pod(element(ips=ips[:32])))[0].addresses) == 32
    with pytest.raises(errors.InvalidInput, match="has 33 addresses; an interface can have 32"):
        selection.parse(pod(element(ips=ips)))
