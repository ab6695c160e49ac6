"""Parses and renders the annotation `k8s.ovn.org/pod-networks`: a pod's allocations.

    {"<namespace>/<nad>": {"ip_addresses": [...], "mac_address": "...", ...}, ...}

The format is that of ovn-kubernetes: each reads the other's pods. weft adds what a NIC asked for
and may have (`nicoptions`), that another pod of the machine has the same, the name of the
logical port where that is not the pod's, and when it was given (ADR 0130), if not 0:

    "migration": {"source": "<pod>", "sourceUID": "<uid>", "active": false}
    "logical_port": "<prefix><namespace>_<machine>:<tunnel_id>"
    "given": 3

The entry `default` is the default network's: if weft does not serve that, it neither reads nor
changes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_interface, ip_network

import orjson

from weft import errors, migration, model, names, tunnelkeys
from weft.api import fields, nicoptions, notation, objects
from weft.model import ObjectKey

KIND = "Pod"
MIGRATION = "migration"


def parse(
    pod: object, *, primary: bool = False, only: Collection[str] | None = None
) -> dict[str, model.Allocation]:
    """The allocations of `pod` by attachment key; an entry without a MAC is skipped.

    `primary`: weft serves the default network and reads its entry. `only`: read just these
    entries. `podsignature` verifies who wrote them.
    """
    text = objects.annotation(KIND, pod, names.POD_NETWORKS)
    return read(objects.subject(KIND, pod), text, primary=primary, only=only)


def read(
    subject: str, text: str, *, primary: bool = False, only: Collection[str] | None = None
) -> dict[str, model.Allocation]:
    """`parse` for the annotation's text; `subject` names the pod in messages."""
    if not text:
        return {}
    found: list[errors.InvalidInput] = []
    decided = {}
    for key, entry in _entries(subject, text).items():
        if key not in only if only is not None else key == names.DEFAULT_NETWORK and not primary:
            continue
        path = f"{names.POD_NETWORKS}[{key!r}]"
        if not isinstance(entry, Mapping):
            rule = f"must be an object, not {fields.kind_of(entry)}"
            raise errors.InvalidInput(subject, path, entry, rule)
        reader = fields.Fields(subject, path, entry, found)
        allocation = _allocation(reader)
        if found:
            raise found[0]
        if allocation.mac:
            decided[key] = allocation
    return decided


def _entries(subject: str, text: str) -> Mapping[str, object]:
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        fields.decode(subject, names.POD_NETWORKS, text)  # says where it breaks, if it can
        rule = f"is not usable JSON: {error}"
        raise errors.InvalidInput(subject, names.POD_NETWORKS, None, rule) from None
    return fields.as_object(subject, names.POD_NETWORKS, entries)


def _allocation(reader: fields.Fields) -> model.Allocation:
    """One entry; problems are collected in the reader."""
    listed = list(reader.strings("ip_addresses"))
    if not listed and reader.text("ip_address"):
        listed = [("ip_address", reader.text("ip_address"))]
    tunnel_id = reader.number("tunnel_id") or 0
    if not 0 <= tunnel_id <= tunnelkeys.LAST_TUNNEL_KEY:
        rule = f"must be from 1 to {tunnelkeys.LAST_TUNNEL_KEY}"
        reader.refuse("tunnel_id", tunnel_id, rule)
    mac = reader.text("mac_address")
    return model.Allocation(
        mac=next(reader.each([("mac_address", mac)], notation.mac), "") if mac else "",
        addresses=tuple(reader.each(listed, _interface)),
        tunnel_id=tunnel_id,
        gateways=tuple(reader.each(reader.strings("gateway_ips"), ip_address)),
        routes=tuple(_routes(reader)),
        role=reader.text("role") or "secondary",
        nic=nicoptions.read(reader),
        migration=_migration(reader),
        interface=reader.text("interface"),
        logical_port=reader.text("logical_port"),
        given=reader.number("given") or 0,
    )


def _migration(reader: fields.Fields) -> migration.Migration | None:
    inner = reader.nested(MIGRATION)
    if inner is None:
        return None
    named = inner.text("source"), inner.text("sourceUID")
    if not all(named):
        inner.refuse("source", named[0] or None, "must name a pod, and sourceUID its uid")
        return None
    return migration.Migration(*named, bool(inner.flag("active")))


def _interface(text: str) -> model.Interface:
    if "/" not in text:
        raise ValueError("must have a prefix length, as in 10.1.0.5/24")
    if "%" in text:
        raise ValueError("must have no scope")
    return ip_interface(text)


def _routes(reader: fields.Fields) -> Iterator[model.Route]:
    routes = reader.value("routes")
    if routes is None:
        return
    if not isinstance(routes, list) or not all(isinstance(route, Mapping) for route in routes):
        reader.refuse("routes", routes, "must be a list of objects")
        return
    for index, route in enumerate(routes):
        path = f"{reader.path}.routes[{index}]"
        inner = fields.Fields(reader.subject, path, route, reader.problems)
        dest, next_hop = inner.text("dest"), inner.text("nextHop")
        for subnet in inner.each([("dest", dest)], ip_network):
            if not subnet.prefixlen:
                inner.refuse("dest", dest, "is a default route, whose place is gateway_ips")
            for address in inner.each([("nextHop", next_hop)], ip_address):
                yield model.Route(subnet, address)


def render(allocations: Mapping[str, model.Allocation], *, onto: str = "") -> str:
    """The annotation's text; entries of `onto` for other attachments are kept."""
    entries: dict[str, object] = {}
    if onto:
        entries.update(_entries("the pod to be annotated", onto))
    for key, allocation in allocations.items():
        entries[key] = _entry(allocation)
    return orjson.dumps(dict(sorted(entries.items()))).decode()


@lru_cache(maxsize=4096)
def nad_of(attachment: str) -> ObjectKey | None:
    """The NAD of an entry's key, "<namespace>/<name>[/<n>]"; None for the default network's."""
    if attachment == names.DEFAULT_NETWORK:
        return None
    namespace, _, rest = attachment.partition("/")
    return ObjectKey(namespace, rest.partition("/")[0])


def keys(text: str) -> frozenset[str]:
    """The attachments with an entry in the annotation's text, signed or not."""
    return frozenset(_loose(text))


def without(text: str, attachments: Collection[str]) -> str:
    """The text without the entries of `attachments`; "" if none is left or it is unusable."""
    kept = {key: entry for key, entry in _loose(text).items() if key not in attachments}
    return orjson.dumps(kept).decode() if kept else ""


def _loose(text: str) -> dict[str, object]:
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _entry(allocation: model.Allocation) -> dict[str, object]:
    """An entry's fields in ovn-kubernetes' order; only the first two are written when empty."""
    addresses = [str(address) for address in allocation.addresses]
    gateways = [str(gateway) for gateway in allocation.gateways]
    entry: dict[str, object] = {
        "ip_addresses": addresses or None,
        "mac_address": allocation.mac,
        "gateway_ips": gateways,
        "routes": [
            {"dest": str(route.dest), "nextHop": str(route.next_hop)} for route in allocation.routes
        ],
        "ip_address": addresses[0] if len(addresses) == 1 else "",
        "gateway_ip": gateways[0] if len(gateways) == 1 else "",
        "tunnel_id": allocation.tunnel_id,
        "role": allocation.role,
        "interface": allocation.interface,
        **nicoptions.render(allocation.nic),
        MIGRATION: _rendered(allocation.migration),
        "logical_port": allocation.logical_port,
        "given": allocation.given,
    }
    kept = ("ip_addresses", "mac_address")
    return {name: value for name, value in entry.items() if value or name in kept}


def _rendered(shared: migration.Migration | None) -> dict[str, object]:
    if shared is None:
        return {}
    named = {"source": shared.source, "sourceUID": shared.source_uid}
    return {**named, "active": shared.is_active}
