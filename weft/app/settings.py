"""Declares the settings of weft's processes: flags, environment variables, defaults.

A setting is one record: name, default, help, flag and environment variable. The command line, the
reference and tests read these records; no other module has a flag's name or default.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from weft import errors, model
from weft.api import defaultnetwork, netconf
from weft.nic import plan
from weft.ovn import ports
from weft.policy import access

T = TypeVar("T", str, int, bool)


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting. `name` is its name in code; flag and environment variable derive from it.

    `minimum` and `maximum` bound a number; `choices` are the allowed values of a text.
    """

    name: str
    default: T
    help: str
    metavar: str = ""
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def env(self) -> str:
        return "WEFT_" + self.name.upper()

    def objection(self, value: T) -> str:
        """Returns the rule that a value breaks; empty if it is valid."""
        if self.choices and value not in self.choices:
            return f"must be one of {', '.join(self.choices)}"
        if isinstance(value, int) and self.minimum is not None:
            if self.maximum is None:
                return "" if self.minimum <= value else f"must be at least {self.minimum}"
            if not self.minimum <= value <= self.maximum:
                return f"must be from {self.minimum} to {self.maximum}"
        return ""


KUBECONFIG = Setting(
    "kubeconfig",
    "",
    "Kubeconfig file of the cluster. Without it: the service account of the pod this runs in.",
    "FILE",
)
LOG_LEVEL = Setting("log_level", "info", "Lowest severity to log.", "LEVEL")
LOG_FORMAT = Setting("log_format", "text", "Format of the log: text or json.", "FORMAT")
HEALTH = Setting(
    "health",
    "",
    "Address that serves /healthz, /readyz and /metrics: HOST:PORT or unix:PATH. Empty: none.",
    "ADDRESS",
)
DEFAULT_MTU = Setting(
    "default_mtu",
    1400,
    "MTU of a network whose NetworkAttachmentDefinition has none.",
    "BYTES",
    minimum=netconf.MIN_MTU,
    maximum=netconf.MAX_MTU,
)
UNDERLAY_MTU = Setting(
    "underlay_mtu",
    1500,
    "MTU of the network between the nodes; a larger overlay MTU causes a warning. 0: no check.",
    "BYTES",
    minimum=0,
    maximum=netconf.MAX_MTU,
)
CLUSTER_SUBNETS = Setting(
    "cluster_subnets",
    "",
    "Subnets of the default network with the prefix length of a node subnet, such as "
    "10.128.0.0/14/23. Empty: another plugin serves the primary network.",
    "SUBNETS",
)
ALLOW_PRIMARY = Setting(
    "allow_primary",
    False,
    "Allow --cluster-subnets. As the primary network weft has no Services, no DNS, no "
    "NetworkPolicy, and no way from a node to its pods: it is for labs.",
)
RESERVED_SUBNETS = Setting(
    "reserved_subnets",
    "",
    "Ranges that no overlay may overlap, comma-separated: the cluster's pods, services and nodes.",
    "CIDRS",
)
GLOBAL_NAMESPACES_MEAN = (
    "Namespaces beside default, comma-separated, whose networks all namespaces may use unless the "
    "NetworkAttachmentDefinition limits them. Only administrators may have write access there."
)
GLOBAL_NAMESPACES = Setting(
    "global_namespaces",
    "",
    f"{GLOBAL_NAMESPACES_MEAN} Use the same value for the cluster manager and all agents.",
    "NAMESPACES",
)
LEADER_ELECT = Setting(
    "leader_elect", False, "Act only while holding the lease, so that several copies can run."
)
WEBHOOK = Setting(
    "webhook",
    "",
    "Address that serves the admission webhook with TLS: HOST:PORT. Empty: none.",
    "ADDRESS",
)
LEASE_NAME = Setting("lease_name", "weft-cluster-manager", "Name of the lease.", "NAME")
LEASE_NAMESPACE = Setting(
    "lease_namespace",
    "",
    "Namespace of the lease and the keys; no tenant may write there. Empty: the kubeconfig's.",
    "NAMESPACE",
)
KEYS_NAMESPACE = Setting(
    "keys_namespace",
    "",
    "Namespace of the ConfigMap with the cluster manager's public keys: that of its lease. "
    "Empty: the kubeconfig's.",
    "NAMESPACE",
)
WORKERS = Setting("workers", 64, "Pods to annotate at the same time.", "COUNT", minimum=1)
POD_ENDPOINTS = Setting(
    "pod_endpoints",
    False,
    "The cluster manager writes a PodEndpoint for each pod on networks, and agents read other "
    "nodes' pods from these alone: for large clusters. Turn it on at the manager first.",
)
NODE = Setting("node", "", "Name of the Node object that this agent serves.", "NAME")
ENCAP_IP = Setting(
    "encap_ip",
    "",
    "Address at which tunnels to this node end. With it or --tunnel-interface the agent tells Open "
    "vSwitch who the node is, where nobody else has. Empty: the administrator does.",
    "ADDRESS",
)
TUNNEL_INTERFACE = Setting(
    "tunnel_interface",
    "",
    "Interface of this node whose address is the end of its tunnels. A userspace switch takes it.",
    "NAME",
)
DATAPATH = Setting(
    "datapath",
    "auto",
    "Datapath of Open vSwitch: kernel, userspace, or auto for the kernel's where it has one.",
    "KIND",
    choices=("auto", "kernel", "userspace"),
)
OVS = Setting(
    "ovs", "unix:/run/openvswitch/db.sock", "Open vSwitch database of this node.", "ADDRESS"
)
NB = Setting(
    "nb", "unix:/run/ovn/ovnnb_db.sock", "Northbound database of this node's zone.", "ADDRESS"
)
SB = Setting(
    "sb", "unix:/run/ovn/ovnsb_db.sock", "Southbound database of this node's zone.", "ADDRESS"
)
OVSDB_PROBE = Setting(
    "ovsdb_probe",
    5,
    "Seconds of silence before the agent sends a database server an echo request; after as many "
    "more without a reply it reconnects. 0: never.",
    "SECONDS",
    minimum=0,
)
PROBE_PORT = Setting(
    "probe_port",
    6082,
    "UDP port by which agents find out whether the underlay between them works; the same on all "
    "nodes. 0: they do not.",
    "PORT",
    minimum=0,
)
CNI_SOCKET = Setting(
    "cni_socket",
    "/run/weft/cni.sock",
    "Socket on which the agent serves the CNI plugin.",
    "PATH",
)
CNI_BIN = Setting(
    "cni_bin",
    "",
    "Folder of CNI plugins, in which the agent keeps weft's. Empty: somebody else installs it.",
    "FOLDER",
)
CNI_PLUGIN = Setting(
    "cni_plugin",
    "",
    "Program to install there. Empty: the Python plugin, run by the agent's own interpreter.",
    "FILE",
)
NIC_KIND = Setting(
    "nic_kind",
    "internal",
    "Device of a pod's interface: internal (an OVS port moved into the pod) or veth.",
    "KIND",
    choices=tuple(plan.NicKind),
)
REMOTE_PORTS = Setting(
    "remote_ports",
    "plain",
    "Type of ports in other zones: plain (incremental) or remote.",
    "KIND",
    choices=tuple(ports.RemotePorts),
)
GATEWAY_ADDRESS = Setting(
    "gateway_address",
    "",
    "Addresses of this node's gateway router on the physical network, each with its prefix "
    "length. Empty: pods cannot reach addresses outside the cluster.",
    "ADDRESSES",
)
GATEWAY_NEXT_HOP = Setting(
    "gateway_next_hop",
    "",
    "Routers on the physical network, the next hops of the gateway's default routes.",
    "ADDRESSES",
)
PHYSICAL_NETWORK = Setting(
    "physical_network",
    "physnet",
    "Physical network of the gateway: a name in Open vSwitch's ovn-bridge-mappings.",
    "NAME",
)
ACL_LOG = Setting(
    "acl_log",
    "/var/log/ovn/ovn-controller.log",
    "Log of this node's ovn-controller, in which the agent finds what audited policies would drop. "
    "Empty: none.",
    "PATH",
)

CLUSTER_MANAGER: tuple[Setting[str] | Setting[int] | Setting[bool], ...] = (
    KUBECONFIG,
    LOG_LEVEL,
    LOG_FORMAT,
    HEALTH,
    DEFAULT_MTU,
    UNDERLAY_MTU,
    CLUSTER_SUBNETS,
    ALLOW_PRIMARY,
    RESERVED_SUBNETS,
    GLOBAL_NAMESPACES,
    LEADER_ELECT,
    LEASE_NAME,
    LEASE_NAMESPACE,
    WORKERS,
    WEBHOOK,
    POD_ENDPOINTS,
)


@dataclass(frozen=True, slots=True)
class ClusterManager:
    """The cluster manager's settings; the records above have the defaults."""

    kubeconfig: str = KUBECONFIG.default
    log_level: str = LOG_LEVEL.default
    log_format: str = LOG_FORMAT.default
    health: str = HEALTH.default
    default_mtu: int = DEFAULT_MTU.default
    underlay_mtu: int = UNDERLAY_MTU.default
    cluster_subnets: str = CLUSTER_SUBNETS.default
    allow_primary: bool = ALLOW_PRIMARY.default
    reserved_subnets: str = RESERVED_SUBNETS.default
    global_namespaces: str = GLOBAL_NAMESPACES.default
    leader_elect: bool = LEADER_ELECT.default
    lease_name: str = LEASE_NAME.default
    lease_namespace: str = LEASE_NAMESPACE.default
    workers: int = WORKERS.default
    webhook: str = WEBHOOK.default
    pod_endpoints: bool = POD_ENDPOINTS.default


AGENT: tuple[Setting[str] | Setting[int] | Setting[bool], ...] = (
    KUBECONFIG,
    NODE,
    KEYS_NAMESPACE,
    LOG_LEVEL,
    LOG_FORMAT,
    HEALTH,
    DEFAULT_MTU,
    CLUSTER_SUBNETS,
    ALLOW_PRIMARY,
    GLOBAL_NAMESPACES,
    GATEWAY_ADDRESS,
    GATEWAY_NEXT_HOP,
    PHYSICAL_NETWORK,
    ENCAP_IP,
    TUNNEL_INTERFACE,
    DATAPATH,
    OVS,
    NB,
    SB,
    OVSDB_PROBE,
    PROBE_PORT,
    CNI_SOCKET,
    CNI_BIN,
    CNI_PLUGIN,
    NIC_KIND,
    REMOTE_PORTS,
    ACL_LOG,
    POD_ENDPOINTS,
)


@dataclass(frozen=True, slots=True)
class Agent:
    """The node agent's settings; the records above have the defaults."""

    node: str = NODE.default
    kubeconfig: str = KUBECONFIG.default
    keys_namespace: str = KEYS_NAMESPACE.default
    log_level: str = LOG_LEVEL.default
    log_format: str = LOG_FORMAT.default
    health: str = HEALTH.default
    default_mtu: int = DEFAULT_MTU.default
    cluster_subnets: str = CLUSTER_SUBNETS.default
    allow_primary: bool = ALLOW_PRIMARY.default
    global_namespaces: str = GLOBAL_NAMESPACES.default
    gateway_address: str = GATEWAY_ADDRESS.default
    gateway_next_hop: str = GATEWAY_NEXT_HOP.default
    physical_network: str = PHYSICAL_NETWORK.default
    encap_ip: str = ENCAP_IP.default
    tunnel_interface: str = TUNNEL_INTERFACE.default
    datapath: str = DATAPATH.default
    ovs: str = OVS.default
    nb: str = NB.default
    sb: str = SB.default
    ovsdb_probe: int = OVSDB_PROBE.default
    probe_port: int = PROBE_PORT.default
    cni_socket: str = CNI_SOCKET.default
    cni_bin: str = CNI_BIN.default
    cni_plugin: str = CNI_PLUGIN.default
    nic_kind: str = NIC_KIND.default
    remote_ports: str = REMOTE_PORTS.default
    acl_log: str = ACL_LOG.default
    pod_endpoints: bool = POD_ENDPOINTS.default


def default_network(options: Agent | ClusterManager) -> model.Network | None:
    """Returns the default network, None if weft does not serve it; raises InvalidInput."""
    return defaultnetwork.parse(options.cluster_subnets, mtu=options.default_mtu)


def namespaces(process: str, text: str) -> frozenset[str]:
    """Returns the global namespaces in an option, and those that are always global.

    Raises InvalidInput for what is no namespace's name.
    """
    named = {each.strip() for each in text.split(",") if each.strip()}
    for name in sorted(named):
        if not netconf.NAMESPACE.fullmatch(name):
            rule = "must be names of namespaces, with commas between them"
            raise errors.InvalidInput(process, GLOBAL_NAMESPACES.flag, name, rule)
    return access.GLOBAL_NAMESPACES | named


def check(process: str, known: Iterable[Setting[Any]], options: object) -> None:
    """Raises InvalidInput for the first of `options` that breaks its setting's rule."""
    for setting in known:
        value = getattr(options, setting.name)
        rule = setting.objection(value)
        if rule:
            raise errors.InvalidInput(process, setting.flag, value, rule)


def check_primary(process: str, options: Agent | ClusterManager) -> None:
    """Raises InvalidInput if the default network is configured without --allow-primary."""
    if options.cluster_subnets and not options.allow_primary:
        rule = (
            f"needs {ALLOW_PRIMARY.flag}: as the primary network weft has no Services, DNS or "
            "NetworkPolicy, and nodes do not reach pods; run weft beside a primary CNI plugin"
        )
        flag = CLUSTER_SUBNETS.flag
        raise errors.InvalidInput(process, flag, options.cluster_subnets, rule)
