"""Every reason of an Event that weft emits: at which object, what the message says, what to do.

`python -m tools.reference` makes docs/reference/events.md of it, and a Recorder takes nothing else,
so no Event lacks an explanation. In a message, "…" stands for what differs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

NORMAL, WARNING = "Normal", "Warning"

NAD, POD, POLICY, NODE = "NetworkAttachmentDefinition", "Pod", "MultiNetworkPolicy", "Node"
NAMESPACE = "Namespace"


class EventReason(StrEnum):
    """`about` is the kind of the object, `type` is Normal or Warning.

    `cases` are what a message says, and as Markdown what that means and what to do.
    `lasts`: it tells of a state; if the server has the Event already, its count stays.
    """

    about: str
    type: str
    cases: tuple[tuple[str, str], ...]

    @property
    def lasts(self) -> bool:
        return False

    def __new__(cls, name: str, about: str, type: str, *cases: tuple[str, str]) -> Self:
        one = str.__new__(cls, name)
        one._value_ = name
        one.about, one.type, one.cases = about, type, cases
        return one


class Reason(EventReason):
    """Of the cluster manager and the node agents."""

    @property
    def lasts(self) -> bool:
        return self in _LASTING

    INVALID_CONFIG = (
        *("InvalidConfig", NAD, WARNING),
        (
            "Failed to parse network config: …",
            "Nothing uses this text. All that is wrong is listed; correct it. Pods that run keep "
            "what was accepted before; new ones wait.",
        ),
        (
            "declares network … with …, but …, which was first, with …",
            "NADs of one `name` are one network and must agree. The oldest counts. Make the field "
            "the same in both, or choose another `name`.",
        ),
        (
            "overlaps …",
            "A pod could not tell this subnet from a range of the cluster. Choose another one, or "
            "correct `--reserved-subnets` of the cluster manager.",
        ),
        (
            "may not declare network …: it belongs to namespace …",
            "The first who declared it owns it. Its owner may [let your namespace in]"
            "(../how-to/share-a-network.md); otherwise choose another `name`.",
        ),
    )
    MTU_TOO_LARGE = (
        *("MTUTooLarge", NAD, WARNING),
        (
            "is more than the underlay carries",
            "It is served, but large packets between nodes will not arrive. Set `mtu` to what the "
            "message says, or `--underlay-mtu` if it is wrong about the nodes' network.",
        ),
    )
    IGNORED_KEYS = (
        *("IgnoredKeys", NAD, WARNING),
        ("is ignored; did you mean …", "Nobody reads this key. The NAD is served without it."),
    )
    NOT_SERVED = (
        *("NotServed", NAD, WARNING),
        (
            "is not weft's (did you mean …",
            "weft leaves a NAD of another plugin alone; this `type` looks like a slip.",
        ),
    )
    FOREIGN_NETWORK = (
        *("ForeignNetwork", NAD, NORMAL),
        (
            "joins network …, which belongs to namespace …",
            "It works. If you meant a network of your own, choose another `name`.",
        ),
    )
    EDIT_WAITS = (
        *("EditWaits", NAD, WARNING),
        (
            "an edit waits until no pod uses network …",
            "A running pod cannot follow it. Delete all pods of the network at the same time, or "
            "undo the edit.",
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
            "It goes when the pods that are named are gone, and takes no new ones.",
        ),
    )

    ERROR_ALLOCATING_POD = (
        *("ErrorAllocatingPod", POD, WARNING),
        (
            "k8s.v1.cni.cncf.io/networks…: …",
            "The annotation is wrong at the element of the number (from 0) in brackets. Correct "
            "it: `kubectl annotate --overwrite`.",
        ),
        (
            "does not exist",
            "Create the NAD or IPAMClaim that is named. Without a namespace in the annotation, the "
            "pod's own is meant.",
        ),
        ("is invalid: …", "See the Events of the NAD that is named."),
        (
            "may not use network …: it belongs to namespace …",
            "The NAD that is named in brackets has to [let the pod's namespace in]"
            "(../how-to/share-a-network.md). The pod goes on then.",
        ),
        (
            "is held by …",
            "An address is given once on a network, a MAC too. Ask for another, or delete the "
            "holder.",
        ),
        (
            "no address is free in subnet …",
            "Delete pods, exclude less, or widen `subnets`; on a routed network, run pods on other "
            "nodes. The longest waiting pod gets the next address.",
        ),
        (
            "no … subnet is free for another node",
            "The layer3 network has no subnet left for the pod's node: see the Node's Events. Run "
            "the pod on a node that has one.",
        ),
        (
            "lies outside of subnet …",
            "On a routed network an address belongs to a node. Choose one of this node's, or run "
            "the pod on the other node.",
        ),
        (
            "lies outside of …, where the attachment is",
            "The interface could not reach this gateway. Name one in its own subnet, and of a "
            "family that it has.",
        ),
        (
            "names … networks; a pod can have …",
            "Name fewer, or spread them over several pods. An interface can have 32 addresses.",
        ),
        (
            "is refused by the API server, so that the pod gets nothing: …",
            "All annotations of an object share 256 KiB. Shorten the others; nothing is held for "
            "the pod meanwhile.",
        ),
    )
    OUTSIDE_NODE_SUBNET = (
        *("OutsideNodeSubnet", POD, WARNING),
        (
            "lies outside of …, the subnet of its node …: no route leads to it",
            "The node was given another subnet while the pod ran. Delete the pod, and let its "
            "owner make it anew.",
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
            "Somebody wrote an annotation that only weft writes. weft overwrites it; take it out "
            "of the manifest or template.",
        ),
        ("differs from what the cluster manager wrote for this pod", "Likewise."),
    )
    POD_NETWORKS_LOST = (
        *("PodNetworksLost", POD, WARNING),
        (
            "was changed or removed while no cluster manager ran",
            "The agent of the pod's node restores it. If it cannot (Open vSwitch lost its "
            "database), delete the pod.",
        ),
    )
    ADDRESS_REFUSED = (
        *("AddressRefused", POD, WARNING),
        (
            "is held by …",
            "The pod gets no port with this address; the pod that already runs keeps it. Delete "
            "this pod: a new one gets a free address.",
        ),
        ("belong to the node", "Likewise: the network's router or DHCP server has this address."),
    )
    OVERLAPPING_SUBNETS = (
        *("OverlappingSubnets", POD, WARNING),
        (
            "subnet … of network … and … of network … overlap",
            "Packets for the addresses that both have leave by only one of the interfaces. Give "
            "the networks different subnets, or attach the pod to one of them.",
        ),
    )
    NETWORKS_CHANGE_REFUSED = (
        *("NetworksChangeRefused", POD, WARNING),
        (
            "was changed while the pod runs: … is refused",
            "A pod is wired once, and keeps what it has. Delete it and let its owner create it "
            "again, or restart the VM; or put the annotation back.",
        ),
    )
    ADDRESS_NOT_KEPT = (
        *("AddressNotKept", POD, WARNING),
        (
            "names no IPAMClaim for …, so that its allowPersistentIPs keeps nothing",
            "A virtual machine has another address and MAC after a restart. Name a claim by "
            "`ipam-claim-reference`, or ask for an address, for a machine by the annotation "
            "`network.kubevirt.io/addresses`.",
        ),
    )
    INTERFACE_REPAIRED = (
        *("InterfaceRepaired", POD, WARNING),
        (
            "interface …: …",
            "Somebody changed weft's rows in Open vSwitch. weft writes them again; find out who "
            "changes them.",
        ),
    )
    INTERFACE_LOST = (
        *("InterfaceLost", POD, WARNING),
        (
            "interface …: its device was deleted",
            "Somebody deleted it in the pod's namespace. Delete the pod to have it again.",
        ),
        (
            "is gone",
            "The pod's network namespace is gone: its sandbox ended without a CNI DEL. The runtime "
            "makes another one.",
        ),
    )

    INVALID_POLICY = (
        *("InvalidPolicy", POLICY, WARNING),
        (
            "no part of it is in force",
            "Whom it isolates cannot be read. Correct it; it never held.",
        ),
        (
            "the version accepted last stays in force",
            "Likewise; until it is corrected it holds as it was accepted last.",
        ),
    )
    PART_SKIPPED = (
        *("PartSkipped", POLICY, WARNING),
        ("…: …", "The field that is named allows nothing; the rest is in force."),
    )
    NETWORK_MISSING = (
        *("NetworkMissing", POLICY, WARNING),
        (
            "does not exist",
            "The network is guarded as soon as its NAD is there; or correct `policy-for`. The "
            "network of a NAD that was there stays guarded.",
        ),
    )
    WOULD_DROP = (
        *("WouldDrop", POLICY, NORMAL),
        (
            "would have dropped … from … to … on network …",
            "The policy is in audit mode. It would drop this connection if it were enforced: "
            "[try a policy](../how-to/try-a-policy.md).",
        ),
    )
    # Conditions of a policy, reported where the cluster's CRD has no status for them.
    PARTS_SKIPPED = (
        *("PartsSkipped", POLICY, NORMAL),
        ("invalid parts are skipped and allow nothing: …", "Correct the fields that are named."),
    )
    INVALID = "Invalid", POLICY, NORMAL, ("no part of the policy is in force", "Correct it.")
    AUDITED = (
        *("Audited", POLICY, NORMAL),
        ("the policy is audited: it reports what it would drop, and lets it pass", ""),
    )
    ACCEPTED = "Accepted", POLICY, NORMAL, ("the whole policy can be enforced", "")
    NO_PODS = (
        *("NoPods", POLICY, NORMAL),
        ("no pod that podSelector selects is on …", "It guards nothing. Is `podSelector` right?"),
    )
    BOUND = "Bound", POLICY, NORMAL, ("pods that it selects are on …", "")
    NOT_BOUND = "NotBound", POLICY, NORMAL, ("it guards no network", "See `NetworkMissing`.")
    ALL_MATCH = (
        *("AllMatch", POLICY, NORMAL),
        ("every selector matches a pod on its networks", ""),
    )
    NOTHING_MATCHES = (
        *("NothingMatches", POLICY, NORMAL),
        ("no pod on its networks matches …", "The named selectors allow nobody. Are they right?"),
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
            "Other networks of the node are served. Pods on other nodes hold all its subnets. Give "
            "the network more `subnets` or each node a smaller one, delete Nodes that no longer "
            "exist, or run the network's pods on fewer nodes.",
        ),
    )
    NODE_IDS_EXHAUSTED = (
        *("NodeIdsExhausted", NODE, WARNING),
        (
            "no … id is free: …",
            "Routed networks go without this node. Delete Nodes that no longer exist.",
        ),
    )
    INVALID_NODE_ANNOTATION = (
        *("InvalidNodeAnnotation", NODE, WARNING),
        (
            "k8s.ovn.org/…",
            "Somebody wrote what makes no sense, or what is another node's. The node gets its own "
            "again.",
        ),
    )
    OVN_KNOWN_FAULT = (
        *("OVNKnownFault", NODE, WARNING),
        (
            "has known faults: …",
            "Guests can use a fault of the node's OVN. Install a version that the message names. "
            "Only the version number counts: a distribution may have mended the fault under the "
            "old number. The Node's condition `OVNKnownFaults` says the same.",
        ),
    )


_LASTING = frozenset(
    (
        *(Reason.OUTSIDE_NODE_SUBNET, Reason.ANNOTATION_IGNORED, Reason.OVERLAPPING_SUBNETS),
        *(Reason.POD_NETWORKS_OVERWRITTEN, Reason.POD_NETWORKS_LOST, Reason.ADDRESS_NOT_KEPT),
        *(Reason.NETWORKS_CHANGE_REFUSED, Reason.OVN_KNOWN_FAULT),
    )
)
