"""Lists the DHCP options that a network or a NIC may set by code, and the kind of value of each.

Not in the list: what weft itself decides (address, mask, lease, server, MTU) or has a key for
(routers, DNS servers, domain), and what OVN cannot send. The names are OVN's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class ValueKind(StrEnum):
    """What the value is, as messages say it."""

    ADDRESSES = "IPv4 addresses"
    ADDRESS = "an IPv4 address"
    ADDRESSES6 = "IPv6 addresses"
    NAMES = "DNS names"
    TEXT = "a text of at most 255 printable ASCII characters without quotes and backslashes"
    FLAG = "true or false"
    BYTE = "a number from 0 to 255"
    NUMBER = "a number from 0 to 4294967295"


class Known(NamedTuple):
    name: str
    kind: ValueKind


V4: Mapping[int, Known] = {
    7: Known("log_server", ValueKind.ADDRESSES),
    9: Known("lpr_server", ValueKind.ADDRESSES),
    16: Known("swap_server", ValueKind.ADDRESS),
    19: Known("ip_forward_enable", ValueKind.FLAG),
    23: Known("default_ttl", ValueKind.BYTE),
    31: Known("router_discovery", ValueKind.FLAG),
    35: Known("arp_cache_timeout", ValueKind.NUMBER),
    36: Known("ethernet_encap", ValueKind.FLAG),
    37: Known("tcp_ttl", ValueKind.BYTE),
    38: Known("tcp_keepalive_interval", ValueKind.NUMBER),
    41: Known("nis_server", ValueKind.ADDRESSES),
    42: Known("ntp_server", ValueKind.ADDRESSES),
    44: Known("netbios_name_server", ValueKind.ADDRESSES),
    46: Known("netbios_node_type", ValueKind.BYTE),
    58: Known("T1", ValueKind.NUMBER),
    59: Known("T2", ValueKind.NUMBER),
    66: Known("tftp_server", ValueKind.TEXT),
    67: Known("bootfile_name", ValueKind.TEXT),
    119: Known("domain_search_list", ValueKind.NAMES),
    150: Known("tftp_server_address", ValueKind.ADDRESSES),
    210: Known("path_prefix", ValueKind.TEXT),
    252: Known("wpad", ValueKind.TEXT),
}
# DHCPv6, which the node agent serves.
V6: Mapping[int, Known] = {
    31: Known("sntp_servers", ValueKind.ADDRESSES6),
    59: Known("bootfile_url", ValueKind.TEXT),
}
OF_FAMILY = {4: V4, 6: V6}
