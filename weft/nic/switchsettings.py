"""Plans the settings that ovn-controller reads from Open vSwitch: node, tunnel endpoint, datapath.

Pure. A value that an administrator has set stays (ADR 0091). One key lists those that weft wrote,
so that weft can update them, and remove them with itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weft import errors, rows
from weft.nic import port

KEYS = "weft-keys"  # external_ids of Open_vSwitch: the keys that weft wrote, comma-separated
UNDERLAY_BRIDGE = "br-weft"
KERNEL, USERSPACE = "system", "netdev"  # datapath types of Open vSwitch


@dataclass(frozen=True, slots=True)
class Uplink:
    """The interface that a userspace switch takes for its tunnels; `mtu` in bytes."""

    interface: str
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Settings:
    """`remote` is the node's Southbound database; `uplink` is for the userspace datapath alone."""

    node: str
    encap_ip: str
    remote: str
    datapath: str
    uplink: Uplink | None = None

    def external_ids(self) -> Mapping[str, str]:
        """Returns the external_ids of Open_vSwitch, as in ovn-controller(8)."""
        return {
            "system-id": self.node,
            "hostname": self.node,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self.encap_ip,
            "ovn-remote": self.remote,
            "ovn-is-interconn": "true",
            "ovn-monitor-all": "true",
            "ovn-bridge-datapath-type": self.datapath,
            "ovn-remote-probe-interval": "100000",
            # A restarted ovn-controller keeps the old flows for 8 s, until it has the new ones.
            "ovn-ofctrl-wait-before-clear": "8000",
        }


def desired(settings: Settings, ids: Mapping[str, rows.Atom]) -> tuple[rows.Row, ...]:
    """Returns the rows to write. `ids`: the present external_ids of Open_vSwitch.

    Raises Conflict if another OVN uses the switch.
    """
    own = written(ids)
    external_ids = {k: v for k, v in settings.external_ids().items() if k not in ids or k in own}
    remote = str(ids.get("ovn-remote", settings.remote))
    if "ovn-remote" not in external_ids and remote != settings.remote:
        raise errors.Conflict(
            f"ovn-remote is {remote}: another OVN has this switch",
            where=f"Open vSwitch of node {settings.node}",
            hint="remove the other OVN from this node, or give weft a switch of its own",
        )
    marked = {KEYS: ",".join(sorted({*external_ids, *own}))}
    columns = {"external_ids": rows.MapEntries({**external_ids, **marked})}
    return (rows.Row("Open_vSwitch", "", columns), *_underlay(settings))


def written(ids: Mapping[str, rows.Atom]) -> frozenset[str]:
    """Returns the keys that weft wrote."""
    return frozenset(filter(None, str(ids.get(KEYS, "")).split(",")))


def _underlay(settings: Settings) -> tuple[rows.Row, ...]:
    """Returns the rows of the bridge through which a userspace switch sends tunnels."""
    if settings.uplink is None:
        return ()
    name, uplink = UNDERLAY_BRIDGE, settings.uplink
    bridge: dict[str, rows.DesiredValue] = {
        "name": name,
        "datapath_type": settings.datapath,
        "fail_mode": port.NOTHING,
        "controller": port.NOTHING,
        "other_config": {"hwaddr": uplink.mac},
    }
    return (
        rows.Row("Bridge", name, bridge, rows.Ref("Open_vSwitch", ""), "bridges"),
        *_port(name, name, "internal", uplink.mtu),
        *_port(name, uplink.interface, "", uplink.mtu),
    )


def _port(bridge: str, name: str, kind: str, mtu: int) -> tuple[rows.Row, ...]:
    requested = mtu if kind == "internal" else port.NOTHING
    columns: dict[str, rows.DesiredValue] = {
        "name": name,
        "interfaces": frozenset({rows.Ref("Interface", name)}),
        **port.UNTAGGED,
    }
    return (
        rows.Row("Interface", name, {"name": name, "type": kind, "mtu_request": requested}),
        rows.Row("Port", name, columns, rows.Ref("Bridge", bridge), "ports"),
    )
