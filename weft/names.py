"""Derives every name and key of weft, and parses them again.

No other file composes a name. Annotation keys that other programs rely on are those of
ovn-kubernetes and Multus. Rows that weft writes carry weft's own prefix, so weft never mistakes
another controller's rows for its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

CNI_TYPE = "ovn-k8s-cni-overlay"

# Annotation keys of ovn-kubernetes and Multus, unchanged.
NETWORKS = "k8s.v1.cni.cncf.io/networks"
NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"
CHOSEN_DEFAULT = "v1.multus-cni.io/default-network"
POD_NETWORKS = "k8s.ovn.org/pod-networks"
# weft's, for what a selection cannot say; then Kubernetes' own, for each NIC of a pod.
NIC_OPTIONS = "weft/nic-options"
INGRESS_BANDWIDTH = "kubernetes.io/ingress-bandwidth"
EGRESS_BANDWIDTH = "kubernetes.io/egress-bandwidth"
# weft's annotation beside it: the cluster manager's signature. Allocations without it do not count.
POD_NETWORKS_SIGNATURE = "weft/pod-networks-signature"
# weft's annotation on the pod that a virtual machine leaves: its connections.
CONNECTIONS = "weft/connections"
NETWORK_NAME = "k8s.ovn.org/network-name"
NETWORK_ID = "k8s.ovn.org/network-id"
# In the cluster manager's namespace: the Secret with its key, the ConfigMap with public keys.
SIGNING_KEY = "weft-pod-networks-key"
SIGNING_KEYS = "weft-pod-networks-keys"
# KubeVirt's label on a virt-launcher pod; its value is the virtual machine's name.
VM_NAME = "vm.kubevirt.io/name"
# Its label on the pod that a machine migrates to; its value is the uid of the migration.
MIGRATION_UID = "kubevirt.io/migrationJobUID"
# Label of KubeVirt's IPAM controller on an IPAMClaim; its value is the virtual machine's name.
CLAIM_VM = "kubevirt.io/vm"
# Its finalizer on an IPAMClaim while the virtual machine or a pod of it is there.
CLAIM_PROTECTION = "kubevirt.io/persistent-ipam"
# KubeVirt's annotation on a machine: the addresses that its NICs ask for, by network.
MACHINE_ADDRESSES = "network.kubevirt.io/addresses"
# weft's annotation on a machine: the IPAMClaims that its NICs use, by network.
MACHINE_CLAIMS = "weft/ipam-claims"
# weft's annotation on a NAD: the configuration accepted last, which zones read.
ACCEPTED_CONFIG = "weft/accepted-config"
# weft's annotation on a NAD: the NAD that owns the network and decides who may use it.
NETWORK_OWNER = "weft/network-owner"
NODE_CHASSIS_ID = "k8s.ovn.org/node-chassis-id"
NODE_ENCAP_IPS = "k8s.ovn.org/node-encap-ips"
NODE_ID = "k8s.ovn.org/node-id"
NODE_SUBNETS = "k8s.ovn.org/node-subnets"
NODE_TRANSIT = "k8s.ovn.org/node-transit-switch-port-ifaddr"
NODE_GATEWAY = "k8s.ovn.org/l3-gateway-config"
# weft's annotation on a Node: the physical networks that it leads to, with their bridges; and its
# label for each of them, before the physical network's name.
NODE_BRIDGE_MAPPINGS = "weft/bridge-mappings"
PHYSICAL_NETWORK_LABEL = "physical-network.weft/"
# weft's annotation on a Node and on the cluster manager's Lease: the version that runs there.
VERSION = "weft/version"
# weft's condition on a Node: whether its OVN version has known faults.
OVN_CONDITION = "OVNKnownFaults"
# weft's condition on a Node: whether all other nodes answer over the underlay.
TUNNELS_CONDITION = "TunnelsUp"
CONDITIONS = (OVN_CONDITION, TUNNELS_CONDITION)

# The default network: its name and annotation key, its name in a CNI call, each pod's interface.
DEFAULT_NETWORK = "default"
DEFAULT_CNI_NAME = "ovn-kubernetes"
DEFAULT_INTERFACE = "eth0"

# MultiNetworkPolicies: the NADs whose networks a policy guards, a namespace's ACL logging, and
# weft's own: enforce or audit, and the policy that was accepted last (compare ACCEPTED_CONFIG).
POLICY_FOR = "k8s.v1.cni.cncf.io/policy-for"
ACL_LOGGING = "k8s.ovn.org/acl-logging"
POLICY_MODE = "weft/policy-mode"
ACCEPTED_POLICY = "weft/accepted-policy"

# weft's annotation on an IPAMClaim: it asks for addresses before a pod uses it.
IP_RESERVATION = "weft/ip-reservation"
# weft's annotation on an IPAMClaim that it made: the virtual machine's name.
CLAIM_MADE_FOR = "weft/made-for"
# weft's annotation on an IPAMClaim: the virtual machine that is to own it from now on.
CLAIM_TRANSFER = "weft/transfer-to"

# Finalizer on a NAD while pods have an allocation on it.
NETWORK_IN_USE = "weft/network-in-use"
# Finalizer on a UDN or CUDN and on the NADs that are rendered from it, and the label of those.
UDN_PROTECTION = "k8s.ovn.org/user-defined-network-protection"
UDN_LABEL = "k8s.ovn.org/user-defined-network"

# external_ids of the rows that weft owns. OWNER is "<Kind>/<namespace>/<name>" of the Kubernetes
# object that the row is made for; namespace is empty for cluster-wide objects.
OWNER = "weft/owner"
OWNER_UID = "weft/uid"
NETWORK = "weft/network"
SUBNETS = "weft/subnets"  # on the one switch of a network, for people who read the database
ATTACHMENT = "weft/attachment"
# Key of rows in tables that have no name column (DHCP_Options, routes, NAT, ACLs).
ROW_ID = "weft/id"
# On the port of a machine that migrates: the chassis that gets a copy of what is sent to it.
ALSO_ON = "weft/also-on"
# weft adds this key to a row and removes it again to make OVN process the row once more. The port
# group of this name does so for all port groups.
TOUCHED = "weft/touched"
TOUCHED_GROUP = "weft_touched"

# external_ids of OVS interfaces: those that OVN and ovn-kubernetes' tools read, then weft's own.
OVN_NETWORK = "k8s.ovn.org/network"
OVN_NAD = "k8s.ovn.org/nad"
IFACE_ID = "iface-id"
IFACE_VERSION = "iface-id-ver"
ATTACHED_MAC = "attached_mac"
SANDBOX = "sandbox"
POD_INTERFACE = "pod-if-name"
IP_ADDRESSES = "ip_addresses"
OVN_INSTALLED = "ovn-installed"
NETNS = "weft/netns"
# external_ids of the Port of a tunnel: "down" while the node at its other end does not answer.
TUNNEL_STATE = "weft/tunnel"

# Rows of the default network have no prefix. A prefix that starts like one of these has a hash.
_BEGINNINGS = ("GR", "ext", "join", "ovn", "transit")

# OVN's limit on the length of an ACL's name. The ACL log identifies an ACL by this name only.
_ACL_NAME = 63
# Names that Kubernetes takes for an object, and those that `network_object` makes of others.
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_HASHED = re.compile(r"-[0-9a-f]{16}$")
_LONGEST = 253
# Source of OVN's DHCP replies and of the node's router advertisements on every network.
SERVER_MAC = "0a:58:a9:fe:01:01"
SERVER_ADDRESS = "169.254.1.1"  # the DHCP server; guests send renewals to it


def pod_owner(namespace: str, name: str) -> str:
    return f"Pod/{namespace}/{name}"


def network_owner(network: str) -> str:
    return f"Network//{network}"


def node_owner(node: str) -> str:
    return f"Node//{node}"


def namespace_owner(namespace: str) -> str:
    return f"Namespace//{namespace}"


def policy_owner(namespace: str, name: str) -> str:
    return f"MultiNetworkPolicy/{namespace}/{name}"


def networkqos_owner(namespace: str, name: str) -> str:
    return f"NetworkQoS/{namespace}/{name}"


def owner_parts(owner: str) -> tuple[str, str, str]:
    """(kind, namespace, name) of an OWNER value; empty where it has less."""
    kind, _, key = owner.partition("/")
    namespace, _, name = key.partition("/")
    return kind, namespace, name


def prefix(key: str) -> str:
    """The name prefix of a network's or attachment's rows: `-` and `/` become `.`, then `_`.

    This alone would give `a-b/c` and `a/b-c`, or `a-b` and `a.b`, one prefix. Of the keys that
    share one, only the plainest goes without a hash, so two keys never share a row. The default
    network has no prefix.
    """
    if key == DEFAULT_NETWORK:
        return ""
    folded = key.replace("-", ".").replace("/", ".")
    first, *rest = key.split("/")
    plain = "." not in key and len(rest) < 2 and not (rest and "-" in first)
    plain = plain and key not in _BEGINNINGS
    if not plain:
        folded += "." + hashlib.sha256(key.encode()).hexdigest()[:8]
    return folded + "_"


@lru_cache(maxsize=4096)
def network_object(network: str) -> str:
    """The name of a network's Network object: the network's own, if Kubernetes takes it.

    Another name gets a hash, and so does one that looks as if it had one: no two networks share an
    object.
    """
    if _OBJECT_NAME.fullmatch(network) and len(network) <= _LONGEST and not _HASHED.search(network):
        return network
    hashed = hashlib.sha256(network.encode()).hexdigest()[:16]
    plain = re.sub(r"[^a-z0-9]+", "-", network.lower()).strip("-")
    return f"{plain[:200].strip('-') or 'network'}-{hashed}"


def layer2_switch(network: str) -> str:
    return f"{prefix(network)}ovn_layer2_switch"


def localnet_switch(network: str) -> str:
    """A zone's own switch of a localnet network; each zone has one under the same name."""
    return f"{prefix(network)}ovn_localnet_switch"


def localnet_switch_port(network: str) -> str:
    """The port that leads from it to the physical network."""
    return f"{prefix(network)}ovn_localnet_port"


def patch_port(localnet_port: str) -> str:
    """The OVS port by which ovn-controller joins a localnet port to the mapping's bridge."""
    return f"patch-{localnet_port}-to-br-int"


def node_switch(network: str, node: str) -> str:
    """The switch of one node's pods on a layer-3 network."""
    return f"{prefix(network)}{node}"


def cluster_router(network: str) -> str:
    """The router of a layer-3 network; each zone has its own under the same name."""
    return f"{prefix(network)}ovn_cluster_router"


def transit_switch(network: str) -> str:
    """The switch that joins the cluster routers of all zones."""
    return f"{prefix(network)}transit_switch"


def transit_router_port(network: str, node: str) -> str:
    return f"{prefix(network)}rtots-{node}"


def transit_switch_port(network: str, node: str) -> str:
    return f"{prefix(network)}tstor-{node}"


def router_port(switch: str) -> str:
    """The cluster router's port towards a switch of pods."""
    return f"rtos-{switch}"


def switch_port(switch: str) -> str:
    """The other end of it."""
    return f"stor-{switch}"


JOIN_SWITCH = "join"


def gateway_router(node: str) -> str:
    return f"GR_{node}"


def join_router_port(router: str) -> str:
    """A router's port towards the join switch."""
    return f"rtoj-{router}"


def join_switch_port(router: str) -> str:
    return f"jtor-{router}"


def external_switch(node: str) -> str:
    return f"ext_{node}"


def external_router_port(router: str) -> str:
    """A gateway router's port towards the external switch."""
    return f"rtoe-{router}"


def external_switch_port(router: str) -> str:
    return f"etor-{router}"


def localnet_port(node: str, physical_network: str) -> str:
    """The external switch's localnet port; also the `interface-id` of a gateway."""
    return f"{physical_network}_{node}"


def address_mac(address: str | IPv4Address | IPv6Address) -> str:
    """The MAC of an address by ovn-kubernetes' rule: from IPv4, else a hash of IPv6."""
    ip = ip_address(address) if isinstance(address, str) else address
    tail = ip.packed if ip.version == 4 else hashlib.sha256(str(ip).encode()).digest()[:4]
    return (b"\x0a\x58" + tail).hex(":")


def logical_port(attachment_key: str, namespace: str, pod: str) -> str:
    """Name of a pod's logical switch port; also the iface-id of its OVS interface."""
    return f"{prefix(attachment_key)}{namespace}_{pod}"


def machine_port(attachment_key: str, namespace: str, machine: str, tunnel_id: int) -> str:
    """Name of the logical switch port that all pods of a virtual machine have in turn.

    The cluster manager chooses and signs it. It gives no two NICs one tunnel key, so whoever calls
    a pod a machine's does not get its port. The colon separates it from pods' ports.
    """
    return f"{prefix(attachment_key)}{namespace}_{machine}:{tunnel_id}"


def advertiser_port(network: str) -> str:
    """Name of the logical port that sends IPv6 router advertisements on a network.

    The colon separates it from pod ports: no name in Kubernetes has one.
    """
    return f"{prefix(network)}:advertiser"


def advertiser_device(network_id: int) -> str:
    """Name of the advertiser port's OVS port."""
    return f"wra{network_id}"


def dhcp_options(network: str, family: int) -> str:
    """ROW_ID of a network's DHCP options; `family` is 4 or 6."""
    return f"dhcp{family}/{network}"


def dns_records(network: str) -> str:
    """ROW_ID of a network's DNS records."""
    return f"dns/{network}"


def host_device(sandbox: str, interface: str) -> str:
    """Name of the OVS port of a sandbox's interface, at most 15 characters (IFNAMSIZ).

    It depends on these two only, so a CNI DEL finds the port without a record of the ADD.
    """
    return "wp" + hashlib.sha256(f"{sandbox}/{interface}".encode()).hexdigest()[:13]


def is_host_device(name: str) -> bool:
    return _HOST_DEVICE.fullmatch(name) is not None


def machine_nic(interface: str) -> str:
    """What KubeVirt calls a pod's interface once it stands behind that bridge."""
    return f"{interface.removeprefix('pod')}-nic"


def machine_bridge(interface: str) -> str:
    """The bridge between a pod's interface and a virtual machine's, named as KubeVirt names it."""
    return f"k6t-{interface.removeprefix('pod')}"[:15]


def row_id(kind: str, which: object, network: str, node: str = "") -> str:
    """ROW_ID of a network's route, NAT or ACL; `node` is set if it leads to one node's subnet."""
    return "/".join((kind, str(which), network, *([node] if node else [])))


def group_id(kind: str, direction: str, network: str, *rest: object) -> str:
    """ROW_ID of a port group. Each `kind` has a fixed number of parts, and only the network's name
    may have a slash, so no two port groups share a ROW_ID."""
    return "/".join((kind, direction, network, *map(str, rest)))


def set_id(network: str, members: str, *service: object) -> str:
    """ROW_ID of an address set of the pods `members`, with one `service` port if it is given."""
    return "/".join(("set", network, members, *map(str, service)))


def requirement(key: str, operator: str, values: Iterable[str]) -> str:
    """A label requirement as text; values that no label can have are quoted, so texts differ."""
    parts = [text if _LABEL.fullmatch(text) else json.dumps(text) for text in (key, *values)]
    return f"{parts[0]} {operator}" + (f" ({','.join(parts[1:])})" if parts[1:] else "")


_HOST_DEVICE = re.compile(r"wp[0-9a-f]{13}")
_LABEL = re.compile(r"[A-Za-z0-9._/-]*")


def identifier(row_id: str) -> str:
    """The name of a port group or address set as a match writes it: letters and digits only.

    The hash is long enough that nobody can construct a selector with another set's identifier.
    """
    return "a" + hashlib.sha256(row_id.encode()).hexdigest()[:32]


def acl_name(head: str, *tail: object) -> str:
    """Name of an ACL in OVN's log; a hash replaces the end of `head` if it is too long."""
    end = "".join(f":{part}" for part in tail)
    if len(head) + len(end) > _ACL_NAME:
        digest = hashlib.sha256(head.encode()).hexdigest()[:8]
        head = head[: _ACL_NAME - len(end) - 9] + "~" + digest
    return head + end
