"""Plans the OVS port of a pod's interface, and parses its rows.

Pure. Makes the rows of the Open_vSwitch database (ovs-vswitchd.conf.db(5)) for one interface, and
reads from a row the pod, sandbox and network that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weft import model, names, rows
from weft.nic import plan

DATABASE = "Open_vSwitch"
BRIDGE = "br-int"
NOTHING: frozenset[rows.Atom] = frozenset()  # the value of an empty optional column
UNTAGGED = {"tag": NOTHING, "trunks": NOTHING, "vlan_mode": NOTHING}


@dataclass(frozen=True, slots=True)
class PortOwner:
    """The pod, sandbox and network of a port, which OVS's database stores for a new agent.

    `proof`: the annotation with the cluster manager's allocations, and its signature.
    `logical_port`: "" for the one that is named after the pod.
    """

    pod: model.PodRef
    sandbox: str
    netns: str
    network: str
    attachment: str
    nad: str
    proof: tuple[str, str] = ("", "")
    logical_port: str = ""

    @property
    def iface_id(self) -> str:
        """The logical port, by which OVN finds the interface."""
        own = names.logical_port(self.attachment, self.pod.namespace, self.pod.name)
        return self.logical_port or own


@dataclass(frozen=True, slots=True)
class Bound:
    """A pod's port as OVS's database has it, with the `proof` of its allocations."""

    device: str
    interface: str
    sandbox: str
    netns: str
    network: str
    attachment: str
    iface_id: str
    pod: model.PodRef
    proof: tuple[str, str] = ("", "")


TABLES = (
    rows.Table("Open_vSwitch", ("external_ids", "other_config", "bridges"), rows.SINGLE_ROW),
    rows.Table(
        "Bridge",
        (
            *("name", "ports", "datapath_type", "fail_mode", "protocols", "controller"),
            *("stp_enable", "rstp_enable", "other_config"),
        ),
    ),
    rows.Table(
        "Port",
        ("name", "interfaces", "other_config", "external_ids", "tag", "trunks", "vlan_mode"),
    ),
    rows.Table(
        "Interface",
        (
            *("name", "type", "ofport", "ifindex", "error", "external_ids", "mtu_request", "mac"),
            "mtu",
        ),
    ),
)


def desired(nic: plan.Nic, owner: PortOwner, *, bridge: str = BRIDGE) -> tuple[rows.Row, ...]:
    """Returns the Port and Interface rows, to be written in one transaction.

    `transient` makes ovs-ctl delete the port at the next boot, when the pod no longer exists.
    """
    external_ids: dict[str, rows.Atom] = {
        names.IFACE_ID: owner.iface_id,
        names.IFACE_VERSION: owner.pod.uid,
        names.ATTACHED_MAC: nic.mac,
        names.SANDBOX: owner.sandbox,
        names.POD_INTERFACE: nic.interface,
        names.IP_ADDRESSES: ",".join(str(address) for address in nic.addresses),
        names.OWNER: names.pod_owner(owner.pod.namespace, owner.pod.name),
        names.NETWORK: owner.network,
        names.ATTACHMENT: owner.attachment,
        names.NETNS: owner.netns,
        names.OVN_NETWORK: owner.network,
        names.OVN_NAD: owner.nad,
        names.POD_NETWORKS: owner.proof[0],
        names.POD_NETWORKS_SIGNATURE: owner.proof[1],
    }
    # OVS sets the MTU when it creates the device; it cannot once the device is in the pod.
    is_internal = nic.kind is plan.NicKind.INTERNAL
    # Single keys, not the whole map: ovn-controller writes keys of its own.
    interface: dict[str, rows.DesiredValue] = {
        "name": nic.device,
        "type": "internal" if is_internal else "",
        "mtu_request": nic.mtu if is_internal else NOTHING,
        "mac": NOTHING,
        "external_ids": rows.MapEntries(external_ids),
    }
    return (
        rows.Row("Interface", nic.device, interface),
        rows.Row(
            "Port",
            nic.device,
            {
                "name": nic.device,
                "interfaces": frozenset({rows.Ref("Interface", nic.device)}),
                "other_config": rows.MapEntries({"transient": "true"}),
                "external_ids": rows.MapEntries({names.OWNER: external_ids[names.OWNER]}),
                # OVN's flows expect untagged packets from a pod: a tag would cut it off.
                **UNTAGGED,
            },
            parent=rows.Ref("Bridge", bridge),
            parent_column="ports",
        ),
    )


def external_ids(columns: rows.Columns) -> Mapping[str, rows.Atom]:
    """Returns a row's external_ids, empty if it has none."""
    value = columns["external_ids"]
    return value if isinstance(value, Mapping) else {}


def bound(columns: rows.Columns) -> Bound | None:
    """Parses the pod's port in an Interface row; None for all other interfaces."""
    ids = {key: str(value) for key, value in external_ids(columns).items()}
    if names.ATTACHMENT not in ids or names.SANDBOX not in ids:
        return None
    _, namespace, name = names.owner_parts(ids.get(names.OWNER, "Pod//"))
    return Bound(
        device=str(columns["name"]),
        interface=ids.get(names.POD_INTERFACE, ""),
        sandbox=ids[names.SANDBOX],
        netns=ids.get(names.NETNS, ""),
        network=ids.get(names.NETWORK, ""),
        attachment=ids[names.ATTACHMENT],
        iface_id=ids.get(names.IFACE_ID, ""),
        pod=model.PodRef(model.ObjectKey(namespace, name), ids.get(names.IFACE_VERSION, "")),
        proof=(ids.get(names.POD_NETWORKS, ""), ids.get(names.POD_NETWORKS_SIGNATURE, "")),
    )


def owner(bound: Bound, nad: str) -> PortOwner:
    """Returns the Owner from which `desired` made the rows that `bound` was read from."""
    return PortOwner(
        pod=bound.pod,
        sandbox=bound.sandbox,
        netns=bound.netns,
        network=bound.network,
        attachment=bound.attachment,
        nad=nad,
        proof=bound.proof,
    )


def number(columns: rows.Columns) -> int:
    """Returns the OpenFlow port number; 0 until OVS has set it, -1 if it cannot open the device."""
    value = columns["ofport"]
    return value if isinstance(value, int) else 0


def failure(columns: rows.Columns) -> str:
    """Returns why OVS cannot use the device; empty if it can."""
    value = columns["error"]
    return value if isinstance(value, str) else ""


def pending(columns: rows.Columns) -> bool:
    """Whether vswitchd has neither made the port yet nor failed to."""
    return number(columns) == 0 and not failure(columns)


def works(columns: rows.Columns) -> bool:
    """Whether vswitchd has made the port, and ovn-controller installed its flows."""
    return number(columns) > 0 and installed(columns) and not failure(columns)


def installed(columns: rows.Columns) -> bool:
    """Whether ovn-controller has bound the port and installed all its flows (`ovn-installed`)."""
    return external_ids(columns).get(names.OVN_INSTALLED) == "true"


def rivals(bounds: Iterable[Bound], iface_id: str, device: str) -> list[str]:
    """Returns devices of older sandboxes with the same iface-id; OVN would bind any of them."""
    return [b.device for b in bounds if b.iface_id == iface_id and b.device != device]


def abandoned(
    bounds: Iterable[Bound], network: str, valid: Iterable[tuple[str, str]]
) -> list[Bound]:
    """Returns ports on `network` whose (sandbox, interface) is not `valid` any more (CNI GC)."""
    keep = set(valid)
    return [b for b in bounds if b.network == network and (b.sandbox, b.interface) not in keep]
