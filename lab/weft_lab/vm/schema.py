"""Holds KubeVirt's rules for texts in a virtual machine's fields, as patterns.

Each is (pattern, rule): what must match as a whole, and the rule in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network

Rule = tuple[re.Pattern[str], str]

LABEL: Rule = (
    re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),
    "must be a DNS label: 1 to 63 small letters, digits and dashes, with no dash at either end",
)
SUBDOMAIN: Rule = (
    re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"),
    "must be a DNS name: small letters, digits, dashes and dots, at most 253",
)
INTERFACE: Rule = (
    re.compile(r"[A-Za-z0-9_-]{1,63}"),
    "must be 1 to 63 letters, digits, dashes and underscores",
)
SERIAL: Rule = (
    re.compile(r"[A-Za-z0-9_.+-]{1,256}"),
    "must be 1 to 256 letters, digits and any of _ . + -",
)
IMAGE: Rule = (
    re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:@+-]{0,511}"),
    "must be the name of an image, such as quay.io/containerdisks/debian:12",
)
PROTOCOLS = ("TCP", "UDP")


def fits(value: object, rule: Rule) -> bool:
    return isinstance(value, str) and rule[0].fullmatch(value) is not None


def ports(listed: object) -> Iterator[tuple[str, object, str]]:
    """What is wrong with an interface's `ports`: field below it, value, rule."""
    if listed is not None and not isinstance(listed, list):
        yield "", listed, "must be a list"
    for index, port in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(port, Mapping):
            yield f"[{index}]", port, "must be an object with a `port`"
            continue
        number, protocol = port.get("port"), port.get("protocol")
        if type(number) is not int or not 0 < number < 65536:
            yield f"[{index}].port", number, "must be from 1 to 65535"
        if protocol is not None and protocol not in PROTOCOLS:
            yield f"[{index}].protocol", protocol, f"must be {' or '.join(PROTOCOLS)}"


def pod_network(own: object) -> Iterator[tuple[str, object, str]]:
    """What is wrong with a network's `pod`: field below it, value, rule."""
    if own is not None and not isinstance(own, Mapping):
        yield "", own, "must be an object"
    for field, kind, example in (
        ("vmNetworkCIDR", IPv4Network, "10.11.12.0/24"),
        ("vmIPv6NetworkCIDR", IPv6Network, "fd10:0:3::/120"),
    ):
        value = own.get(field) if isinstance(own, Mapping) else None
        if value in (None, ""):
            continue
        rule = f"must be an {kind.__name__[:4]} network of four or more hosts, such as {example}"
        try:
            known = kind(value, strict=False) if isinstance(value, str) and "/" in value else None
        except ValueError:
            known = None
        if known is None or known.num_addresses < 4 or _is_special(known):
            yield f".{field}", value, rule


def _is_special(network: IPv4Network | IPv6Network) -> bool:
    """No host can have such addresses."""
    return network.is_multicast or network.is_loopback or network.is_link_local


def state(interface: Mapping[str, object]) -> Iterator[tuple[object, str]]:
    """What is wrong with an interface's `state`: value and rule, as KubeVirt has them."""
    value = interface.get("state")
    if value not in (None, "", "up", "down", "absent"):
        yield value, "must be up, down or absent"
    elif value == "absent" and "bridge" not in interface:
        yield value, "is for an interface with bridge alone"
