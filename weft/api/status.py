"""Parses and renders the annotation `network-status`: a pod's interfaces and their addresses.

It has one entry for each interface, in Multus' form; that of the default network comes first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from weft import errors, model, names
from weft.api import fields, objects

KIND = "Pod"


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """One interface of a pod; `name` is "<namespace>/<nad>", or the default network's name."""

    name: str
    interface: str = ""
    ips: tuple[model.Address, ...] = ()
    mac: str = ""
    mtu: int = 0
    default: bool = False
    dns: Mapping[str, object] = field(default_factory=dict)
    gateway: tuple[str, ...] = ()


def render(statuses: Iterable[NetworkStatus]) -> str:
    """The annotation's text, indented as Multus indents it for `kubectl describe`."""
    return json.dumps([_entry(status) for status in statuses], indent=4)


def _entry(status: NetworkStatus) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": status.name,
        "interface": status.interface,
        "ips": [str(address) for address in status.ips],
        "mac": status.mac,
        "mtu": status.mtu,
        "default": status.default,
        "dns": dict(status.dns),
        "gateway": list(status.gateway),
    }
    return {name: value for name, value in entry.items() if value or name in ("name", "dns")}


def parse(pod: object) -> tuple[NetworkStatus, ...]:
    """The interfaces in the annotation of `pod`; () if it has none."""
    text = objects.annotation(KIND, pod, names.NETWORK_STATUS)
    if not text:
        return ()
    subject = objects.subject(KIND, pod)
    listed = fields.decode(subject, names.NETWORK_STATUS, text)
    if not isinstance(listed, list):
        rule = f"must be a list of objects, not {fields.kind_of(listed)}"
        raise errors.InvalidInput(subject, names.NETWORK_STATUS, listed, rule)
    found: list[errors.InvalidInput] = []
    statuses = []
    for index, item in enumerate(listed):
        path = f"{names.NETWORK_STATUS}[{index}]"
        if not isinstance(item, Mapping):
            rule = f"must be an object, not {fields.kind_of(item)}"
            raise errors.InvalidInput(subject, path, item, rule)
        statuses.append(_status(fields.Fields(subject, path, item, found)))
    if found:
        raise found[0]
    return tuple(statuses)


def _status(reader: fields.Fields) -> NetworkStatus:
    ips = []
    for place, text in reader.strings("ips"):
        if "%" in text:
            reader.refuse(place, text, "must have no scope")
            continue
        try:
            ips.append(ip_address(text))
        except ValueError:
            reader.refuse(place, text, "must be an address without prefix length")
    dns = reader.nested("dns")
    return NetworkStatus(
        name=reader.text("name"),
        interface=reader.text("interface"),
        ips=tuple(ips),
        mac=reader.text("mac"),
        mtu=reader.number("mtu") or 0,
        default=bool(reader.flag("default")),
        dns=dict(dns.raw) if dns else {},
        gateway=tuple(text for _, text in reader.strings("gateway")),
    )
