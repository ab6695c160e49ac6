"""Offers Kubernetes' CEL functions of IP addresses and subnets: `ip`, `cidr` and what they have.

The library has no types of its own for them: an address is a map with the key `ip`, a subnet one
with the key `cidr`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Map = Mapping[str, str]


def _address(text: str) -> Address:
    """Raises ValueError, also for a zone and for an IPv4 address in IPv6's form."""
    found = ipaddress.ip_address(text)
    if "%" in text or (found.version == 6 and found.ipv4_mapped is not None):
        raise ValueError(f"IP Address {text!r} has a zone or is IPv4-mapped")
    return found


def _subnet(text: str) -> Interface:
    address, slash, length = text.partition("/")
    if not slash or not _LENGTH.fullmatch(length):
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    _address(address)
    return ipaddress.ip_interface(text)


def _is(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _ip(text: str) -> Map:
    return {"ip": str(_address(text))}


def _cidr(text: str) -> Map:
    return {"cidr": str(_subnet(text))}


def _ip_of(subnet: Map) -> Map:
    return {"ip": str(_subnet(subnet["cidr"]).ip)}


def _family(address: Map) -> int:
    return _address(address["ip"]).version


def _prefix_length(subnet: Map) -> int:
    return _subnet(subnet["cidr"]).network.prefixlen


def _masked(subnet: Map) -> Map:
    return {"cidr": str(_subnet(subnet["cidr"]).network)}


def _contains_ip(subnet: Map, address: Map | str) -> bool:
    text = address if isinstance(address, str) else address["ip"]
    return _address(text) in _subnet(subnet["cidr"]).network


def _contains_cidr(subnet: Map, other: Map | str) -> bool:
    outer = _subnet(subnet["cidr"]).network
    inner = _subnet(other if isinstance(other, str) else other["cidr"]).network
    same = outer.version == inner.version
    return same and inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def declarations(cel: Any) -> list[Any]:
    """Returns the functions as the library declares them."""
    text, flag, number = cel.Type.STRING, cel.Type.BOOL, cel.Type.INT
    value = cel.Type.Map(text, text)

    def function(name: str, *overloads: tuple[Any, list[Any], bool, Callable[..., Any]]) -> Any:
        made = [
            cel.Overload(f"{name}_{place}", returned, taken, is_member, impl)
            for place, (returned, taken, is_member, impl) in enumerate(overloads)
        ]
        return cel.FunctionDecl(name, made)

    return [
        function("isIP", (flag, [text], False, _is(_address))),
        function("isCIDR", (flag, [text], False, _is(_subnet))),
        function("ip", (value, [text], False, _ip), (value, [value], True, _ip_of)),
        function("cidr", (value, [text], False, _cidr)),
        function("family", (number, [value], True, _family)),
        function("prefixLength", (number, [value], True, _prefix_length)),
        function("masked", (value, [value], True, _masked)),
        function(
            "containsIP",
            (flag, [value, text], True, _contains_ip),
            (flag, [value, value], True, _contains_ip),
        ),
        function(
            "containsCIDR",
            (flag, [value, text], True, _contains_cidr),
            (flag, [value, value], True, _contains_cidr),
        ),
    ]
