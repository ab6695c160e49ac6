"""Renders and parses a node's record of an attachment: its interface and its owner.

Pure. The rows in Open vSwitch are made from it, so it contains everything that they contain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import orjson

from weft import errors, model
from weft.model import ObjectKey
from weft.nic import plan, port

VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One interface of one sandbox, from the end of its CNI ADD to its DEL."""

    nic: plan.Nic
    owner: port.PortOwner

    @property
    def device(self) -> str:
        return self.nic.device

    @property
    def logical_port(self) -> str:
        """The iface-id, which no other port of the node may have."""
        return self.owner.iface_id

    @property
    def bound(self) -> port.Bound:
        """The port as it would be read from its rows in OVS."""
        nic, owner = self.nic, self.owner
        return port.Bound(
            device=nic.device,
            interface=nic.interface,
            sandbox=owner.sandbox,
            netns=owner.netns,
            network=owner.network,
            attachment=owner.attachment,
            iface_id=self.logical_port,
            pod=owner.pod,
            proof=owner.proof,
        )


def render(record: Record) -> bytes:
    """Returns the record as JSON."""
    nic = {
        **asdict(record.nic),
        "routes": [(route.dest, route.next_hop) for route in record.nic.routes],
    }
    pod = record.owner.pod
    owner = {**asdict(record.owner), "pod": {**pod.key._asdict(), "uid": pod.uid}}
    document = {"version": VERSION, "nic": nic, "owner": owner}
    return orjson.dumps(document, default=str)


def parse(text: bytes, where: str) -> Record:
    """Parses a record; raises InvalidInput, with `where`, if it is none of this version."""
    try:
        document = orjson.loads(text)
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']} is not known")
        return Record(_nic(document["nic"]), _owner(document["owner"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        rule = f"is no record of an attachment: {error!r}"
        raise errors.InvalidInput(where, "content", None, rule) from error


def _nic(document: Mapping[str, Any]) -> plan.Nic:
    return plan.Nic(
        kind=plan.NicKind(document["kind"]),
        device=str(document["device"]),
        interface=str(document["interface"]),
        mac=str(document["mac"]),
        mtu=int(document["mtu"]),
        addresses=tuple(map(ip_interface, document["addresses"])),
        routes=tuple(model.Route(ip_network(d), ip_address(hop)) for d, hop in document["routes"]),
        gateways=tuple(map(ip_address, document["gateways"])),
        sysctls=tuple(plan.Sysctl(**each) for each in document["sysctls"]),
        peers=tuple(map(str, document["peers"])),
        ranges=tuple(map(ip_network, document["ranges"])),
    )


def _owner(document: Mapping[str, Any]) -> port.PortOwner:
    pod = document["pod"]
    return port.PortOwner(
        pod=model.PodRef(ObjectKey(str(pod["namespace"]), str(pod["name"])), str(pod["uid"])),
        sandbox=str(document["sandbox"]),
        netns=str(document["netns"]),
        network=str(document["network"]),
        attachment=str(document["attachment"]),
        nad=str(document["nad"]),
        proof=(str(document["proof"][0]), str(document["proof"][1])),
        logical_port=str(document.get("logical_port", "")),
    )
