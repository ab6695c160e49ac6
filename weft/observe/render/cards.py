"""Writes the text on the card of a switch, router or pod, and its tooltip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from weft.observe import graph
from weft.observe.graph import DatapathRole, Graph, Link, Port, PortKind, Router, Switch
from weft.observe.render import lettering
from weft.observe.render.drawing import Shape, Tone

PAD = 9.0
SIDE = 13.0
BETWEEN = 18.0
WIDEST = 274.0  # pixels of one line
LINE = 16.0
BADGE_ROOM = 40.0


@dataclass(frozen=True, slots=True)
class Label:
    """A label on a card. `port` is the name of the switch's port that it is about.

    `beside`: on the line of the label before. `end`: at the end of the line. `hue`, `tone` and
    `href`: as those of a drawing's text.
    """

    text: str
    style: str = "mono"
    port: str = ""
    end: bool = False
    beside: bool = False
    hue: int | None = None
    tone: Tone | None = None
    href: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A card of labels; `title` is its tooltip, `badge` a short text in its corner. `href`: as a
    drawing's box."""

    id: str
    shape: Shape
    labels: tuple[Label, ...]
    title: str
    hue: int | None = None
    badge: str = ""
    faint: bool = False
    href: str = ""

    def lines(self) -> list[list[Label]]:
        """The labels by line."""
        found: list[list[Label]] = []
        for label in self.labels:
            if label.beside:
                found[-1].append(label)
            else:
                found.append([label])
        return found

    @property
    def height(self) -> float:
        """Pixels of all lines."""
        return 2 * PAD + LINE * len(self.lines()) - 2

    @property
    def width(self) -> float:
        """Pixels that the card needs to show every label whole."""
        needed = [self.corner, 0.0]
        for place, line in enumerate(self.lines()):
            widths = [lettering.width(label.text, label.style) for label in line]
            needed.append(sum(widths) + BETWEEN * (len(line) - 1) + (0 if place else self.corner))
        return 2 * SIDE + max(needed)

    @property
    def corner(self) -> float:
        """Pixels that the badge or sign takes of the first line."""
        return BADGE_ROOM if self.badge or self.shape in (Shape.SWITCH, Shape.ROUTER) else 0.0


def switch(one: Switch, hue: int) -> Card:
    """The card of a switch: its name and subnets."""
    lines = [Label(one.name, "name"), *(Label(subnet) for subnet in one.subnets)]
    title = [f"{one.role} {one.name}", f"network {one.network}", *one.subnets]
    title += [f"port {port.name}" for port in one.ports if port.kind is not PortKind.POD]
    if one.key:
        title.append(f"tunnel key {one.key}")
    return Card(one.id, Shape.SWITCH, tuple(lines), "\n".join(title), hue)


def router(one: Router, links: Iterable[Link], hue: int) -> Card:
    """The card of a router: its name, source NAT and default routes."""
    lines = [Label(one.name, "name")]
    sources = dict.fromkeys(nat.external_ip for nat in one.nats if nat.type == "snat")
    lines += [Label(f"SNAT to {address}") for address in sources]
    lines += [Label(f"out via {route.via}") for route in one.routes if leads_out(route)]
    title = [f"{one.role} {one.name}", f"network {one.network}"]
    title += [f"{link.port}: {', '.join(link.addresses)} {link.mac}" for link in links]
    title += [f"{nat.type} {nat.logical_ip} to {nat.external_ip}" for nat in one.nats]
    title += [written(route) for route in one.routes]
    return Card(one.id, Shape.ROUTER, tuple(lines), "\n".join(title), hue)


def leads_out(route: graph.Route) -> bool:
    """Whether it is a default route."""
    return route.prefix in ("0.0.0.0/0", "::/0")


def written(route: graph.Route) -> str:
    """A route in one line: its prefix, next hop and policy."""
    source = "from " if route.policy == "src-ip" else ""
    way = "discarded" if route.via == "discard" else f"via {route.via}"
    return f"{source}{route.prefix} {way}"


def stand_in(one: Switch, port: Port, hue: int) -> Card:
    """The card of a router that was not read: only this remote port of it is known."""
    lines = (Label(port.name, "name"), *(Label(address) for address in port.addresses))
    title = f"remote port {port.name} of {one.name}\n{port.zone} was not read"
    return Card(f"{one.id} {port.name}", Shape.ROUTER, lines, title, hue, faint=True)


@dataclass(frozen=True, slots=True)
class Nic:
    """A port on the card of its pod; `left` if its network is the one on top."""

    switch: Switch
    port: Port
    hue: int
    left: bool


def pod(nics: Sequence[Nic], id: str, *, read: bool = True) -> Card:
    """The card of a pod or machine with all its ports; `read` is whether its zone was read."""
    port = nics[0].port
    owner = port.owner
    lines = [Label(port.label, "name")]
    title = [port.name]
    badge = "PORT"
    if owner is not None:
        badge = owner.kind.upper()
        lines.append(Label(owner.namespace, "muted"))
        title = [f"{owner.kind} {owner.name} in namespace {owner.namespace}"]
        title += [f"pod {owner.pod}"] if owner.machine else []
    for nic in nics:
        title += _about(nic)
    lines += _facing(_addresses(nics, left=True), _addresses(nics, left=False))
    down = any(nic.port.up is False for nic in nics)
    return Card(id, Shape.POD, tuple(lines), "\n".join(title), None, badge, faint=down or not read)


def _addresses(nics: Sequence[Nic], *, left: bool) -> list[Label]:
    found = []
    for nic in nics:
        if nic.left is left:
            shown = nic.port.addresses or (nic.port.mac or nic.port.name,)
            for place, address in enumerate(shown):
                at = nic.port.name if place == 0 else ""
                found.append(Label(address, "mono", at, end=not left))
    return found


def _facing(left: Sequence[Label], right: Sequence[Label]) -> list[Label]:
    """The labels of both sides on the same lines if they fit, else one side after the other."""
    both = [
        lettering.width(one.text + other.text, "mono") + BETWEEN
        for one, other in zip(left, right, strict=False)
    ]
    if max(both, default=0.0) > WIDEST:
        return [*left, *right]
    found: list[Label] = []
    for place in range(max(len(left), len(right))):
        found += left[place : place + 1]
        found += [replace(label, beside=place < len(left)) for label in right[place : place + 1]]
    return found


def _about(nic: Nic) -> list[str]:
    port = nic.port
    title = [f"{nic.switch.network}: {' '.join((*port.addresses, port.mac))}"]
    title += [f"  port {port.name}" + (f", tunnel key {port.key}" if port.key else "")]
    if port.up is not None:
        title.append(f"  {'up' if port.up else 'not up'}")
    if missing := graph.missing_from(nic.switch, port):
        title.append(f"  no row of it in {', '.join(missing)}")
    return title


def band(one: Switch, shown: Graph) -> tuple[str, str, str]:
    """(name, details, tooltip) of a switch that spans zones."""
    key = [f"key {one.key}"] if one.key else []
    # A layer2 network's subnets are beside its band already.
    subnets = () if one.role is DatapathRole.LAYER2 else one.subnets
    title = [f"{one.role} {one.name}", f"network {one.network}", *one.subnets, *key]
    title.append(f"in {', '.join(one.zones)} of {len(shown.zones)} zones")
    title += [f"port {port.name}" for port in one.ports if port.kind is PortKind.LOCALPORT]
    return one.name, "   ".join((*subnets, *key)), "\n".join(title)
