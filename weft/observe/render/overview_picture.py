"""Lays out the overview: a count of members by network and node, then cards of workloads.

Each network is a band in its colour, with a card for each workload below it, in columns of
about equal height. The card of a member says what is wrong with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from weft.observe.overview import Group, Member, Overview, Section
from weft.observe.remembered import Memo
from weft.observe.render import cards, colours, lettering, overview_text
from weft.observe.render.canvas import place
from weft.observe.render.cards import Card, Label
from weft.observe.render.drawing import Box, Drawing, Shape, Text, Tone

MARGIN = 28.0
HEADER = 74.0
CARD, GAP = 372.0, 14.0
COLUMNS = 3
BAND = 34.0
SECTION_GAP = 30.0
CELL, CELL_GAP = 30.0, 4.0
MAX_LABEL = 210.0
SLANT = 45  # degrees by which nodes' names rise
_SINE = 0.7072
BETWEEN = " · "
MAX_LISTED = 40  # members that a card's tooltip lists
FEWEST = 3  # cards of a network whose others are folded
MAX_NAMED = 12  # workloads that the card of the folded ones names


@dataclass(frozen=True, slots=True)
class Links:
    """Where a click on a network, a workload, or a network's folded workloads leads; "" for
    nowhere."""

    network: Callable[[str], str] = lambda _: ""
    group: Callable[[Group], str] = lambda _: ""
    more: Callable[[str], str] = lambda _: ""


NO_LINKS = Links()


def lay_out(
    overview: Overview,
    *,
    whole: bool = False,
    links: Links = NO_LINKS,
    most: int = 0,
    unfolded: str = "",
    memo: Memo | None = None,
) -> Drawing:
    """The drawing of an overview; `whole` lists every member on its workload's card. `memo`: that
    of pictures with the same `links` and `whole`.

    If there are more than `most` workloads, and that is not 0, each network but the `unfolded` one
    has cards of its share of them, and one card for the others.
    """
    memo = Memo() if memo is None else memo
    count = sum(len(section.groups) for section in overview.sections)
    share = max(FEWEST, most // len(overview.sections)) if 0 < most < count else count
    stacks = []
    for section in overview.sections:
        limit = count if section.network.name == unfolded else share
        make = functools.partial(_stack, section, limit, whole=whole, links=links)
        stacks.append(memo.of(("stack", section.network.name), (section, limit), make))
    summary = overview_text.summary(overview)
    columns = min(COLUMNS, max((len(stack) for stack in stacks), default=1))
    width = columns * CARD + (columns - 1) * GAP
    texts = [
        Text(MARGIN, 32, "Networks", "title"),
        Text(MARGIN, 51, summary, "muted"),
    ]
    boxes: list[Box] = []
    right, y = _counts(overview, boxes, texts)
    bands = [overview_text.about(section) for section in overview.sections]
    needed = [_band_width(one, facts) for one, facts in zip(overview.sections, bands, strict=True)]
    width = max([width, right - MARGIN, *needed])
    columns = max(
        columns, min(int((width + GAP) // (CARD + GAP)), max(map(len, stacks), default=1))
    )
    for section, stack, facts in zip(overview.sections, stacks, bands, strict=True):
        y += SECTION_GAP
        boxes.append(_band(section, facts, y, width, links.network(section.network.name)))
        at = y + BAND + GAP, columns
        key = "stacked", section.network.name
        placed, y = memo.of(key, (stack, at), functools.partial(_stacked, stack, *at))
        boxes += placed
    for zone in overview.zones:
        if zone.trouble:
            y += 22
            trouble = f"{zone.name} cannot be read: {zone.trouble}"
            shown = lettering.fit(trouble, "plain", width)
            full = trouble if shown != trouble else ""
            texts.append(Text(MARGIN, y, shown, "plain", full=full, tone=Tone.BAD))
    return Drawing(
        width=width + 2 * MARGIN,
        height=y + MARGIN,
        title="Networks",
        summary=summary,
        boxes=tuple(boxes),
        texts=tuple(texts),
    )


def _counts(overview: Overview, boxes: list[Box], texts: list[Text]) -> tuple[float, float]:
    """A grid of networks and nodes with the number of members; (right, bottom) of it."""
    if not overview.sections or not overview.zones:
        return MARGIN, HEADER
    names = [section.network.name for section in overview.sections]
    caption = min(max(lettering.width(name, "name") for name in names), MAX_LABEL)
    longest = max(lettering.width(host, "mono") for host in overview.hosts.values())
    rise = min(longest, MAX_LABEL) * _SINE + 14
    left, top, pitch = MARGIN + caption + 12, HEADER + rise, CELL + CELL_GAP
    for column, zone in enumerate(overview.zones):
        label = lettering.fit(overview.hosts[zone.name], "mono", MAX_LABEL)
        full = zone.name if label != zone.name else ""
        tone = None if zone.read else Tone.WARN
        x = left + pitch * column + CELL / 2 + 3
        texts.append(Text(x, top - 8, label, "mono", full=full, turn=-SLANT, tone=tone))
    for row, section in enumerate(overview.sections):
        y, hue = top + pitch * row, colours.of(section.network.name)
        name = lettering.fit(section.network.name, "name", MAX_LABEL)
        full = section.network.name if name != section.network.name else ""
        texts.append(Text(left - 10, y + 20, name, "name", end=True, hue=hue, full=full))
        faulty = section.faulty
        for column, zone in enumerate(overview.zones):
            is_faulty = zone.name in faulty
            x = left + pitch * column
            boxes.append(_cell(section, zone.name, x, y, is_faulty=is_faulty))
    return (
        left + pitch * len(overview.zones) + rise,
        top + pitch * len(overview.sections) - CELL_GAP,
    )


def _cell(section: Section, node: str, x: float, y: float, *, is_faulty: bool) -> Box:
    count = section.by_node.get(node, 0)
    shown = f"{count}{'!' if is_faulty else ''}" if count else ""
    shown = lettering.fit(shown, "plain", CELL - 2)
    tone = Tone.BAD if is_faulty else None
    at = x + (CELL - lettering.width(shown, "plain")) / 2
    texts = (Text(at, y + 19, shown, "plain", tone=tone),) if shown else ()
    title = f"{section.network.name} on {node}: {lettering.counted(count, 'member')}"
    if is_faulty:
        title += ", not all without a fault"
    hue = colours.of(section.network.name) if count else None
    return Box(x, y, CELL, CELL, Shape.SQUARE, texts, title, hue=hue)


def _band_width(section: Section, facts: Sequence[str]) -> float:
    name = min(lettering.width(section.network.name, "name"), MAX_LABEL)
    return 28 + name + 2 * cards.BETWEEN + lettering.width(BETWEEN.join(facts), "mono")


def _band(section: Section, facts: Sequence[str], y: float, width: float, href: str) -> Box:
    name = section.network.name
    shown = lettering.fit(name, "name", MAX_LABEL)
    full = name if shown != name else ""
    texts = (
        Text(MARGIN + 14, y + 21.5, shown, "name", full=full),
        Text(MARGIN + width - 14, y + 21.5, BETWEEN.join(facts), "mono", end=True),
    )
    title = "\n".join((f"network {name}", *facts))
    hue = colours.of(name)
    id = f"network-{name}"
    return Box(MARGIN, y, width, BAND, Shape.BAND, texts, title, hue=hue, href=href, id=id)


def _stack(section: Section, share: int, *, whole: bool, links: Links) -> list[Card]:
    """The cards of a network."""
    kept, rest = _folded(section, share)
    stack = [_card(section, each, whole=whole, href=links.group(each)) for each in kept]
    return [*stack, _more(section, rest, links.more)] if rest else stack


def _stacked(stack: Sequence[Card], top: float, columns: int) -> tuple[list[Box], float]:
    """The boxes of the cards, each in the shortest column; and the y at which the longest ends."""
    ends, boxes = [top] * columns, []
    for card in stack:
        column = ends.index(min(ends))
        box = place(card, MARGIN + column * (CARD + GAP), ends[column], CARD)
        boxes.append(box)
        ends[column] = box.bottom + GAP
    return boxes, max(ends) - GAP if stack else top - GAP


def _folded(section: Section, share: int) -> tuple[Sequence[Group], Sequence[Group]]:
    """The workloads that have a card each, and the others: those with faults stay first."""
    if len(section.groups) <= share + 1:  # a card for one more says less than its own
        return section.groups, ()
    faulty = [any(member.faults for member in group.members) for group in section.groups]
    order = sorted(range(len(faulty)), key=lambda place: not faulty[place])
    kept, rest = sorted(order[:share]), sorted(order[share:])
    return [section.groups[one] for one in kept], [section.groups[one] for one in rest]


def _more(section: Section, rest: Sequence[Group], href: Callable[[str], str]) -> Card:
    """The card of a network's workloads that are folded."""
    name = section.network.name
    nodes = {member.node for group in rest for member in group.members}
    members = lettering.counted(sum(len(group.members) for group in rest), "member")
    where = f"{members} on {lettering.counted(len(nodes), 'node')}"
    labels = [Label(f"and {len(rest)} more workloads", "name"), Label(where, "muted")]
    wrong = sum(bool(member.faults) for group in rest for member in group.members)
    if wrong:
        labels.append(Label(f"{wrong} with a fault", "plain", tone=Tone.BAD))
    listed = [f"{group.workload}: {group.counted}" for group in rest[:MAX_NAMED]]
    if len(rest) > MAX_NAMED:
        listed.append(f"and {len(rest) - MAX_NAMED} more")
    title = "\n".join(listed)
    return Card(f"{name} and more", Shape.POD, tuple(labels), title, href=href(name))


def _card(section: Section, group: Group, *, whole: bool, href: str) -> Card:
    alone = len(group.members) == 1
    primary = section.network.primary
    labels = [Label(group.name, "name"), Label(group.workload.namespace or "no pod", "muted")]
    if group.isolated:
        title = f"policies isolate {' and '.join(group.isolated)}"
        labels.append(Label(title, "muted", end=True, beside=True))
    if group.others:
        labels += _others(group.others)
    shown = group.members if alone else overview_text.listed(group, primary=primary, whole=whole)
    for member in shown:
        labels += _member(member, alone=alone)
    rest = group.members[len(shown) :]
    if rest and not (primary and not whole):
        where = lettering.counted(len({member.node for member in rest}), "node")
        labels.append(Label(f"and {len(rest)} more on {where}", "muted"))
    faint = any(member.port.up is False for member in group.members)
    id = f"{section.network.name} {group.workload}"
    badge = group.counted
    return Card(id, Shape.POD, tuple(labels), _title(group), None, badge, faint, href)


def _others(networks: Sequence[str]) -> list[Label]:
    """Other networks that all of the workload's members are on, each in its colour."""
    found = [Label("also on", "muted")]
    for name in networks[:2]:
        found.append(Label(name, "muted", beside=True, hue=colours.of(name)))
    if len(networks) > 2:
        found.append(Label(f"and {len(networks) - 2} more", "muted", beside=True))
    return found


def _member(member: Member, *, alone: bool) -> list[Label]:
    addresses = " ".join(member.addresses)
    node = Label(member.host, "muted", end=True, beside=True)
    found = [Label(addresses), node]
    if not alone:
        found = [Label(member.name, "plain"), node, Label(addresses)]
    return found + [Label(fault, "plain", tone=Tone.BAD) for fault in member.faults]


def _title(group: Group) -> str:
    title = [f"{group.workload}: {group.counted}"]
    title += [f"selected by policy {policy}" for policy in group.policies]
    title += [f"also on {name}" for name in group.others]
    for member in group.members[:MAX_LISTED]:
        title.append(f"{member.name} on {member.node}: {' '.join(member.addresses)}")
        title += [f"  port {member.port.name}, MAC {member.port.mac}"]
        title += [f"  {fault}" for fault in member.faults]
    if len(group.members) > MAX_LISTED:
        title.append(f"and {len(group.members) - MAX_LISTED} more")
    return "\n".join(title)
