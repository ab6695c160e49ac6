"""Every name and key that weft derives, and the way back; no other file composes one.

Annotation keys that outsiders rely on are ovn-kubernetes' and Multus' own; rows that weft
writes carry its own prefix, so that it never takes another controller's rows for its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

CNI_TYPE = "ovn-k8s-cni-overlay"

# Annotations of the field, to the letter.
NETWORKS = "k8s.v1.cni.cncf.io/networks"
NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"
CHOSEN_DEFAULT = "v1.multus-cni.io/default-network"
POD_NETWORKS = "k8s.ovn.org/pod-networks"
# weft's own, beside it: the cluster manager's signature, without which it is nobody's word.
POD_NETWORKS_SIGNATURE = "weft/pod-networks-signature"
NETWORK_NAME = "k8s.ovn.org/network-name"
NETWORK_ID = "k8s.ovn.org/network-id"
# In the cluster manager's namespace: the Secret with which it signs, and the ConfigMap that says by
# which keys its signatures are known.
SIGNING_KEY = "weft-pod-networks-key"
SIGNING_KEYS = "weft-pod-networks-keys"
# KubeVirt's label on the pod of a virtual machine: the machine's name.
VM_NAME = "vm.kubevirt.io/name"
# weft's own, on a definition: the text of its configuration that was accepted last. Zones go by
# it, so that an edit that breaks a definition does not break the pods that run with it.
ACCEPTED_CONFIG = "weft/accepted-config"
# Likewise: the definition that owns the network, which says who may use it.
NETWORK_OWNER = "weft/network-owner"
NODE_CHASSIS_ID = "k8s.ovn.org/node-chassis-id"
NODE_ENCAP_IPS = "k8s.ovn.org/node-encap-ips"
NODE_ID = "k8s.ovn.org/node-id"
NODE_SUBNETS = "k8s.ovn.org/node-subnets"
NODE_TRANSIT = "k8s.ovn.org/node-transit-switch-port-ifaddr"
NODE_GATEWAY = "k8s.ovn.org/l3-gateway-config"
# weft's own, a condition of a Node: whether its OVN is of a version with known faults.
OVN_CONDITION = "OVNKnownFaults"

# The cluster's own network: its name, its key in the annotations of pods and nodes, what runtimes
# call it in a CNI call, and its interface in every pod.
DEFAULT_NETWORK = "default"
DEFAULT_CNI_NAME = "ovn-kubernetes"
DEFAULT_INTERFACE = "eth0"

# MultiNetworkPolicies: the definitions whose networks one guards, what a namespace wants logged,
# and weft's own: enforce or audit, and what of it was accepted last (as ACCEPTED_CONFIG).
POLICY_FOR = "k8s.v1.cni.cncf.io/policy-for"
ACL_LOGGING = "k8s.ovn.org/acl-logging"
POLICY_MODE = "weft/policy-mode"
ACCEPTED_POLICY = "weft/accepted-policy"

# Finalizer of a definition that pods have an allocation on.
NETWORK_IN_USE = "weft/network-in-use"

# external_ids of the rows that weft owns. OWNER is "<Kind>/<namespace>/<name>" of the
# Kubernetes object that a row stands for (namespace empty for cluster-wide objects).
OWNER = "weft/owner"
OWNER_UID = "weft/uid"
NETWORK = "weft/network"
SUBNETS = "weft/subnets"  # of a switch that is a network's only one, for who looks at it
ATTACHMENT = "weft/attachment"
# Key of rows in tables that have no name of their own (DHCP_Options, routes, NAT, ACLs).
ROW_ID = "weft/id"
# A key that comes into a row and goes again, so that OVN looks at the row once more; and the port
# group that does so for all groups.
TOUCHED = "weft/touched"
TOUCHED_GROUP = "weft_touched"

# external_ids of OVS interfaces: what OVN and ovn-kubernetes' tools read, then weft's own.
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

# Rows of the cluster's own network have no prefix; a network whose prefix one of them begins with
# carries a hash.
_BEGINNINGS = ("GR", "ext", "join", "ovn", "transit")

# Tunnel keys: datapaths from the range that northd never hands out by itself; port keys below
# FIRST_POD_TUNNEL_KEY belong to the platform (router and advertiser ports).
FIRST_DATAPATH_KEY = 16711683
FIRST_POD_TUNNEL_KEY = 10
LAST_TUNNEL_KEY = 32767
MAX_NETWORKS = 4096
# Datapaths of one zone alone, each kind with room for all networks. Their keys are fixed as well: a
# packet that was tracked halfway when a Southbound database was lost goes on in the datapath that
# has its key now, and must not find itself behind another's gates.
FIRST_LOCAL_KEY = 1 << 20
_LOCAL = ("node switch", "cluster router", "join switch", "gateway router", "external switch")
ROUTER_TUNNEL_KEY = 2
# Likewise the ports that lead from a datapath of one zone alone to its neighbours.
_TOWARDS = {
    "cluster router": ("node switch", "transit switch", "join switch"),
    "join switch": ("cluster router", "gateway router"),
    "gateway router": ("join switch", "external switch"),
    "external switch": ("gateway router", "physical network"),
}
ADVERTISER_TUNNEL_KEY = 1
# OVN's own limit on the name of an ACL, which is all that its log says of it.
_ACL_NAME = 63
# Where OVN's DHCP replies and the node's router advertisements come from, on every network.
SERVER_MAC = "0a:58:a9:fe:01:01"
SERVER_ADDRESS = "169.254.1.1"  # of the DHCP server, by which a guest asks to renew


def definition_of(attachment_key: str) -> str:
    """The definition's key in an attachment's: "<namespace>/<name>", then perhaps "/<n>"."""
    return "/".join(attachment_key.split("/", 2)[:2])


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


def owner_parts(owner: str) -> tuple[str, str, str]:
    """(kind, namespace, name) of an OWNER value."""
    kind, namespace, name = owner.split("/", 2)
    return kind, namespace, name


def prefix(key: str) -> str:
    """The prefix of the rows of a network or attachment: `-` and `/` become `.`, then `_`.

    Folding alone would merge `a-b/c` with `a/b-c`, and `a-b` with `a.b`; a key that is not the
    plainest of those that fold alike carries a hash, so two keys never share a row. The cluster's
    own network has none.
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


def layer2_switch(network: str) -> str:
    return f"{prefix(network)}ovn_layer2_switch"


def node_switch(network: str, node: str) -> str:
    """The switch of one node's pods on a layer-3 network."""
    return f"{prefix(network)}{node}"


def cluster_router(network: str) -> str:
    """The router of a layer-3 network; each zone has its own under the same name."""
    return f"{prefix(network)}ovn_cluster_router"


def transit_switch(network: str) -> str:
    """The switch that ties the cluster routers of all zones together."""
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
    """The external switch's port to the physical network: the `interface-id` of a gateway."""
    return f"{physical_network}_{node}"


def address_mac(address: str | IPv4Address | IPv6Address) -> str:
    """The MAC that goes with an address, by the field's rule: from IPv4, else a hash of IPv6."""
    ip = ip_address(address) if isinstance(address, str) else address
    tail = ip.packed if ip.version == 4 else hashlib.sha256(str(ip).encode()).digest()[:4]
    return (b"\x0a\x58" + tail).hex(":")


def logical_port(attachment_key: str, namespace: str, pod: str) -> str:
    """Name of a pod's logical switch port; also the iface-id of its OVS interface."""
    return f"{prefix(attachment_key)}{namespace}_{pod}"


def advertiser_port(network: str) -> str:
    """Name of the logical port that speaks IPv6 router advertisements on a network.

    The colon tells it from every pod's: no name in Kubernetes has one.
    """
    return f"{prefix(network)}:advertiser"


def advertiser_device(network_id: int) -> str:
    """Name of the OVS port behind it."""
    return f"wra{network_id}"


def dhcp_options(network: str, family: int) -> str:
    """ROW_ID of what DHCP says on a network; `family` is 4 or 6."""
    return f"dhcp{family}/{network}"


def datapath_key(network_id: int) -> int:
    """24-bit tunnel key of a network's switch, the same in every zone."""
    return FIRST_DATAPATH_KEY + network_id


def local_datapath_key(kind: str, network_id: int) -> int:
    """Key of a zone's own switch or router of this kind."""
    return FIRST_LOCAL_KEY + _LOCAL.index(kind) * MAX_NETWORKS + network_id


def local_port_key(kind: str, towards: str) -> int:
    """Key of the port of such a switch or router that leads to another one."""
    return 1 + _TOWARDS[kind].index(towards)


def host_device(sandbox: str, interface: str) -> str:
    """Name of the OVS port of one interface of one sandbox; Linux allows 15 characters.

    Made of both alone, so that a DEL finds the port without any record of the ADD.
    """
    return "wp" + hashlib.sha256(f"{sandbox}/{interface}".encode()).hexdigest()[:13]


def is_host_device(name: str) -> bool:
    return _HOST_DEVICE.fullmatch(name) is not None


def machine_bridge(interface: str) -> str:
    """The bridge of a pod's interface and a virtual machine's, by KubeVirt's names."""
    return f"k6t-{interface.removeprefix('pod')}"[:15]


def row_id(kind: str, which: object, network: str, node: str = "") -> str:
    """ROW_ID of a route, NAT or ACL of a network; `node` where it leads to one node's part."""
    return "/".join((kind, str(which), network, *([node] if node else [])))


def group_id(kind: str, direction: str, network: str, *rest: object) -> str:
    """ROW_ID of a port group. Each kind has its number of parts, of which the network's name alone
    may have a slash, so no two groups share one."""
    return "/".join((kind, direction, network, *map(str, rest)))


def set_id(network: str, members: str, *service: object) -> str:
    """ROW_ID of an address set: `members` says whose addresses, `service` which port of theirs."""
    return "/".join(("set", network, members, *map(str, service)))


def requirement(key: str, operator: str, values: Iterable[str]) -> str:
    """A condition on labels as text; what no label can be is quoted, so that no two are alike."""
    said = [text if _LABEL.fullmatch(text) else json.dumps(text) for text in (key, *values)]
    return f"{said[0]} {operator}" + (f" ({','.join(said[1:])})" if said[1:] else "")


_HOST_DEVICE = re.compile(r"wp[0-9a-f]{13}")
_LABEL = re.compile(r"[A-Za-z0-9._/-]*")


def identifier(row_id: str) -> str:
    """What a match calls a port group or an address set: letters and digits, whatever its id.

    Long enough that nobody finds a selector whose set is another's.
    """
    return "a" + hashlib.sha256(row_id.encode()).hexdigest()[:32]


def acl_name(head: str, *tail: object) -> str:
    """Name of an ACL in OVN's log; where it is too long, a hash stands for the end of `head`."""
    end = "".join(f":{part}" for part in tail)
    if len(head) + len(end) > _ACL_NAME:
        digest = hashlib.sha256(head.encode()).hexdigest()[:8]
        head = head[: _ACL_NAME - len(end) - 9] + "~" + digest
    return head + end
