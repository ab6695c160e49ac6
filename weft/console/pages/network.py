"""Shows one network: conditions, subnets, members, nodes, what declares it, Events."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft.console import eventlist, paging
from weft.console.eventlist import Event
from weft.console.page import NoSuchObject, Page, Question, Read, Reading
from weft.console.pages.networks import Row, Use
from weft.console.pages.networks import row as row_of
from weft.console.paging import ListPage
from weft.kube import resources
from weft.observe import members, networkobjects
from weft.observe.reach import Member as Reached

MOST_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Condition:
    type: str
    status: str
    reason: str
    message: str
    since: str


@dataclass(frozen=True, slots=True)
class Subnet:
    subnet: str
    use: Use


@dataclass(frozen=True, slots=True)
class Declaration:
    """A NAD of the network. `problem`: why it does not count."""

    name: str
    members: int
    problem: str


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    members: int
    problem: str


@dataclass(frozen=True, slots=True)
class Member:
    namespace: str
    pod: str
    machine: str
    node: str
    interface: str
    mac: str
    addresses: tuple[str, ...]
    running: bool


@dataclass(frozen=True, slots=True)
class Network:
    row: Row
    conditions: tuple[Condition, ...]
    troubles: tuple[str, ...]
    subnets: tuple[Subnet, ...]
    declarations: tuple[Declaration, ...]
    nodes: tuple[Node, ...]
    members: ListPage[Member]
    events: tuple[Event, ...]


def view(reading: Reading, asked: Question) -> Network:
    """The network with the name in the path; raises NoSuchObject."""
    found = [
        each
        for each in reading.of(resources.NETWORKS)
        if each["metadata"]["name"] == asked.path["name"]
    ]
    if not found:
        raise NoSuchObject(
            reading.lack(resources.NETWORKS) or "there is no such network",
            where=f"Network {asked.path['name']}",
        )
    status = found[0].get("status") or {}
    row = row_of(found[0], asked.today)
    everybody = [_member(each) for each in members.on(row.label, _objects(reading))]
    return Network(
        row=row,
        conditions=tuple(_condition(each) for each in status.get("conditions") or ()),
        troubles=tuple(trouble for _, trouble in networkobjects.troubles(found)),
        subnets=tuple(_subnet(each) for each in status.get("addresses") or ()),
        declarations=tuple(
            _declaration(each) for each in status.get("networkAttachmentDefinitions") or ()
        ),
        nodes=tuple(_node(each) for each in status.get("nodes") or ()),
        members=paging.part(everybody, asked),
        events=tuple(_events(reading, found[0], everybody, status)),
    )


def _objects(reading: Reading) -> members.Objects:
    return members.Objects(
        nads=reading.of(resources.NADS),
        pods=reading.of(resources.PODS),
        instances=reading.of(resources.VMIS),
    )


def _condition(each: Mapping[str, Any]) -> Condition:
    keys = ("type", "status", "reason", "message", "lastTransitionTime")
    return Condition(*(str(each.get(key) or "") for key in keys))


def _subnet(each: Mapping[str, Any]) -> Subnet:
    use = Use(int(each.get("used", 0)), int(each.get("size", 0)), "-")
    return Subnet(str(each.get("subnet")), use)


def _declaration(each: Mapping[str, Any]) -> Declaration:
    problem = "" if each.get("accepted") else str(each.get("message"))
    return Declaration(str(each.get("name")), int(each.get("members", 0)), problem)


def _node(each: Mapping[str, Any]) -> Node:
    problem = "" if each.get("serving") else str(each.get("message"))
    return Node(str(each.get("name")), int(each.get("members", 0)), problem)


def _member(each: Reached) -> Member:
    return Member(
        namespace=each.endpoint.namespace,
        pod=each.endpoint.pod,
        machine=each.machine,
        node=each.node,
        interface=each.interface,
        mac=each.mac,
        addresses=tuple(map(str, each.endpoint.addresses)),
        running=each.running,
    )


def _events(
    reading: Reading,
    network: Mapping[str, Any],
    everybody: list[Member],
    status: Mapping[str, Any],
) -> Iterator[Event]:
    """The latest Events about the network, its NADs and its members."""
    about = {("Network", "", str(network["metadata"]["name"]))}
    for nad in status.get("networkAttachmentDefinitions") or ():
        namespace, _, name = str(nad.get("name")).partition("/")
        about.add((resources.NADS.kind, namespace, name))
    for one in everybody:
        about.add(("Pod", one.namespace, one.pod))
        if one.machine:
            about |= {(kind.kind, one.namespace, one.machine) for kind in _MACHINES}
    latest = eventlist.latest(reading.of(resources.EVENTS))
    yield from itertools.islice((one for one in latest if one.about in about), MOST_EVENTS)


_MACHINES = (resources.VMS, resources.VMIS)
PAGE = Page(
    name="network",
    path="/networks/{name}",
    heading="Network {name}",
    under="networks",
    reads=(
        Read(resources.NETWORKS),
        Read(resources.NADS),
        Read(resources.PODS),
        Read(resources.VMIS),
        Read(resources.EVENTS),
    ),
    view=view,
)
