"""The overview as text: it keeps to the width, and few lines say much."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import topology as rows
from tests.unit.observe.render.drawn import governed, graph, graphs, half_read, mismatched
from weft.observe import overview, topology
from weft.observe.graph import Graph, Network
from weft.observe.overview import Overview
from weft.observe.render import mermaid, overview_picture, overview_text, svg


def text(folded: Overview, width: int, *, whole: bool = False) -> list[str]:
    lines = overview_text.lines(folded, width, whole=whole)
    return ["".join(span.text for span in line) for line in lines]


@pytest.mark.parametrize(("nodes", "pods"), [(5, 25), (20, 500)])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_keep_to_the_width(nodes: int, pods: int, width: int) -> None:
    lines = text(overview.fold(graph(nodes, pods)), width)
    assert max(map(len, lines)) <= width
    assert len(lines) < 400


@pytest.mark.parametrize("width", [60, 80])
def test_long_names_of_nodes_keep_to_the_width(width: int) -> None:
    made = graph(20, 60)
    called = {
        zone.name: f"ip-10-20-30-{zone.name}.eu-west-1.compute.internal" for zone in made.zones
    }
    zones = tuple(replace(zone, name=called[zone.name]) for zone in made.zones)
    switches = tuple(
        replace(
            switch,
            zones=tuple(called[zone] for zone in switch.zones),
            ports=tuple(
                replace(
                    port, zone=called[port.zone], seen=tuple(called[zone] for zone in port.seen)
                )
                for port in switch.ports
            ),
        )
        for switch in made.switches
    )
    lines = text(overview.fold(replace(made, zones=zones, switches=switches)), width)
    assert max(map(len, lines)) <= width
    # Their domain says nothing that tells them apart.
    assert "1 to 20: ip-10-20-30-node1 to ip-10-20-30-node20" in lines


def test_hundreds_of_pods_are_a_few_lines_unless_all_are_asked_for() -> None:
    folded = overview.fold(graph(20, 500))
    short = text(folded, 80)
    assert (
        sum("app0x-" in line for line in short) == overview_text.LISTED_MEMBERS + 1
    )  # one is on red
    assert sum(line.startswith("    and 21 more on ") for line in short) == 20
    whole = "\n".join(text(folded, 80, whole=True))
    assert all(f"10.5.{number // 250}.{number % 250 + 1}" in whole for number in range(500))


def test_a_network_with_its_workloads() -> None:
    made = rows.zones(2)
    rows.add_layer2(
        made,
        "blue",
        {
            1: [("shop", "web-7d9f8b6c5-bcdfg", "10.5.0.1"), ("shop", "db-0", "10.5.0.3")],
            2: [("shop", "web-7d9f8b6c5-bcdhj", "10.5.0.2")],
        },
    )
    assert text(overview.fold(topology.build(rows.snapshots(made))), 60) == [
        "1 network, 2 nodes, 3 pods and VMs",
        "",
        "      node1 node2",
        "blue      2     1",
        "",
        "blue",
        "  layer2  3 members on 2 nodes",
        "  shop/db-0  pod  node1  10.5.0.3",
        "  shop/web  2 pods",
        "    web-7d9f8b6c5-bcdfg  node1  10.5.0.1",
        "    web-7d9f8b6c5-bcdhj  node2  10.5.0.2",
    ]


def test_a_mismatch_stands_below_the_pod() -> None:
    lines = text(mismatched(), 60)
    assert sum("guest has 10.5.0.9" in line for line in lines) == 2  # on blue and on red


def test_policies_mtu_and_free_addresses_are_reported() -> None:
    output = "\n".join(text(governed(), 100))
    assert "MTU 1380  7 free" in output
    assert "policies isolate ingress" in output


def test_why_a_node_cannot_be_read_is_reported() -> None:
    assert "node2 cannot be read: is away" in text(half_read(), 60)


@given(graphs(), st.booleans(), st.integers(40, 120))
def test_whatever_the_rows_are_lines_keep_to_the_width(
    made: Graph, whole: bool, width: int
) -> None:
    assert all(len(line) <= width for line in text(overview.fold(made), width, whole=whole))


def test_what_is_wrong_with_networks_is_in_every_form() -> None:
    made = graph(2, 4)
    blue = replace(made.networks[0], reasons=("EditWaits",), troubles=("an edit of mtu waits",))
    none = Network("nowhere", "", False, reasons=("InvalidConfig",), troubles=("no mtu <b>",))
    folded = overview.fold(replace(made, networks=(blue, *made.networks[1:]), absent=(none,)))
    lines = text(folded, 80)
    at = lines.index(blue.name)
    assert lines[at + 1].startswith("  EditWaits  ")
    assert "  an edit of mtu waits" in lines[at:]
    at = lines.index("nowhere")
    assert lines[at + 1 : at + 3] == ["  InvalidConfig  0 members", "  no mtu <b>"]
    assert "InvalidConfig" in mermaid.overview(folded)
    assert "InvalidConfig" in svg.render(overview_picture.lay_out(folded))
