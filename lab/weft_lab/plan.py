"""Plans what runs in a lab: a spec in, services and links out. Pure.

The order is in each service's `after`; nothing here acts, and nothing knows the host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weft_lab import layout, spec
from weft_lab.runtime import daemons, rack
from weft_lab.service import API_DESCRIPTORS, READY_DESCRIPTOR, Ready, Service

MANAGEMENT_BRIDGE = "mgmt0"
UNDERLAY_BRIDGE = "underlay0"
NODE_LINK = "eth0"
WEBHOOK = "127.0.0.1:9443"  # where webhook/webhook.yaml has the API server ask

# Python components, by the module that must be there for each.
COMPONENTS: Mapping[str, str] = {
    "api": "weft_lab.apiserver.main",
    "controllers": "weft_lab.controllers.main",
    "cluster-manager": "weft.cli.cluster_manager",
    "agent": "weft.cli.node",
    "kubelet": "weft_lab.kubelet.main",
    "outside": "weft_lab.externalhost",
}


@dataclass(frozen=True, slots=True)
class NodeLinks:
    """A node's two ways out: a veth to the management bridge, its switch's port to the underlay.

    `tunnel` is the bridge that carries the Geneve address, with `mac`; `port` the link to be moved
    out.
    """

    node: str
    veth: str
    address: ipaddress.IPv4Interface
    port: str
    tunnel: str
    mac: str
    tunnel_address: ipaddress.IPv4Interface


@dataclass(frozen=True, slots=True)
class HostLinks:
    """A host that is no node: one veth to the underlay, or to the host that is its `switch`."""

    name: str
    veth: str
    addresses: tuple[ipaddress.IPv4Interface | ipaddress.IPv6Interface, ...]
    switch: str = ""
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    links: tuple[NodeLinks, ...]
    hosts: tuple[HostLinks, ...]
    services: tuple[Service, ...]


def make(
    lab: spec.Lab, *, state: str, manifests: Iterable[str], components: Iterable[str] = COMPONENTS
) -> Plan:
    """Everything that `lab` is; `state` is its folder on disk, `crds` that of the definitions
    that the API starts with, `components` the Python components to run."""
    chosen = frozenset(components)
    return Plan(
        links=tuple(_links(node) for node in lab.members),
        hosts=(
            HostLinks(spec.OUTSIDE, "ul-outside", spec.on_underlay(spec.OUTSIDE_HOST)),
            *vlans(lab),
        ),
        services=(
            *_cluster(lab, state, tuple(manifests), chosen),
            *_outside(chosen),
            *rack.services(lab.tagged),
            *(service for node in lab.members for service in daemons.zone(node)),
            *(service for node in lab.members for service in _node(lab, node, state, chosen)),
        ),
    )


def pod_logs(state: str) -> str:
    """Where every kubelet writes what its containers say, and the API reads it."""
    return f"{state}/logs/pods"


def own_disks(state: str) -> str:
    """The lab's own folder of disks for virtual machines."""
    return f"{state}/disks"


def missing(plan: Plan, running: Iterable[str]) -> tuple[Service, ...]:
    """Services of `plan` that are not among the names `running`."""
    known = frozenset(running)
    return tuple(service for service in plan.services if service.name not in known)


def _links(node: spec.Node) -> NodeLinks:
    return NodeLinks(
        node=node.name,
        veth=f"mg-{node.name}",
        address=_interface(node.address, spec.MANAGEMENT),
        port=daemons.underlay_port(node),
        tunnel=daemons.UNDERLAY_BRIDGE,
        mac=node.underlay_mac,
        tunnel_address=_interface(node.underlay, spec.UNDERLAY),
    )


def vlans(lab: spec.Lab) -> Iterable[HostLinks]:
    """The hosts of VLANs, after the switch to which their links lead."""
    if lab.vlans:
        yield HostLinks(rack.NAME, rack.UPLINK, ())
    for vlan in lab.tagged:
        yield HostLinks(vlan.host, rack.port(vlan), vlan.addresses, rack.NAME, vlan.mac)


def _interface(
    address: ipaddress.IPv4Address, network: ipaddress.IPv4Network
) -> ipaddress.IPv4Interface:
    return ipaddress.IPv4Interface(f"{address}/{network.prefixlen}")


def _after(chosen: frozenset[str], *names: str) -> tuple[str, ...]:
    """Those of the names whose part runs."""
    return tuple(name for name in names if name.rpartition("/")[2] in chosen)


def _cluster(
    lab: spec.Lab, state: str, manifests: tuple[str, ...], chosen: frozenset[str]
) -> Iterable[Service]:
    """What the lab has once."""
    if "api" in chosen:
        yield Service(
            "lab/api",
            (
                *("apiserver", "--state", state, "--logs", pod_logs(state)),
                *("--kubelets", str(layout.seen("{node}", layout.KUBELET_SOCKET))),
                *("--handlers", str(layout.seen("{node}", layout.HANDLER_SOCKET))),
                *(f"--listen=https:fd={number}" for number in API_DESCRIPTORS),
                *("--name", str(lab.api), "--ready-fd", str(READY_DESCRIPTOR)),
                *(f"--crds={folder}" for folder in manifests),
            ),
            entry=f"{COMPONENTS['api']}:main",
            ready=Ready.REPORTS,
            listening=True,
            imports=("uvloop",),
        )
    if "cluster-manager" in chosen:
        yield Service(
            "lab/cluster-manager",
            (
                *("weft", "cluster-manager", "--kubeconfig", _kubeconfig("cluster-manager")),
                *("--underlay-mtu", str(lab.mtu), *_network(lab)),
                *("--reserved-subnets", ",".join(map(str, lab.reserved))),
                *(("--webhook", WEBHOOK) if lab.webhook else ()),
            ),
            entry="weft.cli.main:main",
            imports=(COMPONENTS["cluster-manager"],),
            after=_after(chosen, "lab/api"),
        )
    if "controllers" in chosen:
        yield Service(
            "lab/controllers",
            ("controllers", "--kubeconfig", _kubeconfig("controllers")),
            entry=f"{COMPONENTS['controllers']}:main",
            imports=("weft_lab.vm.controller",),
            after=_after(chosen, "lab/api"),
        )


def _outside(chosen: frozenset[str]) -> Iterable[Service]:
    """What the host outside of the cluster serves."""
    if "outside" in chosen:
        yield Service(
            f"{spec.OUTSIDE}/http",
            ("outside",),
            node=spec.OUTSIDE,
            entry=f"{COMPONENTS['outside']}:main",
            ready=Ready.REPORTS,
        )


def _kubeconfig(component: str) -> str:
    return str(layout.kubeconfig(component))


def _network(lab: spec.Lab) -> tuple[str, ...]:
    """The options about networks of both of weft's processes."""
    own: tuple[str, ...] = ()
    if lab.is_primary:
        own = ("--cluster-subnets", lab.cluster_subnets, "--allow-primary")
    shared = ("--global-namespaces", lab.global_namespaces) if lab.global_namespaces else ()
    return ("--default-mtu", str(lab.pod_mtu), *own, *shared)


def _gateway(lab: spec.Lab, node: spec.Node) -> tuple[str, ...]:
    """A node's way out, through the host outside; of the families that pods have."""
    if not lab.is_primary:
        return ()
    families = {4, 6} if ":" in lab.cluster_subnets else {4}
    addresses = [each for each in node.gateways if each.version in families]
    hops = [each.ip for each in spec.on_underlay(spec.OUTSIDE_HOST) if each.version in families]
    return (
        *("--gateway-address", ",".join(map(str, addresses))),
        *("--gateway-next-hop", ",".join(map(str, hops))),
        *("--physical-network", spec.PHYSICAL_NETWORK),
    )


def _node(lab: spec.Lab, node: spec.Node, state: str, chosen: frozenset[str]) -> Iterable[Service]:
    """weft's agent and the kubelet stand-in of one node."""
    named = ("--node", node.name)
    acl_log = ("--acl-log", str(layout.ACL_LOG))
    if "agent" in chosen:
        yield Service(
            f"{node.name}/agent",
            (
                "weft",
                "node",
                *named,
                "--kubeconfig",
                str(layout.KUBECONFIG),
                *acl_log,
                *_network(lab),
                *_gateway(lab, node),
            ),
            node=node.name,
            entry="weft.cli.main:main",
            imports=(COMPONENTS["agent"],),
            after=(
                *_after(chosen, "lab/api"),
                *(f"{node.name}/{component}" for component in ("nb", "sb", "ovs-settings")),
            ),
            ready=Ready.LISTENS,
            socket=str(layout.CNI_SOCKET),
        )
    if "kubelet" in chosen:
        yield Service(
            f"{node.name}/kubelet",
            (
                *("kubelet", *named, "--kubeconfig", _kubeconfig("kubelet")),
                *("--multus-kubeconfig", _kubeconfig("multus"), "--logs", pod_logs(state)),
                *(f"--disks={folder}" for folder in (own_disks(state), *lab.disks)),
                *("--primary", lab.primary),
            ),
            node=node.name,
            entry=f"{COMPONENTS['kubelet']}:main",
            imports=("weft_lab.vm.handler",),
            after=_after(chosen, "lab/api"),
        )
