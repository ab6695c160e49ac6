"""Makes the settings of Open vSwitch on a lab's node, and on the switch of its VLANs. Pure.

Desired rows, all of which follow from the lab's spec. What ovn-controller and users write beside
them stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft import rows
from weft.nic import port
from weft.ovn import daemons as zone
from weft_lab import spec
from weft_lab.runtime import daemons, rack

TABLES = (
    rows.Table("Open_vSwitch", ("external_ids", "other_config", "bridges"), rows.SINGLE_ROW),
    rows.Table(
        "Bridge",
        (
            *("name", "ports", "datapath_type", "fail_mode", "protocols", "controller"),
            *("stp_enable", "rstp_enable", "other_config"),
        ),
    ),
    rows.Table("Port", ("name", "interfaces", "tag", "trunks", "vlan_mode")),
    rows.Table("Interface", ("name", "type", "mtu_request")),
)

# Keys of ovn-controller(8) that the lab does not set, and that would move a node's tunnels.
_UNSET = ("ovn-bridge", "ovn-encap-ip-default", "ovn-match-northd-version", "ovn-transport-zones")


# Without TSO, TCP stalls: transmit offload of local links does not fit a tunnel else.
_OTHER = rows.MapEntries({"userspace-tso-enable": "true"}, absent=frozenset({"flow-restore-wait"}))


def desired(lab: spec.Lab, name: str) -> tuple[rows.Row, ...]:
    """Everything that the switch of a node, or of the VLANs, must know before it first starts."""
    node = next((each for each in lab.members if each.name == name), None)
    return _of_rack(lab) if node is None else _of_node(lab, node)


def _of_rack(lab: spec.Lab) -> tuple[rows.Row, ...]:
    """A trunk to the underlay, and an access port for each VLAN's host."""
    return (
        rows.Row("Open_vSwitch", "", {"other_config": _OTHER}),
        *_bridge(lab, rack.BRIDGE, fail_mode="", other={}),
        *_port(lab, rack.BRIDGE, rack.LINK, type=""),
        *(
            row
            for vlan in lab.tagged
            for row in _port(lab, rack.BRIDGE, rack.port(vlan), type="", tag=vlan.number)
        ),
    )


def _of_node(lab: spec.Lab, node: spec.Node) -> tuple[rows.Row, ...]:
    ids = _external_ids(lab, node)
    # Each key can have one for this chassis alone, which counts more.
    own = {f"{key}-{node.chassis}" for key in (*ids, *_UNSET)}
    top: dict[str, rows.DesiredValue] = {
        "external_ids": rows.MapEntries(ids, absent=own | {*_UNSET}),
        "other_config": _OTHER,
    }
    uplink = daemons.underlay_port(node)
    return (
        rows.Row("Open_vSwitch", "", top),
        *_bridge(lab, daemons.BRIDGE, fail_mode="secure", other={"disable-in-band": "true"}),
        *_bridge(lab, daemons.UNDERLAY_BRIDGE, fail_mode="", other={"hwaddr": node.underlay_mac}),
        *_port(lab, daemons.UNDERLAY_BRIDGE, uplink),
    )


def _external_ids(lab: spec.Lab, node: spec.Node) -> Mapping[str, str]:
    return {
        "system-id": node.chassis,
        "hostname": node.name,
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": str(node.underlay),
        "ovn-remote": zone.SB,
        "ovn-is-interconn": "true",
        "ovn-monitor-all": "true",
        "ovn-bridge-datapath-type": lab.datapath,
        "ovn-remote-probe-interval": "100000",
        "ovn-bridge-remote-probe-interval": "0",
        "ovn-bridge-mappings": f"{spec.PHYSICAL_NETWORK}:{daemons.UNDERLAY_BRIDGE}",
    }


def _bridge(
    lab: spec.Lab, name: str, *, fail_mode: str, other: Mapping[str, str]
) -> tuple[rows.Row, ...]:
    """A bridge with its local port. Nobody else controls it."""
    columns: dict[str, rows.DesiredValue] = {
        "name": name,
        "datapath_type": lab.datapath,
        "fail_mode": fail_mode or port.NOTHING,
        "protocols": port.NOTHING,
        "controller": port.NOTHING,
        "stp_enable": False,
        "rstp_enable": False,
        "other_config": other,
    }
    made = rows.Row("Bridge", name, columns, rows.Ref("Open_vSwitch", ""), "bridges")
    return made, *_port(lab, name, name)


def _port(
    lab: spec.Lab, bridge: str, name: str, *, type: str = "internal", tag: int | None = None
) -> tuple[rows.Row, ...]:
    # Without this the switch sets br-int's MTU again from the ports that it has, when any
    # of them comes or goes. That is a change of a link, at which it drops its routes, which
    # tunnels need, for a moment.
    interface: dict[str, rows.DesiredValue] = {
        "name": name,
        "type": type,
        "mtu_request": lab.mtu,
    }
    columns: dict[str, rows.DesiredValue] = {
        "name": name,
        "interfaces": frozenset({rows.Ref("Interface", name)}),
        **port.UNTAGGED,
    }
    if tag is not None:
        columns["tag"] = tag
    return (
        rows.Row("Interface", name, interface),
        rows.Row("Port", name, columns, rows.Ref("Bridge", bridge), "ports"),
    )
