"""Finds the ports of one node's OVN zone, by which its sightings get network and pod. Pure.

weft's agent writes these rows of allocations that the cluster manager has signed, so what a guest
or a tenant says counts for nothing here. Rows that are not weft's are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from weft import names
from weft.observe.explain.zone import listed, mapped
from weft.observe.flows.megaflows import Seen
from weft.observe.flows.record import Evidence
from weft.observe.flows.sighting import Side, Sighting, ZonePort
from weft.ovn import acllog

_ZONE = "ct-zone-"  # before a port's name in the bridge's external_ids, by ovn-controller

# Where OVN drops what it does not track: port security, weft's guards, and nobody at the address.
BEFORE = "dropped before policies are asked, as by port security"

Json = Any


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a zone. `by_device`: names of the datapath's ports on this node; `keys`: the
    networks by the tunnel keys of their datapaths; `by_key`: names by the keys of datapath and
    port."""

    by_name: Mapping[str, ZonePort] = field(default_factory=dict)
    by_device: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[int, str] = field(default_factory=dict)
    by_key: Mapping[tuple[int, int], str] = field(default_factory=dict)
    zones: Mapping[int, ZonePort] = field(default_factory=dict)
    _by_mac: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _by_address: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def of_mac(self, network: str, mac: str) -> str:
        """The port with this MAC on a network, "" if there is none."""
        return self._by_mac.get((network, mac), "")

    def of_address(self, network: str, address: str) -> str:
        """The port with this address on a network, "" if there is none."""
        return self._by_address.get((network, address), "")

    def networks_of(self, *macs: str) -> frozenset[str]:
        """The networks that have a port of each of these MACs."""
        found = [{network for network, mac in self._by_mac if mac == each} for each in macs]
        return frozenset(set.intersection(*found)) if found else frozenset()


def ports(south: Json, switch: Json) -> Ports:
    """Reads the rows of `onnode`: datapaths and port bindings; bridge, interfaces and chassis."""
    datapaths, bindings = south
    bridges, interfaces = switch
    numbers = {
        key.removeprefix(_ZONE): value
        for row in bridges
        for key, value in mapped(row["external_ids"]).items()
        if key.startswith(_ZONE)
    }
    devices = {
        str(row["name"]): mapped(row["external_ids"]).get(names.IFACE_ID, "") for row in interfaces
    }
    here = set(devices.values())
    by_name = {found.name: found for row in bindings if (found := _port(row, here)) is not None}
    tunnel_keys = {row["_uuid"][1]: int(row["tunnel_key"]) for row in datapaths}
    placed = {
        (tunnel_keys[datapath], int(row["tunnel_key"])): str(row["logical_port"])
        for row in bindings
        if row["logical_port"] in by_name
        and (datapath := listed(row["datapath"])[0]) in tunnel_keys
    }
    return Ports(
        by_name,
        {device: port for device, port in devices.items() if port in by_name},
        {datapath: by_name[name].network for (datapath, _), name in placed.items()},
        placed,
        {int(numbers[name]): each for name, each in by_name.items() if name in numbers},
        {(each.network, each.mac): name for name, each in by_name.items()},
        {
            (each.network, address): name
            for name, each in by_name.items()
            for address in each.addresses
        },
    )


def _port(row: Json, here: set[str]) -> ZonePort | None:
    external = mapped(row["external_ids"])
    kind, namespace, name = names.owner_parts(external.get(names.OWNER, ""))
    network = external.get(names.NETWORK, "")
    if kind != "Pod" or not network:
        return None
    words = next((str(each).split() for each in listed(row["mac"]) if ":" in str(each)), [""])
    port = str(row["logical_port"])
    return ZonePort(
        name=port,
        network=network,
        pod=f"{namespace}/{name}",
        mac=words[0],
        addresses=tuple(map(str, _addresses(words[1:]))),
        is_here=port in here,
    )


def _addresses(words: Iterable[str]) -> Iterator[object]:
    for each in words:
        try:
            yield ip_address(each)
        except ValueError:
            continue


def ends(each: Sighting, known: Ports) -> Iterator[ZonePort]:
    """Yields the ports that a sighting is about. The tracker names the other end of a connection
    by its address alone."""
    sides = (each.source, each.target)
    found = (side.port or known.of_address(each.network, side.address) for side in sides)
    yield from (known.by_name[name] for name in (each.at, *found) if name)


# What the switch's flows and the log say, in terms of ports


def of_flow(seen: Seen, known: Ports, at: float) -> Sighting | None:
    """A datapath flow as a sighting; None if it is of no network of weft, or for many at once."""
    if _is_group(seen.target_mac):
        return None
    entered = known.by_device.get(seen.in_port, "")
    network = known.by_name[entered].network if entered else ""
    if not network and seen.tunnel_key is not None:
        network = known.keys.get(seen.tunnel_key, "")
    if not network and seen.tunnel_key is None and seen.target_mac:
        # From a physical network: the port that it is for says which.
        found = known.networks_of(seen.target_mac)
        network = next(iter(found)) if len(found) == 1 else ""
    if not network or seen.is_reply:
        return None
    source, target = entered, ""
    if seen.tunnel_key is not None and seen.keys is not None:
        source, target = (known.by_key.get((seen.tunnel_key, key), "") for key in seen.keys)
    # A router replaces MACs on the way, so that the address tells more where both are known.
    tracked = known.zones.get(seen.zone)
    if tracked is not None and tracked.network == network and tracked.name != source:
        target = target or tracked.name
    source = source or known.of_address(network, seen.source)
    source = source or known.of_mac(network, seen.source_mac)
    target = target or known.of_address(network, seen.target)
    target = target or known.of_mac(network, seen.target_mac)
    if not seen.is_drop and not ((source or seen.source_mac) and (target or seen.target_mac)):
        return None  # frames for everybody, and what leaves for a router's other side
    direction = stage = ""
    if seen.is_drop and tracked is not None:
        direction = {source: "Egress", target: "Ingress"}.get(tracked.name, "")
    elif seen.is_drop and not seen.zone:
        stage = BEFORE
    return Sighting(
        evidence=Evidence.SWITCH,
        network=network,
        source=Side(source, seen.source, seen.source_mac),
        target=Side(target, seen.target, seen.target_mac),
        passes=not seen.is_drop,
        family=seen.family,
        protocol=seen.protocol,
        port=seen.port,
        is_directed=seen.is_tracked or seen.is_drop,
        direction=direction,
        stage=stage,
        packets=seen.packets,
        bytes=seen.bytes,
        last=0.0 if seen.used is None else max(at - seen.used, 0.0),
    )


def _is_group(mac: str) -> bool:
    """Whether a frame is for many: broadcast and multicast."""
    return bool(mac) and bool(int(mac[:2], 16) & 1)


def of_log(packet: acllog.Packet, known: Ports) -> Sighting | None:
    """A line of OVN's log as a sighting; None if its ports are not weft's, or of several networks
    that use the same MACs."""
    own = packet.target_mac if packet.direction == "Ingress" else packet.source_mac
    networks = known.networks_of(own)
    if len(networks) > 1:
        networks = known.networks_of(packet.source_mac, packet.target_mac)
    if len(networks) != 1:
        return None
    network = next(iter(networks))
    is_drop, arrives = packet.verdict == "drop", packet.direction == "Ingress"
    source = known.of_address(network, packet.source) or known.of_mac(network, packet.source_mac)
    target = known.of_address(network, packet.target) or known.of_mac(network, packet.target_mac)
    return Sighting(
        evidence=Evidence.LOG,
        network=network,
        source=Side(source, packet.source, packet.source_mac),
        target=Side(target, packet.target, packet.target_mac),
        passes=False if is_drop else (True if arrives else None),
        family=6 if ":" in packet.target else 4,
        protocol="" if packet.protocol == "IP" else packet.protocol,
        port=packet.port or None,
        direction=str(packet.direction) if is_drop else "",
    )
