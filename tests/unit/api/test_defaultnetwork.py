"""The setting that says what the default network is."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from weft import errors, model
from weft.api import defaultnetwork


def test_dual_stack() -> None:
    network = defaultnetwork.parse("10.128.0.0/14/23, fd00:10:128::/48/64", mtu=1400)
    assert network is not None
    assert network.id == 0
    assert network.spec == model.NetworkSpec(
        name="default",
        topology=model.Topology.LAYER3,
        mtu=1400,
        subnets=(ip_network("10.128.0.0/14"), ip_network("fd00:10:128::/48")),
        host_prefix=(23, 64),
        role="primary",
    )


@pytest.mark.parametrize("text", ["", "  "])
def test_another_plugin_is_the_primary(text: str) -> None:
    assert defaultnetwork.parse(text, mtu=1400) is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10.128.0.0", "must be a subnet"),
        ("10.128.0.0/14/12", "must be longer"),
        ("100.64.0.0/14/23", "join switch"),
        ("100.88.4.0/22/24", "transit switches"),
        ("fd97::/32/64", "transit switches"),
    ],
)
def test_refused(text: str, rule: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rule) as caught:
        defaultnetwork.parse(text, mtu=1400)
    assert "--cluster-subnets" in str(caught.value)
