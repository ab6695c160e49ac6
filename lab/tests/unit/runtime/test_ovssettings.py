from __future__ import annotations

from collections.abc import Mapping

from weft import rows
from weft_lab import spec
from weft_lab.runtime import ovssettings

Columns = Mapping[str, rows.DesiredValue]


def settings(lab: spec.Lab, number: int = 1) -> dict[tuple[str, str], Columns]:
    return of(lab, f"node{number}")


def of(lab: spec.Lab, name: str) -> dict[tuple[str, str], Columns]:
    desired = ovssettings.desired(lab, name)
    return {(row.table, row.key): row.columns for row in desired}


def ids(found: dict[tuple[str, str], Columns]) -> rows.MapEntries:
    external_ids = found["Open_vSwitch", ""]["external_ids"]
    assert isinstance(external_ids, rows.MapEntries)
    return external_ids


def test_switch_knows_all_before_it_first_starts() -> None:
    found = settings(spec.Lab(mtu=1600), 2)
    node = spec.Node(spec.DEFAULT_NAME, 2)
    expected = {
        "system-id": node.chassis,
        "ovn-encap-ip": str(node.underlay),
        "ovn-is-interconn": "true",
        "ovn-monitor-all": "true",
    }
    assert expected.items() <= ids(found).present.items()
    other = found["Open_vSwitch", ""]["other_config"]
    assert isinstance(other, rows.MapEntries)
    assert other.present == {"userspace-tso-enable": "true"}
    assert found["Interface", "ul-node2"]["mtu_request"] == 1600
    assert found["Bridge", "br-int"]["datapath_type"] == "netdev"


def test_datapath_is_the_labs() -> None:
    found = settings(spec.Lab(datapath="system"))
    assert ids(found).present["ovn-bridge-datapath-type"] == "system"
    assert {found["Bridge", each]["datapath_type"] for each in ("br-int", "br-phy")} == {"system"}


def test_no_key_for_this_chassis_alone_counts_more() -> None:
    lab = spec.Lab()
    external_ids = ids(settings(lab))
    assert f"ovn-encap-ip-{spec.Node(lab.name, 1).chassis}" in external_ids.absent
    assert external_ids.absent.isdisjoint(external_ids.present)


def test_a_vlans_host_has_an_access_port_and_the_uplink_carries_all_tags() -> None:
    found = of(spec.Lab(vlans=(20, 30), mtu=1600), "rack")
    ports = {key: columns for (table, key), columns in found.items() if table == "Port"}
    tags = {name: columns["tag"] for name, columns in ports.items()}
    untagged = frozenset[rows.Atom]()
    assert tags == {"br-rack": untagged, "eth0": untagged, "vlan20": 20, "vlan30": 30}
    assert ports["eth0"]["trunks"] == untagged  # which is: all
    assert found["Interface", "vlan20"]["type"] == ""
    assert found["Interface", "eth0"]["mtu_request"] == 1600
    assert "external_ids" not in found["Open_vSwitch", ""]  # no chassis: OVN is not there
