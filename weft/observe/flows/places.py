"""Names the ends of flows: by the ports of that network alone, as nodes' OVN zones have them. Pure.

The same address may be somebody else's on another network, and a guest may send from any; so an
address is named only if weft has given it to a port of the flow's network, and otherwise stays one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from weft import names
from weft.observe.flows.record import EndKind, FlowEnd
from weft.observe.flows.sighting import Look, Side, ZonePort
from weft.observe.members import Object


@dataclass(frozen=True, slots=True)
class Place:
    """An end and what tells it from others on its network, whichever node saw it.

    `pod` is "<namespace>/<name>" of the port's pod. `note` says what is odd.
    """

    end: FlowEnd
    id: str
    pod: str = ""
    note: str = ""


class Places:
    """The ports of all nodes that were looked at, and the pods that the user may list."""

    def __init__(self, looks: Mapping[str, Look], pods: Iterable[Object]) -> None:
        self._ports: dict[tuple[str, str], ZonePort] = {}
        self._nodes: dict[tuple[str, str], str] = {}
        self._by_address: dict[tuple[str, str], ZonePort] = {}
        self._by_mac: dict[tuple[str, str], ZonePort] = {}
        for node, look in looks.items():
            for port in look.ports:
                key = port.network, port.name
                if key not in self._ports or port.is_here:
                    self._ports[key] = port
                if port.is_here:
                    self._nodes[key] = node
        for port in self._ports.values():
            self._by_mac[port.network, port.mac] = port
            for address in port.addresses:
                self._by_address[port.network, address] = port
        self._machines: dict[str, str] = {}
        self._pod_nodes: dict[str, str] = {}
        for pod in pods:
            meta = pod["metadata"]
            key_of_pod = f"{meta['namespace']}/{meta['name']}"
            self._machines[key_of_pod] = str((meta.get("labels") or {}).get(names.VM_NAME) or "")
            self._pod_nodes[key_of_pod] = str((pod.get("spec") or {}).get("nodeName") or "")

    def of(self, network: str, side: Side, family: int, *, is_checked: bool = True) -> Place:
        """Who a side is. A port is believed before an address, which a guest may choose.

        `is_checked`: port security has let the packets pass, so that an address that the switch did
        not look at is the port's own.
        """
        port = self._ports.get((network, side.port)) if side.port else None
        if port is None and side.address:
            port = self._by_address.get((network, side.address))
        if port is None and side.mac and not side.address:
            port = self._by_mac.get((network, side.mac))
        if port is None:
            end = FlowEnd(address=side.address, mac=side.mac)
            return Place(end, side.address or side.mac)
        own = [each for each in port.addresses if _family(each) == family]
        if side.address and own and side.address not in own and not _is_local(side.address):
            # Of a pair that the NIC may use, of a guest behind it, or made up.
            end = FlowEnd(address=side.address, mac=side.mac)
            note = f"{side.address} is behind {port.pod}, to which weft has not given it"
            return Place(end, side.address, note=note)
        address = side.address or (own[0] if len(own) == 1 and is_checked else "")
        return Place(self._named(port, address), f"{port.name}/{family}", port.pod)

    def of_port(self, network: str, name: str) -> str:
        """The pod of a port, "" if no node has it."""
        port = self._ports.get((network, name))
        return port.pod if port is not None else ""

    def _named(self, port: ZonePort, address: str) -> FlowEnd:
        namespace, _, pod = port.pod.partition("/")
        machine = self._machines.get(port.pod, "")
        node = self._nodes.get((port.network, port.name)) or self._pod_nodes.get(port.pod, "")
        found = FlowEnd(EndKind.POD, namespace, pod, pod, address, port.mac, node)
        return replace(found, kind=EndKind.MACHINE, name=machine) if machine else found


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _is_local(address: str) -> bool:
    """Whether every host has such an address of its own making (fe80::/64)."""
    return ip_address(address).is_link_local
