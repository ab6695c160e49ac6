"""Renders the CNI result of an attachment, in each version of the specification.

Pure. Also compares an interface with an earlier result (CHECK). Versions 0.3.0 to 0.4.0 name each
address's family; 1.1.0 added the MTU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from weft.nic import plan

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
LATEST = VERSIONS[-1]
_FAMILY_NAMED = ("0.3.0", "0.3.1", "0.4.0")

Result = dict[str, Any]


def render(
    nic: plan.Nic, netns: str, version: str, previous: Mapping[str, Any] | None = None
) -> Result:
    """Returns the result of an ADD, after the entries of `previous`, the result so far."""
    before = previous or {}
    interfaces = [*before.get("interfaces", ())]
    if nic.kind is plan.NicKind.VETH:
        interfaces.append({"name": nic.device})
    inside: dict[str, Any] = {"name": nic.interface, "mac": nic.mac, "sandbox": netns}
    if version == "1.1.0":
        inside["mtu"] = nic.mtu
    interfaces.append(inside)
    result: Result = {
        "cniVersion": version,
        "interfaces": interfaces,
        "ips": [*before.get("ips", ()), *_addresses(nic, len(interfaces) - 1, version)],
        "routes": [
            *before.get("routes", ()),
            *({"dst": str(route.dest), "gw": str(route.next_hop)} for route in nic.routes),
        ],
        "dns": before.get("dns", {}),
    }
    return result


def _addresses(nic: plan.Nic, index: int, version: str) -> list[dict[str, Any]]:
    found = []
    for address in nic.addresses:
        entry: dict[str, Any] = {"address": str(address), "interface": index}
        if version in _FAMILY_NAMED:
            entry["version"] = str(address.version)
        gateway = next((g for g in nic.gateways if g.version == address.version), None)
        if gateway is not None:
            entry["gateway"] = str(gateway)
        found.append(entry)
    return found


def differences(
    previous: Mapping[str, Any],
    interface: str,
    netns: str,
    addresses: Iterable[IPv4Interface | IPv6Interface],
) -> list[str]:
    """Returns what an earlier result has for this interface and is missing now."""
    named = [
        index
        for index, entry in enumerate(previous.get("interfaces") or ())
        if entry.get("name") == interface and entry.get("sandbox")
    ]
    if not named:
        return [f"prevResult names no interface {interface} in netns {netns}"]
    present = {str(address) for address in addresses}
    return [
        f"address {entry.get('address')} of prevResult is missing"
        for entry in previous.get("ips") or ()
        if entry.get("interface") == named[0] and entry.get("address") not in present
    ]


def failure(code: int, what: str, details: str, version: str) -> Result:
    """Returns the error object that a plugin prints to standard output when it fails."""
    return {"cniVersion": version, "code": code, "msg": what, "details": details}
