"""The agent's own part: reading the switch's identity, refusing what cannot work."""

from __future__ import annotations

import pytest

from weft import errors
from weft.app import agentoptions, identity, settings


def test_identity_as_the_switch_has_it() -> None:
    ids = {"system-id": "c1", "ovn-encap-ip": "192.0.2.1, 2001:db8::1"}
    own = identity.own_info("node1", {"external_ids": ids})
    assert (own.chassis, own.encap_ips) == ("c1", ("192.0.2.1", "2001:db8::1"))


def test_identity_before_anybody_reported_the_switch() -> None:
    own = identity.own_info("node1", {"external_ids": {}})
    assert (own.chassis, own.encap_ips) == ("", ())


def test_a_chassis_that_ports_cannot_be_bound_to_is_refused_by_its_setting() -> None:
    own = identity.own_info("node1", {"external_ids": {"system-id": "c1,c2"}})
    with pytest.raises(errors.InvalidInput, match="without commas"):
        identity.check_own(own)
    identity.check_own(identity.own_info("node1", {"external_ids": {"system-id": "c1"}}))


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (settings.Agent(), "--node"),
        (settings.Agent(node="n", nic_kind="tap"), "--nic-kind"),
        (settings.Agent(node="n", remote_ports="some"), "--remote-ports"),
        (settings.Agent(node="n", default_mtu=70000), "--default-mtu"),
        (
            settings.Agent(node="n", cluster_subnets="10.128.0.0", allow_primary=True),
            "--cluster-subnets: subnets",
        ),
        (settings.Agent(node="n", cluster_subnets="10.128.0.0/14/23"), "needs --allow-primary"),
        (settings.Agent(node="n", gateway_address="172.31.1.101"), "--gateway-address"),
        (settings.Agent(node="n", gateway_next_hop="172.31.1.1"), "--gateway-next-hop"),
    ],
)
def test_what_cannot_work_is_refused_by_its_flag(options: settings.Agent, flag: str) -> None:
    with pytest.raises(errors.InvalidInput, match=flag):
        agentoptions.check(options)
    agentoptions.check(settings.Agent(node="n"))


def test_each_setting_is_a_field_with_its_default() -> None:
    known = {setting.name: setting.default for setting in settings.AGENT}
    assert known == {
        name: field.default for name, field in settings.Agent.__dataclass_fields__.items()
    }
