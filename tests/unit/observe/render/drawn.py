"""Graphs to draw, sensible ones and any, and what makes a drawing legible."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from hypothesis import strategies as st

from tests.support import topology as rows
from weft.observe import overview, topology
from weft.observe.graph import Graph, Port
from weft.observe.overview import Overview
from weft.observe.render import lettering, svg
from weft.observe.render.drawing import Box, Drawing, Shape, Text
from weft.observe.snapshot import Snapshot

ENDS = ["".join(each) for each in itertools.product("bcdfghjklm", repeat=2)]


def graph(nodes: int, pods: int) -> Graph:
    """Pods in deployments of 25, on the default network and two others."""
    made = rows.zones(nodes)
    own: dict[int, list[tuple[str, str]]] = {}
    blue: dict[int, list[tuple[str, str, str]]] = {}
    for number in range(pods):
        name = f"app{number // 25}x-7d9f8b6c5-bcd{ENDS[number % 25]}"
        own.setdefault(number % nodes + 1, []).append(("shop", name))
        address = f"10.5.{number // 250}.{number % 250 + 1}"
        blue.setdefault(number % nodes + 1, []).append(("shop", name, address))
    rows.add_layer3(made, "default", own)
    rows.add_layer2(made, "blue", blue)
    rows.add_layer2(made, "red", {1: blue[1][:1]})
    return topology.build(rows.snapshots(made))


def mismatched() -> Overview:
    """Who has the first address on blue and on red reports another."""

    def port(one: Port) -> Port:
        return replace(one, reported=("10.5.0.9",)) if one.addresses == ("10.5.0.1",) else one

    made = graph(2, 4)
    switches = (replace(one, ports=tuple(map(port, one.ports))) for one in made.switches)
    return overview.fold(replace(made, switches=tuple(switches)))


def governed() -> Overview:
    """A policy isolates all pods; of their networks MTU and free addresses are known."""

    def port(one: Port) -> Port:
        return replace(one, isolated=("ingress",), policies=("shop/web",))

    made = graph(1, 2)
    switches = (replace(one, ports=tuple(map(port, one.ports))) for one in made.switches)
    networks = tuple(replace(one, mtu=1380, free=7) for one in made.networks)
    return overview.fold(replace(made, switches=tuple(switches), networks=networks))


def half_read() -> Overview:
    """One node of two cannot be read."""
    made = rows.zones(2)
    rows.add_layer2(made, "blue", {1: [("a", "x", "10.5.0.1")]})
    return overview.fold(topology.build([made[0].snapshot(), Snapshot("node2", trouble="is away")]))


def check_boxes(drawing: Drawing) -> None:
    """Everything is on the paper, words are in their boxes, and no box covers another."""

    def inside(box: Box) -> bool:
        return box.x >= 0 and box.right <= drawing.width and box.bottom <= drawing.height

    assert all(map(inside, drawing.boxes))
    for one, other in itertools.combinations(drawing.boxes, 2):
        assert not overlap(one, other), (one.title, other.title)
    for box in drawing.boxes:
        for text in box.texts:
            width = lettering.width(text.content, text.style)
            start = text.x - width if text.end else text.x
            assert box.x <= start + 1e-6
            assert start + width <= box.right + 1e-6
            assert box.y < text.y <= box.bottom
    ElementTree.fromstring(svg.render(drawing))


ODD = st.text(min_size=1, max_size=40) | st.sampled_from(
    ["a&b", '<script>"', "network/with/slashes", "网络-" * 6, "x" * 80, "\x1b[2Jgone", "�", "-"]
)
NAMES = st.sampled_from(["blue", "red", "default", "join", "a_transit_switch"]) | ODD
ADDRESSES = st.sampled_from(
    ["10.1.2.3", "fd00:1234:5678:9abc:def0:1234:5678:9abc", "not an address", "10.1.2.3 fd01::9"]
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Anything that fits into the tables, sensible or not."""
    made = rows.zones(draw(st.integers(0, 4)))
    places = [zone.name for zone in made] or ["none"]
    for zone in made:
        loose = []
        for number in range(draw(st.integers(0, 3))):
            ports = [f"lrp{number}-{count}" for count in range(draw(st.integers(0, 3)))]
            loose += ports
            options: dict[str, Any] = {"chassis": "x"} if draw(st.booleans()) else {}
            several = st.lists(ADDRESSES, max_size=3)
            uuids = [zone.router_port(port, *(f"{a}/24" for a in draw(several))) for port in ports]
            zone.router(draw(NAMES), uuids, nats=[("10.0.0.0/8", draw(ADDRESSES))], **options)
        for number in range(draw(st.integers(0, 3))):
            uuids = [
                zone.pod_port(draw(NAMES), draw(ODD), draw(ODD), draw(ADDRESSES), at=at)
                for at in draw(st.lists(st.sampled_from(places), max_size=16))
            ]
            for count in range(draw(st.integers(0, min(2, len(loose))))):
                uuids.append(zone.link(f"lsp{number}-{count}", loose.pop()))
            if draw(st.booleans()):
                localnet = {"network_name": draw(ODD)}
                uuids.append(
                    zone.port(f"out{number}", "unknown", type="localnet", options=localnet)
                )
            other = {"interconn_ts": f"span{number}"} if draw(st.booleans()) else {}
            zone.switch(draw(NAMES), uuids, network=draw(st.just("") | NAMES), **other)
    read = draw(st.integers(0, len(made)))
    return topology.build(rows.snapshots(made[:read]))


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.right
        and other.x < one.right
        and one.y < other.bottom
        and other.y < one.bottom
    )


def around(text: Text) -> Box:
    """The box that a text fills."""
    style = lettering.STYLES[text.style]
    width = lettering.width(text.content, text.style)
    x = text.x - width if text.end else text.x
    return Box(x, text.y - 0.75 * style.size, width, 0.95 * style.size, Shape.POD)


def crosses(path: tuple[tuple[float, float], ...], box: Box) -> bool:
    """Whether a path of level and upright lines goes through the inside of a box."""
    for (x1, y1), (x2, y2) in itertools.pairwise(path):
        left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if left < box.right and right > box.x and top < box.bottom and bottom > box.y:
            return True
    return False


def check_lines(drawing: Drawing) -> None:
    """Nothing covers anything, no line goes through a card, and all words are in their boxes."""
    for one, other in itertools.combinations(drawing.boxes, 2):
        assert not overlap(one, other), f"{one} covers {other}"
    for one, other in itertools.combinations(drawing.frames, 2):
        assert not overlap(one, other), f"{one} covers {other}"
    bands = (Shape.BAND, Shape.PHYSICAL)
    cards = [box for box in drawing.boxes if box.shape not in bands]
    for card in cards:
        assert any(
            frame.x < card.x and card.right < frame.right and card.bottom < frame.bottom
            for frame in drawing.frames
        )
        for path in drawing.paths:
            assert not crosses(path.points, card), f"{path} goes through {card}"
    for box in (*drawing.frames, *drawing.boxes):
        for text in box.texts:
            spot = around(text)
            assert box.x <= spot.x, text
            assert spot.right <= box.right, text
            assert box.y <= spot.y, text
            assert spot.bottom <= box.bottom, text
    written = [around(text) for text in drawing.written() if text.content]
    for one, other in itertools.combinations(written, 2):
        assert not overlap(one, other)
    for text in drawing.texts:
        assert not any(overlap(around(text), box) for box in drawing.boxes), text
    for spot in (*written, *drawing.frames, *drawing.boxes):
        assert spot.x >= 0
        assert spot.y >= 0
        assert spot.right <= drawing.width
        assert spot.bottom <= drawing.height
