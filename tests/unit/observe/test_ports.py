"""What a zone knows of a port beside its row: its MTU, and which policies guard it."""

from __future__ import annotations

from tests.support import topology as rows
from weft import names
from weft.observe import topology
from weft.observe.graph import Port
from weft.ovn.policy import Group, GroupKind
from weft.policy.netpolicy import Direction


def port(zone: rows.Zone) -> Port:
    (switch,) = topology.build([zone.snapshot()]).switches
    return switch.ports[0]


def zone() -> tuple[rows.Zone, str]:
    (made,) = rows.zones(1)
    uuid = made.pod_port("blue", "shop", "web", "10.5.0.1")
    made.switch("blue_ovn_layer2_switch", [uuid], network="blue", interconn_ts="blue")
    return made, uuid


def add_group(made: rows.Zone, group: Group, *ports: str) -> None:
    ids = {names.ROW_ID: group.id}
    made.add("Port_Group", name=group.name, ports=frozenset(ports), external_ids=ids)


def test_a_port_in_a_deny_group_is_isolated_in_its_direction() -> None:
    made, uuid = zone()
    add_group(made, Group(GroupKind.DENY, "a/b", "shop", Direction.INGRESS), uuid)
    add_group(made, Group(GroupKind.DENY, "blue", "shop", Direction.EGRESS))
    add_group(made, Group(GroupKind.AUDIT, "blue", "shop", Direction.EGRESS), uuid)
    assert port(made).isolated == ("ingress",)


def test_policies_that_select_a_port_are_named() -> None:
    made, uuid = zone()
    for direction in Direction:
        add_group(made, Group(GroupKind.POLICY, "a/b", "shop", direction, "web-only"), uuid)
    assert port(made).policies == ("shop/web-only",)


def test_the_mtu_is_what_was_asked_for_a_device_that_is_in_the_pod() -> None:
    made, _ = zone()
    ids = {names.IFACE_ID: "blue_shop_web"}
    made.add("Interface", name="wp1", type="internal", external_ids=ids, mtu_request=1380)
    assert port(made).mtu == 1380
    assert topology.build([made.snapshot()]).networks[0].mtu == 1380
