"""Parses and renders a Node's annotations: its OVN zone, tunnels, subnets and gateway.

The node's agent writes chassis, tunnel endpoints and gateway. The cluster manager writes the
node's id, its addresses on transit switches and its layer3 node subnets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import orjson

from weft import errors, model, names
from weft.api import fields, notation, objects

KIND = "Node"
_CHASSIS = re.compile(r"[!-+\--~]{1,253}")
_FAMILIES = ("ipv4", "ipv6")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_Read = TypeVar("_Read")


def parse(node: object) -> model.NodeInfo:
    """The node as published so far; absent annotations read as empty. Raises InvalidInput."""
    subject = objects.subject(KIND, node)
    chassis = objects.annotation(KIND, node, names.NODE_CHASSIS_ID).strip()
    if chassis:
        check_chassis(subject, names.NODE_CHASSIS_ID, chassis)
    return model.NodeInfo(
        name=objects.key(node)[1],
        chassis=chassis,
        encap_ips=_encap_ips(subject, objects.annotation(KIND, node, names.NODE_ENCAP_IPS)),
        id=_id(subject, objects.annotation(KIND, node, names.NODE_ID).strip()),
        transit=_transit(subject, objects.annotation(KIND, node, names.NODE_TRANSIT)),
        subnets=_subnets(subject, objects.annotation(KIND, node, names.NODE_SUBNETS)),
        gateway=_gateway(subject, objects.annotation(KIND, node, names.NODE_GATEWAY)),
    )


def check_chassis(subject: str, field: str, chassis: str) -> None:
    """Refuse a chassis name that OVN cannot bind to: `requested-chassis` is a comma list."""
    if not _CHASSIS.fullmatch(chassis):
        rule = "must be a chassis name: printable, without blanks and without commas"
        raise errors.InvalidInput(subject, field, chassis, rule)


def _encap_ips(subject: str, text: str) -> tuple[str, ...]:
    if not text:
        return ()
    found: list[errors.InvalidInput] = []
    listed = fields.decode(subject, names.NODE_ENCAP_IPS, text)
    reader = fields.Fields(subject, "", {names.NODE_ENCAP_IPS: listed}, found)
    strings = reader.strings(names.NODE_ENCAP_IPS)
    return _sound(found, tuple(map(str, reader.each(strings, notation.address))))


def _transit(subject: str, text: str) -> tuple[model.Interface, ...]:
    """`{"ipv4": "100.88.0.2/16", "ipv6": ...}`; each family that the cluster has."""
    if not text:
        return ()
    found: list[errors.InvalidInput] = []
    reader = _object(subject, names.NODE_TRANSIT, text, found)
    named = [(family, reader.text(family)) for family in _FAMILIES if reader.text(family)]
    return _sound(found, tuple(reader.each(named, notation.interface)))


def _subnets(subject: str, text: str) -> tuple[tuple[str, tuple[model.Subnet, ...]], ...]:
    """`{"<network>": ["10.128.0.0/23"]}`; a bare string is a list of one."""
    if not text:
        return ()
    found: list[errors.InvalidInput] = []
    reader = _object(subject, names.NODE_SUBNETS, text, found)
    named = []
    for name in sorted(reader.raw):
        value = reader.raw[name]
        lone = [(name, value)] if isinstance(value, str) else reader.strings(name)
        named.append((name, tuple(reader.each(lone, notation.subnet))))
    return _sound(found, tuple(named))


def _gateway(subject: str, text: str) -> model.Gateway | None:
    """The entry `default`; None if the node has no gateway, or mode ""."""
    if not text:
        return None
    found: list[errors.InvalidInput] = []
    reader = _object(subject, names.NODE_GATEWAY, text, found).nested(names.DEFAULT_NETWORK)
    if reader is None or not reader.text("mode"):
        return _sound(found, None)
    if reader.missing("mac-address"):
        reader.refuse("mac-address", None, "is missing: a gateway needs it")
    macs = [("mac-address", text) for text in [reader.text("mac-address")] if text]
    addresses = tuple(reader.each(_plural(reader, "ip-address", "es"), notation.interface))
    if not addresses:
        reader.refuse("ip-addresses", None, "is missing: a gateway needs it")
    return _sound(
        found,
        model.Gateway(
            mac=next(reader.each(macs, notation.mac), ""),
            addresses=addresses,
            next_hops=tuple(reader.each(_plural(reader, "next-hop", "s"), notation.address)),
            interface_id=reader.text("interface-id"),
            mode=reader.text("mode"),
        ),
    )


def _plural(reader: fields.Fields, name: str, ending: str) -> list[tuple[str, str]]:
    """A list field, or its older form with one item."""
    listed = list(reader.strings(name + ending))
    return listed or [(name, text) for text in [reader.text(name)] if text]


def _object(subject: str, name: str, text: str, found: list[errors.InvalidInput]) -> fields.Fields:
    value = fields.as_object(subject, name, fields.decode(subject, name, text))
    return fields.Fields(subject, name, value, found)


def _sound(found: list[errors.InvalidInput], value: _Read) -> _Read:
    """`value`, unless reading it found a problem."""
    if found:
        raise found[0]
    return value


def _id(subject: str, text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        rule = "must be a whole number"
        raise errors.InvalidInput(subject, names.NODE_ID, text, rule)
    return int(text)


def render_zone(chassis: str, encap_ips: tuple[str, ...]) -> dict[str, str]:
    """The annotations with which a node's agent publishes its zone."""
    return {
        names.NODE_CHASSIS_ID: chassis,
        names.NODE_ENCAP_IPS: orjson.dumps(list(encap_ips)).decode(),
    }


def render_gateway(gateway: model.Gateway | None) -> dict[str, str | None]:
    """The annotation with which a node's agent publishes its gateway; None removes it."""
    if gateway is None:
        return {names.NODE_GATEWAY: None}
    addresses = [str(address) for address in gateway.addresses]
    next_hops = [str(address) for address in gateway.next_hops]
    entry: dict[str, object] = {
        "mode": gateway.mode,
        "interface-id": gateway.interface_id,
        "mac-address": gateway.mac,
        "ip-addresses": addresses,
        "next-hops": next_hops,
        "node-port-enable": "false",
        "vlan-id": "0",
    }
    if len(addresses) == 1:
        entry["ip-address"] = addresses[0]
    if len(next_hops) == 1:
        entry["next-hop"] = next_hops[0]
    return {names.NODE_GATEWAY: orjson.dumps({names.DEFAULT_NETWORK: entry}).decode()}


def render_id(number: int) -> dict[str, str]:
    """The annotation with a node's id, written by the cluster manager."""
    return {names.NODE_ID: str(number)}


def render_transit(addresses: Iterable[model.Interface]) -> dict[str, str]:
    """The annotation with a node's transit switch addresses, written by the cluster manager."""
    entry = {f"ipv{address.version}": str(address) for address in addresses}
    return {names.NODE_TRANSIT: orjson.dumps(entry).decode()}


def render_subnets(subnets: Mapping[str, Iterable[model.Subnet]]) -> dict[str, str | None]:
    """The annotation with a node's layer3 subnets; None removes it if there are none."""
    entry = {name: [str(subnet) for subnet in subnets[name]] for name in sorted(subnets)}
    return {names.NODE_SUBNETS: orjson.dumps(entry).decode() if entry else None}


def render_mappings(mappings: Mapping[str, str]) -> dict[str, str | None]:
    """The annotation with a node's bridge by physical network; None removes it."""
    entry = {name: mappings[name] for name in sorted(mappings)}
    return {names.NODE_BRIDGE_MAPPINGS: orjson.dumps(entry).decode() if entry else None}


def mapping_labels(mappings: Mapping[str, str]) -> dict[str, str]:
    """A Node's labels for scheduling; a name that no label can have gets none."""
    return {
        names.PHYSICAL_NETWORK_LABEL + name: "true"
        for name in sorted(mappings)
        if _LABEL_NAME.fullmatch(name)
    }


def physical_networks(text: str) -> frozenset[str]:
    """The physical networks in the annotation of bridge mappings; none if it is invalid."""
    try:
        entry = fields.as_object("", names.NODE_BRIDGE_MAPPINGS, fields.decode("", "", text))
    except errors.InvalidInput:
        return frozenset()
    return frozenset(map(str, entry))
