"""Every annotation, label and finalizer that weft reads or writes on Kubernetes objects.

`reference` makes docs/reference/annotations.md of it; tests hold it to weft.names, and who writes
what to deploy/admission-policy.yaml.
"""

from __future__ import annotations

from typing import NamedTuple

from weft import names

YOU, MANAGER, AGENT, OTHERS = "you", "cluster manager", "node agent", "others"
WEFT = (MANAGER, AGENT)


class Key(NamedTuple):
    key: str
    on: str
    by: str
    form: str
    says: str


ALL = (
    Key(
        *(names.NETWORKS, "Pod", YOU, "comma list, or JSON list of objects"),
        "[additional networks](pod.md#asking-for-a-network)",
    ),
    Key(
        *(names.CHOSEN_DEFAULT, "Pod", YOU, "the same, with one element"),
        "another NAD for the pod's first network",
    ),
    Key(
        *(names.NIC_OPTIONS, "Pod", YOU, "JSON: an object for each `[namespace/]name`"),
        "what its NICs [may send from](../how-to/send-from-other-addresses.md), and how much",
    ),
    *(
        Key(*(each, "Pod", YOU, "a quantity, such as `10M`"), says)
        for each, says in zip(
            (names.INGRESS_BANDWIDTH, names.EGRESS_BANDWIDTH),
            (
                "the most that each of its NICs [receives](../how-to/limit-bandwidth.md), in bits "
                "per second",
                "the most that each sends",
            ),
            strict=True,
        )
    ),
    Key(
        *(names.POLICY_FOR, "MultiNetworkPolicy", YOU, "comma list of `[namespace/]name`"),
        "the NADs whose networks it protects",
    ),
    Key(
        *(names.POLICY_MODE, "MultiNetworkPolicy", YOU, "`enforce` or `audit`"),
        "whether it [drops or only tells](../how-to/try-a-policy.md)",
    ),
    Key(
        *(names.ACL_LOGGING, "Namespace", YOU, 'JSON: `{"deny": "info", "allow": "info"}`'),
        "what OVN [logs of connections](../how-to/log-what-policies-do.md)",
    ),
    Key(
        *(names.POD_NETWORKS, "Pod", MANAGER, "JSON: an object for each attachment"),
        "its addresses, MAC, tunnel key, and after how many losses it was `given`; a node agent "
        "puts it back where it was removed",
    ),
    Key(
        *(names.POD_NETWORKS_SIGNATURE, "Pod", MANAGER, "JSON: `by`, `of`, `signature`, `serial`"),
        "the cluster manager's signature of it",
    ),
    Key(
        *(names.CONNECTIONS, "Pod", AGENT, "JSON: `to`, a pod's uid; `ports`, their connections"),
        "of a pod that its virtual machine leaves: connections that "
        "[go on](../how-to/move-a-machine.md) on the other node",
    ),
    Key(*(names.NETWORK_NAME, "NAD", MANAGER, "text"), "the network that it declares"),
    Key(*(names.NETWORK_ID, "NAD", MANAGER, "number"), "the network's id"),
    Key(
        *(names.NETWORK_OWNER, "NAD", MANAGER, "`namespace/name`"),
        "the NAD that [owns the network](../how-to/share-a-network.md)",
    ),
    Key(
        *(names.ACCEPTED_CONFIG, "NAD", MANAGER, "JSON: a CNI configuration"),
        "the configuration that is in force; an [edit may wait]"
        "(../how-to/change-or-delete-a-network.md)",
    ),
    Key(
        *(names.NETWORK_IN_USE, "NAD", MANAGER, "finalizer"),
        "keeps the NAD while pods use it",
    ),
    Key(
        *(names.UDN_LABEL, "NAD", MANAGER, "label, empty"),
        "the NAD is [rendered from a UserDefinedNetwork](userdefinednetwork.md)",
    ),
    Key(
        *(names.UDN_PROTECTION, "UserDefinedNetwork, ClusterUserDefinedNetwork, NAD", MANAGER),
        *("finalizer", "keeps them until no pod uses the network"),
    ),
    Key(
        *(names.ACCEPTED_POLICY, "MultiNetworkPolicy", MANAGER, "JSON"),
        "the rules that are in force",
    ),
    Key(*(names.NODE_ID, "Node", MANAGER, "number"), "the node's id"),
    Key(
        *(names.NODE_SUBNETS, "Node", MANAGER, 'JSON: `{"red": ["10.64.0.0/24"]}`'),
        "its subnet of each routed network",
    ),
    Key(
        *(names.NODE_TRANSIT, "Node", MANAGER, 'JSON: `{"ipv4": "100.88.0.2/16"}`'),
        "its address on the transit switches",
    ),
    Key(*(names.NODE_CHASSIS_ID, "Node", AGENT, "text"), "its OVN chassis"),
    Key(*(names.NODE_ENCAP_IPS, "Node", AGENT, "JSON list"), "its tunnel endpoints"),
    Key(
        *(names.NODE_GATEWAY, "Node", AGENT, "JSON, as ovn-kubernetes writes it"),
        "its gateway on the physical network",
    ),
    Key(
        *(names.NODE_BRIDGE_MAPPINGS, "Node", AGENT, 'JSON: `{"rack": "br-rack"}`'),
        "the bridge of each physical network that it leads to; a label "
        '`physical-network.weft/<name>: "true"` says the same [for '
        "scheduling](../how-to/join-a-physical-network.md)",
    ),
    Key(
        *(names.VERSION, "Node", AGENT, "text"),
        "the version of the agent; on the cluster manager's Lease, of the manager",
    ),
    Key(
        *(names.NETWORK_STATUS, "Pod", OTHERS, "JSON list"),
        "Multus: the interface, addresses and MAC of each attachment",
    ),
    Key(
        *(names.IP_RESERVATION, "IPAMClaim", YOU, "JSON: an object with `ips` and `mac`, or `{}`"),
        "addresses to [reserve](../how-to/reserve-an-address.md) before a pod uses the claim",
    ),
    Key(
        *(names.CLAIM_VM, "IPAMClaim", OTHERS, "label: name of a virtual machine"),
        "the virtual machine that it keeps addresses for; the cluster manager writes it, too",
    ),
    Key(
        *(names.CLAIM_MADE_FOR, "IPAMClaim", MANAGER, "text"),
        "the virtual machine that it made the claim for; it lets no other claim go",
    ),
    Key(
        *(names.CLAIM_PROTECTION, "IPAMClaim", MANAGER, "finalizer"),
        "keeps it while the virtual machine, its instance or a pod that uses it is there",
    ),
    Key(
        *(names.MACHINE_ADDRESSES, "VirtualMachine", YOU, "JSON: a list of addresses by network"),
        "on its template: addresses that [its NICs ask "
        "for](../how-to/keep-a-machines-addresses.md)",
    ),
    Key(
        *(names.MACHINE_CLAIMS, "VirtualMachine", YOU, "JSON: the name of an IPAMClaim by network"),
        "on its template: [IPAMClaims of its "
        "own](../how-to/move-a-machines-identity.md) for its NICs",
    ),
    Key(
        *(names.CLAIM_TRANSFER, "IPAMClaim", YOU, "the name of a virtual machine"),
        "the machine that it [passes to](../how-to/move-a-machines-identity.md)",
    ),
    Key(
        *(names.VM_NAME, "Pod", OTHERS, "label"),
        "KubeVirt: the virtual machine of a virt-launcher pod",
    ),
    Key(
        *(names.MIGRATION_UID, "Pod", OTHERS, "label"),
        "KubeVirt: the live migration by which a virtual machine moves to this pod",
    ),
)
