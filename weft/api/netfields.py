"""Lists the fields of the CNI configuration in a NAD: type, default and rule of each.

The parser (netconf) checks types by it and tells unknown fields from misspelt ones; `python -m
tools.reference` makes the table in docs/reference/nad.md of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from weft import model

_DHCP = model.Dhcp()


class Field(NamedTuple):
    """`type` is JSON's; `default` and `rule` are Markdown for the reader of the page."""

    type: type
    default: str
    rule: str


USED: Mapping[str, Field] = {
    "cniVersion": Field(str, "", "a version of the CNI specification, 0.1.0 to 1.1.0"),
    "name": Field(str, "required", "the network; not `default` or `ovn-kubernetes`"),
    "type": Field(str, "required", "`ovn-k8s-cni-overlay`; weft leaves every other type alone"),
    "netAttachDefName": Field(str, "required", "`<namespace>/<name>` of the NAD itself"),
    "topology": Field(
        str,
        "required",
        "`layer2`: one segment over all nodes; `layer3`: a subnet for each node, routed. "
        "`localnet`: [a physical network](../how-to/join-a-physical-network.md)",
    ),
    "role": Field(str, "`secondary`", "`secondary`"),
    "mtu": Field(
        int,
        "`--default-mtu`",
        "576 to 65535, from 1280 with an IPv6 subnet; at most the underlay's less 58 (78 over "
        "IPv6). `localnet`: 100 more by default, at most the underlay's",
    ),
    "subnets": Field(
        str,
        "none",
        "comma list, at most one of each family. Without it pods get no addresses. `layer3` needs "
        "it, and each subnet may end in the prefix length of a node's subnet (/24 and /64 if it "
        "does not): `10.64.0.0/16/24`",
    ),
    "excludeSubnets": Field(
        str,
        "none",
        "comma list of ranges within `subnets` that pods never get; `layer2`, `localnet`",
    ),
    "reservedSubnets": Field(
        str,
        "none",
        "comma list of ranges that only pods get that ask for an address in them; `layer2`",
    ),
    "infrastructureSubnets": Field(str, "none", "the same as `reservedSubnets`"),
    "allowPersistentIPs": Field(
        bool,
        "false",
        "IPAMClaims may keep addresses, without `subnets` a MAC; not `layer3`",
    ),
    "persistentIPs": Field(
        str,
        "none",
        '`"vm"`: [each virtual machine keeps its addresses and '
        "MAC](../how-to/keep-a-machines-addresses.md); needs `allowPersistentIPs` and `subnets`",
    ),
    "vlanID": Field(int, "none", "1 to 4094; `localnet`"),
    "trunk": Field(
        list,
        "none",
        "[VLANs that NICs carry tagged](../how-to/give-a-guest-a-trunk.md): a list, with 0 for "
        'untagged packets, or `"all"`; `localnet`, without `vlanID` and `subnets`',
    ),
    "physicalNetworkName": Field(
        str, "`name`", "at most 253 characters, no `,` or `:`; `localnet`"
    ),
    "transport": Field(str, "`geneve`", "`geneve`"),
    "ipam": Field(dict, "none", "must be empty: weft assigns addresses itself"),
    "dnsRecords": Field(
        bool,
        "false",
        "OVN [answers for the names](../how-to/find-members-by-name.md) of the members; needs "
        "`subnets`, and on `layer3` and `localnet` `dhcp.dns`",
    ),
    "dhcp": Field(dict, "served where there are subnets", "[what DHCP says](#dhcp)"),
    "routers": Field(
        list,
        "none",
        "[guests that may be routers](../how-to/run-a-router-or-dhcp-server.md), "
        "`<namespace>/<name>`",
    ),
    "bandwidth": Field(
        dict,
        "none",
        "[limits of each NIC](../how-to/limit-bandwidth.md) that has none of its own: "
        "`ingressRate`, `ingressBurst`, `egressRate`, `egressBurst`",
    ),
    "portSecurity": Field(
        str,
        "`strict`",
        "[from which addresses](../how-to/send-from-other-addresses.md) each NIC may send: "
        "`strict`, `mac`, `off`",
    ),
    "permits": Field(
        dict,
        "nothing",
        "[what NICs may ask for](../how-to/send-from-other-addresses.md): `portSecurity`, the "
        "laxest; `allowedAddressPairs`, addresses and ranges; `dhcpOptions` and `dhcpOptions6`, "
        "[codes](../how-to/set-dhcp-options.md)",
    ),
    "allowedNamespaces": Field(
        list, "its own", "[namespaces that may use the network](../how-to/share-a-network.md)"
    ),
    "namespaceSelector": Field(dict, "none", "their labels, as in a NetworkPolicy"),
}

DHCP: Mapping[str, Field] = {
    "enabled": Field(bool, "true", "whether weft serves DHCP; needs `subnets`"),
    "leaseSeconds": Field(int, f"{_DHCP.lease_seconds}", "60 to 4294967295"),
    "routers": Field(list, "none", "IPv4 addresses in `subnets` that DHCP names as default router"),
    "dns": Field(list, "none", "addresses of DNS servers, of a family that `subnets` has"),
    "domain": Field(str, "none", "a DNS name"),
    "servers": Field(
        list,
        "none",
        "[guests that may be DHCP servers](../how-to/run-a-router-or-dhcp-server.md), "
        "`<namespace>/<name>`",
    ),
    "options": Field(
        dict,
        "none",
        "[DHCPv4 options by code](../how-to/set-dhcp-options.md), such as `42` for NTP servers",
    ),
    "options6": Field(dict, "none", "the same of DHCPv6"),
}

# For other programs, or without meaning on a secondary network: their types are checked.
IGNORED: Mapping[str, type] = {
    "joinSubnet": str,
    "transitSubnet": str,
    "defaultGatewayIPs": str,
    "outboundSNAT": str,
    "uplink": str,
    "deviceID": str,
    "logFile": str,
    "logLevel": str,
    "logfile-maxsize": int,
    "logfile-maxbackups": int,
    "logfile-maxage": int,
    "evpn": dict,
    "capabilities": dict,
    "runtimeConfig": dict,
    "dns": dict,
    "args": dict,
}
