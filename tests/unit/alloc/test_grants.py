from __future__ import annotations

from ipaddress import ip_network

import pytest

from weft import errors, model, names
from weft.alloc import grants

VIRTUAL = "00:00:5e:00:01:0a"
PERMITS = model.Permits(model.PortSecurity.MAC, (ip_network("10.1.0.96/28"),))


def check(
    security: model.PortSecurity | None = None,
    *pairs: tuple[str, str],
    permits: model.Permits = PERMITS,
    held: str = "",
) -> None:
    spec = model.NetworkSpec("blue", model.Topology.LAYER2, 1300, permits=permits)
    asked = tuple(model.AddressPair(ip_network(ip), mac) for ip, mac in pairs)
    nic = model.NicOptions(port_security=security, address_pairs=asked)
    attachment = model.Attachment(None, "default/blue", "net1", nic=nic)
    grants.check("Pod shop/web", spec, attachment, lambda mac: held if mac == VIRTUAL else "")


def test_what_is_permitted_may_be_asked_for() -> None:
    check()
    check(model.PortSecurity.STRICT, permits=model.Permits())
    check(model.PortSecurity.MAC, ("10.1.0.100", VIRTUAL), ("10.1.0.96/30", ""))
    check(None, ("10.1.0.100", VIRTUAL), held="Pod shop/web")


def test_what_is_not_permitted_is_refused_with_rule_and_remedy() -> None:
    with pytest.raises(errors.InvalidInput, match='portSecurity "off": is more than') as caught:
        check(model.PortSecurity.OFF)
    assert '"permits": {"portSecurity": "off"}' in caught.value.hint
    with pytest.raises(errors.InvalidInput, match="is more than network blue permits") as caught:
        check(None, ("10.1.0.5", ""))
    assert caught.value.field == "allowedAddressPairs[0].ip"
    with pytest.raises(errors.InvalidInput, match="permits: none"):
        check(None, ("10.1.0.100", ""), permits=model.Permits())


def test_a_mac_of_another_or_of_weft_is_refused() -> None:
    with pytest.raises(errors.Conflict, match="is held by Pod shop/db"):
        check(None, ("10.1.0.100", VIRTUAL), held="Pod shop/db")
    with pytest.raises(errors.InvalidInput, match="DHCP and router advertisements"):
        check(None, ("10.1.0.100", names.SERVER_MAC))


def test_a_pair_has_a_virtual_routers_mac_where_ports_are_checked() -> None:
    other = "02:00:00:00:00:01"
    with pytest.raises(errors.InvalidInput, match="is no MAC of a virtual router") as caught:
        check(None, ("10.1.0.100", other), permits=PERMITS)
    assert caught.value.field == "allowedAddressPairs[0].mac"
    free = model.Permits(model.PortSecurity.OFF, PERMITS.address_pairs)
    check(None, ("10.1.0.100", other), permits=free)
