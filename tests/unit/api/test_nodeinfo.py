"""What a Node says about its zone."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from weft import errors, model, names
from weft.api import nodeinfo


def node(**annotations: object) -> dict[str, Any]:
    keys = {
        "chassis": names.NODE_CHASSIS_ID,
        "encap": names.NODE_ENCAP_IPS,
        "id": names.NODE_ID,
        "transit": names.NODE_TRANSIT,
        "subnets": names.NODE_SUBNETS,
        "gateway": names.NODE_GATEWAY,
    }
    named = {keys[key]: value for key, value in annotations.items()}
    return {"metadata": {"name": "node1", "annotations": named}}


def test_what_is_rendered_reads_back() -> None:
    written = nodeinfo.render_zone("c-1", ("192.0.2.1", "fd00::1")) | nodeinfo.render_id(7)
    assert nodeinfo.parse({"metadata": {"name": "node1", "annotations": written}}) == (
        model.NodeInfo("node1", "c-1", ("192.0.2.1", "fd00::1"), 7)
    )


GATEWAY = model.Gateway(
    mac="0a:58:ac:1f:01:65",
    addresses=(ip_interface("172.31.1.101/24"),),
    next_hops=(ip_address("172.31.1.1"),),
    interface_id="br-phy_node1",
)
FULL = model.NodeInfo(
    "node1",
    id=2,
    transit=(ip_interface("100.88.0.2/16"), ip_interface("fd97::2/64")),
    subnets=(
        ("blue", (ip_network("10.1.2.0/24"),)),
        ("default", (ip_network("10.128.2.0/23"), ip_network("fd00:10:128:2::/64"))),
    ),
    gateway=GATEWAY,
)


def test_layer3_to_the_letter() -> None:
    written = (
        nodeinfo.render_id(FULL.id)
        | nodeinfo.render_transit(FULL.transit)
        | nodeinfo.render_subnets(dict(FULL.subnets))
        | nodeinfo.render_gateway(GATEWAY)
    )
    assert written == {
        names.NODE_ID: "2",
        names.NODE_TRANSIT: '{"ipv4":"100.88.0.2/16","ipv6":"fd97::2/64"}',
        names.NODE_SUBNETS: (
            '{"blue":["10.1.2.0/24"],"default":["10.128.2.0/23","fd00:10:128:2::/64"]}'
        ),
        names.NODE_GATEWAY: (
            '{"default":{"mode":"shared","interface-id":"br-phy_node1",'
            '"mac-address":"0a:58:ac:1f:01:65","ip-addresses":["172.31.1.101/24"],'
            '"next-hops":["172.31.1.1"],"node-port-enable":"false","vlan-id":"0",'
            '"ip-address":"172.31.1.101/24","next-hop":"172.31.1.1"}}'
        ),
    }
    assert nodeinfo.parse({"metadata": {"name": "node1", "annotations": written}}) == FULL


def test_subnets_of_a_network() -> None:
    assert FULL.subnets_of("blue") == (ip_network("10.1.2.0/24"),)
    assert FULL.subnets_of("red") == ()


def test_nothing_left_removes_the_annotation() -> None:
    assert nodeinfo.render_subnets({}) == {names.NODE_SUBNETS: None}
    assert nodeinfo.render_gateway(None) == {names.NODE_GATEWAY: None}


@pytest.mark.parametrize("text", ["", '{"default":{"mode":""}}', '{"blue":{"mode":"shared"}}'])
def test_no_gateway(text: str) -> None:
    assert nodeinfo.parse(node(gateway=text)).gateway is None


def test_older_words_for_one_gateway_address() -> None:
    text = (
        '{"default":{"mode":"local","mac-address":"02-00-00-00-00-01",'
        '"ip-address":"192.0.2.5/24","next-hop":"192.0.2.1"}}'
    )
    assert nodeinfo.parse(node(gateway=text)).gateway == model.Gateway(
        mac="02:00:00:00:00:01",
        addresses=(ip_interface("192.0.2.5/24"),),
        next_hops=(ip_address("192.0.2.1"),),
        mode="local",
    )


def test_nothing_written_yet() -> None:
    assert nodeinfo.parse({"metadata": {"name": "node1"}}) == model.NodeInfo("node1")


@pytest.mark.parametrize(
    ("annotations", "rule"),
    [
        ({"chassis": "a b"}, "chassis name"),
        ({"chassis": "a,b"}, "chassis name"),
        ({"encap": "192.0.2.1"}, "not valid JSON"),
        ({"encap": '"192.0.2.1"'}, "list of strings"),
        ({"encap": '["192.0.2.300"]'}, "must be an address"),
        ({"id": "x"}, "whole number"),
        ({"id": "-1"}, "whole number"),
        ({"id": 5}, "must be a string"),
        ({"transit": "100.88.0.2/16"}, "not valid JSON"),
        ({"transit": '["100.88.0.2/16"]'}, "JSON object"),
        ({"transit": '{"ipv4":"100.88.0.2"}'}, "with a prefix length"),
        ({"subnets": '{"default":["10.128.0.0"]}'}, "must be a subnet"),
        ({"subnets": '{"default":5}'}, "list of strings"),
        ({"gateway": '{"default":[]}'}, "must be an object"),
        ({"gateway": '{"default":{"mode":"shared"}}'}, "a gateway needs it"),
        (
            {"gateway": '{"default":{"mode":"shared","mac-address":"x","ip-address":"1.2.3.4/8"}}'},
            "must be a MAC",
        ),
    ],
)
def test_refused(annotations: dict[str, object], rule: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rule):
        nodeinfo.parse(node(**annotations))
