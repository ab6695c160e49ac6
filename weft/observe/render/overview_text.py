"""Writes the overview for a terminal: a count of members by network and node, then each network's
workloads.

No line exceeds the width; longer ones are cut in the middle or continued below.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from weft.observe.overview import Group, Member, Overview, Section
from weft.observe.render import colours, grid_text, lettering
from weft.observe.render.grid_text import Line, Span, cut

FEW = 6  # members of a workload that are all listed
LISTED_MEMBERS = 4  # of more than that
LONGEST_NAME = 36


def lines(overview: Overview, width: int, *, whole: bool = False) -> Iterator[Line]:
    """The lines of an overview; `whole` lists every member of large workloads too."""
    yield (Span(cut(summary(overview), width), "title"),)
    if overview.sections:
        yield ()
        yield from _counts(overview, width)
    for zone in overview.zones:
        if zone.trouble:
            yield ()
            yield from _wrapped(f"{zone.name} cannot be read: {zone.trouble}", width, 0, "bad")
    for section in overview.sections:
        yield ()
        yield from _section(section, width, whole)


def summary(overview: Overview) -> str:
    """The numbers of nodes, networks, members and faulty members, in one line."""
    parts = [
        lettering.counted(len(overview.sections), "network"),
        lettering.counted(len(overview.zones), "node"),
        f"{overview.size} pods and VMs",
    ]
    wrong = sum(section.faults for section in overview.sections)
    return ", ".join([*parts, *([f"{wrong} with a fault"] if wrong else [])])


def _counts(overview: Overview, width: int) -> Iterator[Line]:
    """How many members of each network are on each node."""
    rows = [
        Span(lettering.printable(one.network.name), "title", colours.of(one.network.name))
        for one in overview.sections
    ]
    cells = {}
    for row, section in enumerate(overview.sections):
        for column, zone in enumerate(overview.zones):
            count = section.by_node.get(zone.name, 0)
            style = "bad" if zone.name in section.faulty else "" if count else "silent"
            cells[row, column] = Span(str(count) if count else "·", style)
    names = [lettering.printable(overview.hosts[zone.name]) for zone in overview.zones]
    yield from grid_text.lines(rows, names, cells, width)


def about(section: Section) -> list[str]:
    """What follows a network's name: its false conditions, topology, subnets, MTU and free
    addresses."""
    network = section.network
    parts = [*network.reasons, *filter(None, [network.topology]), *network.subnets]
    parts += [f"MTU {network.mtu}"] if network.mtu else []
    parts += [f"{network.free} free"] if network.free is not None else []
    here = sum(bool(count) for count in section.by_node.values())
    members = lettering.counted(section.size, "member")
    return [*parts, f"{members} on {lettering.counted(here, 'node')}" if section.size else members]


def _section(section: Section, width: int, whole: bool) -> Iterator[Line]:
    name = lettering.printable(section.network.name)
    yield (Span(cut(name, width), "title", colours.of(section.network.name)),)
    yield from _joined([lettering.printable(part) for part in about(section)], width, 2)
    for trouble in section.network.troubles:
        yield from _wrapped(trouble, width, 2, "bad")
    for group in section.groups:
        yield from _group(group, width, section.network.primary, whole)


def listed(group: Group, *, primary: bool, whole: bool) -> tuple[Member, ...]:
    """The members that are listed one by one.

    On the default network, which all pods are on, only those with faults; of a large workload
    only the first few, those with faults first.
    """
    if whole:
        return group.members
    faulty = tuple(member for member in group.members if member.faults)
    if primary:
        return faulty[:FEW]
    return group.members if len(group.members) <= FEW else group.members[:LISTED_MEMBERS]


def _group(group: Group, width: int, primary: bool, whole: bool) -> Iterator[Line]:
    name = f"{group.workload.namespace}/{group.name}" if group.workload.namespace else group.name
    parts = [group.counted]
    parts += [f"policies isolate {' and '.join(group.isolated)}"] if group.isolated else []
    parts += [f"also on {', '.join(group.others)}"] if group.others else []
    head = Span(f"  {cut(lettering.printable(name), width - 2)}", "name")
    if len(group.members) == 1:
        (member,) = group.members
        parts[1:1] = [member.host, *member.addresses]
        yield from _fitted(head, parts, width)
        yield from _faults(member, width, 4)
        return
    yield from _fitted(head, parts, width)
    shown = listed(group, primary=primary, whole=whole)
    if not shown:
        return
    room = min(max(len(member.name) for member in shown), LONGEST_NAME, width // 2)
    nodes = min(max(len(member.host) for member in shown), width - room - 6)
    for member in shown:
        called = cut(lettering.printable(member.name), room)
        node = cut(lettering.printable(member.host), nodes)
        head = Span(f"    {called:<{room}}  {node:<{nodes}}")
        yield from _fitted(head, member.addresses, width)
        yield from _faults(member, width, 6)
    rest = group.members[len(shown) :]
    if rest and not primary:
        where = lettering.counted(len({member.node for member in rest}), "node")
        yield (Span(f"    and {len(rest)} more on {where}", "muted"),)


def _faults(member: Member, width: int, indent: int) -> Iterator[Line]:
    for fault in member.faults:
        yield from _wrapped(fault, width, indent, "bad")


def _fitted(head: Span, parts: Iterable[str], width: int) -> Iterator[Line]:
    """The head with the parts beside it, if they fit; else those that do not on lines below."""
    taken = len(head.text)
    spans = [head]
    left = [lettering.printable(part) for part in parts]
    while left and taken + 2 + len(left[0]) <= width:
        taken += 2 + len(left[0])
        spans.append(Span(f"  {left.pop(0)}", "muted"))
    yield (Span(head.text.rstrip(), head.style), *spans[1:]) if len(spans) == 1 else tuple(spans)
    if left:
        yield from _joined(left, width, 6)


def _joined(parts: Sequence[str], width: int, indent: int) -> Iterator[Line]:
    """Parts with two blanks between them, on as many lines as they take."""
    line = ""
    for part in parts:
        shown = cut(part, width - indent)
        if line and len(line) + 2 + len(shown) > width:
            yield (Span(line, "muted"),)
            line = ""
        line = f"{line}  {shown}" if line else " " * indent + shown
    if line:
        yield (Span(line, "muted"),)


def _wrapped(text: str, width: int, indent: int, style: str) -> Iterator[Line]:
    before = " " * indent
    for line in textwrap.wrap(
        lettering.printable(text),
        max(width, indent + 20),
        initial_indent=before,
        subsequent_indent=before,
    ):
        yield (Span(line, style),)
