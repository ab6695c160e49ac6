"""Every reason of an Event that weft emits: at which object, what the message says, what to do.

`python -m tools.reference` makes docs/reference/events.md of it, and a Recorder takes nothing else,
so no Event lacks an explanation. In a message, "…" stands for what differs.
"""

from __future__ import annotations

from weft.eventreasons import NAD, NAMESPACE, NODE, NORMAL, POD, POLICY, QOS, UDN, VM, WARNING
from weft.eventreasons import EventReason as EventReason


class Reason(EventReason):
    """Of the cluster manager and the node agents."""

    INVALID_CONFIG = (
        *("InvalidConfig", NAD, WARNING),
        (
            "Failed to parse network config: …",
            "Correct the mistakes that the message lists. Running pods keep the configuration "
            "that was accepted before; new pods wait.",
        ),
        (
            "declares network … with …, but …, which was first, with …",
            "NADs with one `name` declare one network and must agree; the oldest counts. Give "
            "the field the same value in both, or choose another `name`.",
        ),
        (
            "overlaps …",
            "A pod cannot tell addresses of this subnet from those of the cluster. Choose "
            "another subnet, or correct the cluster manager's `--reserved-subnets`.",
        ),
        (
            "may not declare network …: it belongs to namespace …",
            "The namespace that declared the network first owns it. Its owner can [let your "
            "namespace in](../how-to/share-a-network.md); otherwise choose another `name`.",
        ),
    )
    MTU_TOO_LARGE = (
        *("MTUTooLarge", NAD, WARNING),
        (
            "is more than the underlay carries",
            "Large packets between nodes are lost. Set `mtu` as the message says, or correct "
            "`--underlay-mtu` if it is not that of the nodes' network.",
        ),
    )
    IGNORED_KEYS = (
        *("IgnoredKeys", NAD, WARNING),
        (
            "is ignored; did you mean …",
            "weft does not know this key and serves the NAD without it. Correct or remove the key.",
        ),
    )
    SHARED_VLAN = (
        *("SharedVLAN", NAD, WARNING),
        (
            "network … shares … of physical network … with network …, and subnets … and … overlap",
            "On the wire they are one segment. Exclude the other's range in each.",
        ),
    )
    NOT_SERVED = (
        *("NotServed", NAD, WARNING),
        (
            "is not weft's (did you mean …",
            "weft leaves NADs of other plugins alone, but this `type` looks misspelt.",
        ),
    )
    FOREIGN_NETWORK = (
        *("ForeignNetwork", NAD, NORMAL),
        (
            "joins network …, which belongs to namespace …",
            "The pods share that namespace's network. For one of your own, choose another `name`.",
        ),
    )
    EDIT_WAITS = (
        *("EditWaits", NAD, WARNING),
        (
            "an edit waits until no pod uses network …",
            "Delete all pods of the network at the same time, or undo the edit.",
        ),
    )
    ADDRESSES_EXCLUDED = (
        *("AddressesExcluded", NAD, WARNING),
        (
            "excludeSubnets holds addresses of running pods",
            "The pods keep them. Recreate the named pods to free the addresses.",
        ),
    )
    NETWORK_IN_USE = (
        *("NetworkInUse", NAD, WARNING),
        (
            "is being deleted …",
            "The NAD is removed when the named pods are gone. Until then no new pod can use it.",
        ),
    )

    DELETION_WAITS = (
        *("DeletionWaits", UDN, WARNING),
        (
            "is being deleted …",
            "Its NADs go, then the object, when the named pods are gone. No new pod can use it.",
        ),
    )
    NETWORK_ALLOCATION_FAILED = (
        *("NetworkAllocationFailed", UDN, WARNING),
        (
            "no … subnet is free for another node",
            "Pods of this node get no addresses. The spec cannot be changed: make a network with "
            "more `subnets`, or a longer `hostSubnet`.",
        ),
    )

    ERROR_ALLOCATING_POD = (
        *("ErrorAllocatingPod", POD, WARNING),
        (
            "k8s.v1.cni.cncf.io/networks…: …",
            "The annotation is wrong; the brackets have the number of the element, from 0. "
            "Correct it: `kubectl annotate --overwrite`.",
        ),
        (
            "does not exist",
            "Create the named NAD or IPAMClaim. A name alone is in the pod's namespace.",
        ),
        ("is invalid: …", "See the Events of the named NAD."),
        (
            "may not use network …: it belongs to namespace …",
            "The NAD in brackets must [let the pod's namespace "
            "in](../how-to/share-a-network.md). The pod then starts by itself.",
        ),
        (
            "is more than network … permits",
            "The owner [can permit it](../how-to/send-from-other-addresses.md). Or ask for less.",
        ),
        ("is held by …", "Another pod on the network has it. Ask for another, or delete that pod."),
        (
            "no address is free in subnet …",
            "Delete pods, exclude fewer addresses, or widen `subnets`; on a routed network, run "
            "pods on other nodes. The pod that has waited longest gets the next address.",
        ),
        (
            "no … subnet is free for another node",
            "See the Events of the pod's node. Run the pod on a node that has a subnet.",
        ),
        (
            "lies outside of subnet …",
            "On a routed network an address belongs to a node. Choose an address of this node's "
            "subnet, or run the pod on the other node.",
        ),
        (
            "lies outside of …, where the attachment is",
            "Name a gateway in the interface's own subnet and address family.",
        ),
        (
            "names … networks; a pod can have …",
            "Name fewer networks, or use several pods. An interface can have 32 addresses.",
        ),
        ("holds … allocations already; a pod can have …", "Unplug NICs, or delete the pod."),
        (
            "is refused by the API server, so that the pod gets nothing: …",
            "The annotations of an object have 256 KiB together. Shorten the others.",
        ),
    )
    NO_BRIDGE_MAPPING = (
        *("NoBridgeMapping", POD, WARNING),
        (
            "… of the node's Open vSwitch lacks physical network …",
            "Add the mapping to the node, and the pod goes on by itself; or [keep the pod off such "
            "nodes](../how-to/join-a-physical-network.md).",
        ),
        (
            "… of the node's Open vSwitch leads to bridge …, which does not exist",
            "Make the bridge in the node's Open vSwitch, or correct the mapping.",
        ),
    )
    BRIDGE_MTU_TOO_SMALL = (
        *("BridgeMTUTooSmall", POD, WARNING),
        (
            "port … of bridge … has MTU …, and the network …: larger packets are lost",
            "Raise the MTU of the port's NIC, if the physical network has it, or set `mtu` of the "
            "network as the message says. What the pod has running keeps its MTU until then.",
        ),
    )
    OUTSIDE_NODE_SUBNET = (
        *("OutsideNodeSubnet", POD, WARNING),
        (
            "lies outside of …, the subnet of its node …: no route leads to it",
            "The node got another subnet while the pod ran. Have the pod created again.",
        ),
    )
    ANNOTATION_IGNORED = (
        *("AnnotationIgnored", POD, WARNING),
        (
            "is an annotation of another plugin and has no effect on weft's networks",
            "Write `ips` or `mac` in an element of `k8s.v1.cni.cncf.io/networks`.",
        ),
    )
    POD_NETWORKS_OVERWRITTEN = (
        *("PodNetworksOverwritten", POD, WARNING),
        (
            "was not written by the cluster manager",
            "Only weft may write this annotation. Remove it from the manifest or template.",
        ),
        ("differs from what the cluster manager wrote for this pod", "Likewise."),
    )
    POD_NETWORKS_LOST = (
        *("PodNetworksLost", POD, WARNING),
        (
            "was changed or removed while no cluster manager ran",
            "The pod's node restores it. If Open vSwitch there lost its database, delete the pod.",
        ),
    )
    ADDRESS_REFUSED = (
        *("AddressRefused", POD, WARNING),
        (
            "is held by …",
            "The pod that already runs keeps the address, and this pod gets no port. Delete "
            "this pod: its successor gets a free address.",
        ),
        ("belong to the node", "Likewise: the network's router or DHCP server has this address."),
    )
    OVERLAPPING_SUBNETS = (
        *("OverlappingSubnets", POD, WARNING),
        (
            "subnet … of network … and … of network … overlap",
            "Packets to addresses of both subnets leave by only one interface. Give the "
            "networks different subnets, or attach the pod to one of them.",
        ),
    )
    NETWORKS_CHANGE_REFUSED = (
        *("NetworksChangeRefused", POD, WARNING),
        (
            "was changed while the pod runs: … is refused",
            "A running pod keeps its first interface, and each NIC its addresses and MAC. Plug "
            "the NIC [anew](../how-to/plug-a-nic.md), restart the pod or VM, or restore the "
            "annotation.",
        ),
    )
    NIC_NOT_PLUGGED = (
        *("NicNotPlugged", POD, WARNING),
        (
            "names … since the pod runs; it is allocated, and nobody has called the plugin for it",
            "Nothing on the node plugs NICs into running pods. Run "
            "[Multus' dynamic networks controller](../how-to/plug-a-nic.md), or make the pod anew.",
        ),
    )
    ADDRESS_NOT_KEPT = (
        *("AddressNotKept", POD, WARNING),
        (
            "names no IPAMClaim for …, so that its allowPersistentIPs keeps nothing",
            "A virtual machine gets another address and MAC when it restarts. Have the network "
            "[keep them](../how-to/keep-a-machines-addresses.md), name an IPAMClaim in "
            "`ipam-claim-reference`, or request an address by `network.kubevirt.io/addresses`.",
        ),
    )
    MACHINE_CLAIM_REFUSED = (
        *("MachineClaimRefused", VM, WARNING),
        (
            "IPAMClaim …: …",
            "Its pod waits. Delete a foreign claim or holder, or ask for something else.",
        ),
    )
    MACHINE_IDENTITY_CONFLICT = (
        *("MachineIdentityConflict", VM, WARNING),
        (
            "macAddress …: is held by …",
            "Its pod would wait: [say whose it is](../how-to/move-a-machines-identity.md).",
        ),
    )
    INTERFACE_REPAIRED = (
        *("InterfaceRepaired", POD, WARNING),
        (
            "interface …: …",
            "Another program changed weft's rows in Open vSwitch. weft writes them again.",
        ),
    )
    INTERFACE_LOST = (
        *("InterfaceLost", POD, WARNING),
        (
            "interface …: its device was deleted",
            "The interface was deleted inside the pod. Delete the pod; its successor has it.",
        ),
        (
            "is gone",
            "The pod's sandbox ended without a CNI DEL. The runtime creates another sandbox.",
        ),
    )

    INVALID_POLICY = (
        *("InvalidPolicy", POLICY, WARNING),
        (
            "no part of it is in force",
            "It does not say which pods it isolates, and was never in force. Correct it.",
        ),
        (
            "the version accepted last stays in force",
            "The policy does not say which pods it isolates. The version that was accepted last "
            "stays in force until you correct the policy.",
        ),
    )
    PART_SKIPPED = (
        *("PartSkipped", POLICY, WARNING),
        ("…: …", "The named field allows nothing; the rest of the policy is in force. Correct it."),
    )
    NETWORK_MISSING = (
        *("NetworkMissing", POLICY, WARNING),
        (
            "does not exist",
            "Create the NAD, or correct `policy-for`. A policy that was in force stays in force.",
        ),
    )
    WOULD_DROP = (
        *("WouldDrop", POLICY, NORMAL),
        (
            "would have dropped … from … to … on network …",
            "Enforced, it would drop this connection: [try a policy](../how-to/try-a-policy.md).",
        ),
    )
    # Conditions of a policy, reported where the cluster's CRD has no status for them.
    PARTS_SKIPPED = (
        *("PartsSkipped", POLICY, NORMAL),
        ("invalid parts are skipped and allow nothing: …", "Correct the named fields."),
    )
    INVALID = "Invalid", POLICY, NORMAL, ("no part of the policy is in force", "Correct it.")
    AUDITED = (
        *("Audited", POLICY, NORMAL),
        ("the policy is audited: it reports what it would drop, and lets it pass", ""),
    )
    ACCEPTED = "Accepted", POLICY, NORMAL, ("the whole policy can be enforced", "")
    NO_PODS = (
        *("NoPods", POLICY, NORMAL),
        ("no pod that podSelector selects is on …", "It has no effect. Check `podSelector`."),
    )
    BOUND = "Bound", POLICY, NORMAL, ("pods that it selects are on …", "")
    NOT_BOUND = "NotBound", POLICY, NORMAL, ("it guards no network", "See `NetworkMissing`.")
    ALL_MATCH = (
        *("AllMatch", POLICY, NORMAL),
        ("every selector matches a pod on its networks", ""),
    )
    NOTHING_MATCHES = (
        *("NothingMatches", POLICY, NORMAL),
        ("no pod on its networks matches …", "The named selectors allow no pod. Check them."),
    )

    INVALID_QOS = (
        *("InvalidQoS", QOS, WARNING),
        ("NetworkQoS …: …", "Nothing of it is in force. Correct the named fields."),
    )
    INVALID_ACL_LOGGING = (
        *("InvalidACLLogging", NAMESPACE, WARNING),
        (
            "k8s.ovn.org/acl-logging…: …",
            "Correct the annotation: [log what policies do](../how-to/log-what-policies-do.md).",
        ),
    )

    NODE_SUBNETS_EXHAUSTED = (
        *("NodeSubnetsExhausted", NODE, WARNING),
        (
            "no … subnet is free for another node",
            "The node's other networks work. Other nodes have all subnets of this network. Give "
            "the network more `subnets` or each node a smaller one, delete Nodes that no longer "
            "exist, or run the network's pods on fewer nodes.",
        ),
    )
    NODE_IDS_EXHAUSTED = (
        *("NodeIdsExhausted", NODE, WARNING),
        (
            "no … id is free: …",
            "Routed networks do not include this node. Delete Nodes that no longer exist.",
        ),
    )
    INVALID_NODE_ANNOTATION = (
        *("InvalidNodeAnnotation", NODE, WARNING),
        (
            "k8s.ovn.org/…",
            "The annotation is invalid, or another node's. weft writes the node's own again.",
        ),
    )
    OVN_KNOWN_FAULT = (
        *("OVNKnownFault", NODE, WARNING),
        (
            "has known faults: …",
            "Guests can use a fault of the node's OVN. Install a version that the message "
            "names. weft knows only the version number; a distribution may have fixed the fault "
            "in that version. The Node's condition `OVNKnownFaults` says the same.",
        ),
    )
    TUNNELS_DOWN = (
        *("TunnelsDown", NODE, WARNING),
        (
            "… not answering over the underlay: tunnels carry nothing",
            "Pods of this node do not reach those of the nodes that are named. Look at the nodes' "
            "physical network, and that firewalls let UDP ports 6081 and 6082 pass. The Node's "
            "condition `TunnelsUp` says what is so now.",
        ),
    )
    TUNNELS_UP = (
        *("TunnelsUp", NODE, NORMAL),
        ("… answering again", "Tunnels to these nodes carry packets again."),
    )
