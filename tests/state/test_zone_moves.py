"""The rows of a port whose machine migrates, in each zone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.unit.control.zone.test_moves import MOVE, SOURCE, TARGET
from weft import model, names, rows, tunnelkeys
from weft.control.zone import portrows, topologies
from weft.ovn import ports

SPEC = model.NetworkSpec("blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"),))
NETWORK = model.Network(SPEC, 1)
NODES = {name: model.NodeInfo(name, f"c-{name}") for name in ("n1", "n2", "n3")}


def row(port: model.Port, here: str, *unknown: str) -> rows.Row | None:
    nodes = {name: each for name, each in NODES.items() if name not in unknown}
    place = topologies.Here(here, f"c-{here}", nodes, ports.RemotePorts.PLAIN, "")
    return topologies.KNOWN[SPEC.topology].of_pod(NETWORK, port, place)


def options(made: rows.Row | None) -> dict[str, rows.Atom]:
    assert made is not None
    found = made.columns["options"]
    assert isinstance(found, dict)
    return found


def also_on(made: rows.Row | None) -> rows.Atom | None:
    assert made is not None
    found = made.columns["external_ids"]
    assert isinstance(found, dict)
    return found.get(names.ALSO_ON)


@pytest.mark.parametrize("here", ["n1", "n3"])
def test_other_zones_stay_with_the_source_and_copy_to_the_target(here: str) -> None:
    made = row(replace(SOURCE, move=MOVE), here)
    assert options(made)["requested-chassis"] == ("c-n1" if here == "n1" else "c-n1,c-n1")
    assert "activation-strategy" not in options(made)
    assert also_on(made) == "c-n2"


def test_the_targets_zone_waits_for_the_guests_announcement() -> None:
    made = row(replace(TARGET, move=MOVE), "n2")
    assert options(made)["requested-chassis"] == "c-n1,c-n2"
    assert options(made)["activation-strategy"] == "rarp"
    assert options(made)["iface-id-ver"] == "uid-b"
    assert also_on(made) is None


@pytest.mark.parametrize(
    ("style", "expected"), [(ports.RemotePorts.PLAIN, 1), (ports.RemotePorts.REMOTE, 0)]
)
def test_a_port_stands_in_for_the_machine_where_it_runs_while_it_waits(
    style: ports.RemotePorts, expected: int
) -> None:
    place = topologies.Here("n2", "c-n2", NODES, style, "")
    *beside, own = portrows.of_port(NETWORK, replace(TARGET, move=MOVE), place)
    found = [each for each in beside if each.table == ports.PORT]
    assert [each.key for each in found] == [f"{own.key}:source"] * expected
    for each in found:
        assert (each.columns["addresses"], each.parent) == (frozenset(), own.parent)
        assert options(each)["requested-chassis"] == "c-n1,c-n1"
        key = int(str(options(each)["requested-tnl-key"]))
        assert tunnelkeys.LAST_POD_TUNNEL_KEY < key <= tunnelkeys.LAST_TUNNEL_KEY
    for here, port in (("n2", TARGET), ("n1", replace(SOURCE, move=MOVE)), ("n3", TARGET)):
        there = topologies.Here(here, f"c-{here}", NODES, style, "")
        made = portrows.of_port(NETWORK, port, there)
        assert sum(each.table == ports.PORT for each in made) == 1


@pytest.mark.parametrize(
    ("here", "requested"), [("n1", "c-n2,c-n2"), ("n2", "c-n2"), ("n3", "c-n2,c-n2")]
)
def test_after_the_switch_all_zones_name_the_target_alone(here: str, requested: str) -> None:
    made = row(TARGET, here)
    assert options(made)["requested-chassis"] == requested
    assert "activation-strategy" not in options(made)
    assert also_on(made) is None


def test_all_zones_name_the_row_and_its_key_alike_throughout() -> None:
    stages = (SOURCE, replace(SOURCE, move=MOVE), replace(TARGET, move=MOVE), TARGET)
    made = [row(port, here) for port in stages for here in NODES]
    assert {each.key for each in made if each is not None} == {"default.blue_default_vm:5"}
    assert {options(each)["requested-tnl-key"] for each in made} == {"5"}
    assert {str(each.columns["addresses"]) for each in made if each} == {
        "frozenset({'0a:58:0a:01:00:05 10.1.0.5'})"
    }


def test_the_targets_zone_takes_nothing_from_a_source_that_it_does_not_know() -> None:
    assert row(replace(TARGET, move=MOVE), "n2", "n1") is None


def test_on_the_wire_each_zone_has_its_own_port_and_the_target_no_address_yet() -> None:
    spec = replace(SPEC, topology=model.Topology.LOCALNET, physical_network="rack")
    network = model.Network(spec, 1)

    def addresses(port: model.Port, here: str) -> object:
        place = topologies.Here(here, f"c-{here}", NODES, ports.RemotePorts.PLAIN, "")
        made = topologies.KNOWN[spec.topology].of_pod(network, port, place)
        return made.columns["addresses"] if made is not None else None

    own = frozenset({"0a:58:0a:01:00:05 10.1.0.5"})
    before, waiting = replace(SOURCE, move=MOVE), replace(TARGET, move=MOVE)
    assert (addresses(before, "n1"), addresses(waiting, "n2")) == (own, frozenset())
    assert (addresses(TARGET, "n1"), addresses(TARGET, "n2")) == (None, own)
    assert addresses(before, "n3") is None


def test_no_copy_goes_to_a_target_that_is_not_known_yet() -> None:
    assert also_on(row(replace(SOURCE, move=MOVE), "n3", "n2")) is None
