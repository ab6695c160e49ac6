"""Which of a machine's pods has the port of both, in the zones of source, target and others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from weft import model
from weft.control.zone import moves
from weft.migration import Migration, Move
from weft.model import ObjectKey
from weft.ovn import ports

NAD = "default/blue"
ALLOCATION = model.Allocation(
    "0a:58:0a:01:00:05", (ip_interface("10.1.0.5/24"),), 5, logical_port="default.blue_default_vm:5"
)


def key(name: str) -> ObjectKey:
    return ObjectKey("default", name)


def port(
    name: str, node: str, *, source: str = "", active: bool = False, uid: str = ""
) -> model.Port:
    migration = Migration(source, uid or f"uid-{source}", active) if source else None
    allocation = replace(ALLOCATION, migration=migration)
    ref = model.PodRef(key(name), f"uid-{name}")
    nad = ObjectKey.parse(NAD)
    return model.Port(ref, NAD, nad, "blue", node, allocation)


SOURCE, TARGET = port("a", "n1"), port("b", "n2", source="a")
MOVE = Move("n1", "n2", "uid-b")
PORT_KEY = ports.port_key(SOURCE)


def held(here: str, *requested: model.Port) -> dict[str, model.Port]:
    """What each pod has in the zone of node `here`, whichever came last."""
    outcomes = []
    for order in (requested, requested[::-1]):
        made, has = moves.Moves(here), dict[str, model.Port]()
        for each in order:
            for pod, found, _ in made.set_ports(each.pod.key, {ports.port_key(each): each}):
                has.pop(pod.name, None)
                if PORT_KEY in found:
                    has[pod.name] = found[PORT_KEY]
        outcomes.append(has)
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


@pytest.mark.parametrize("here", ["n1", "n3"])
def test_before_the_switch_the_source_has_it_and_others_copy(here: str) -> None:
    assert held(here, SOURCE, TARGET) == {"a": replace(SOURCE, move=MOVE)}


def test_before_the_switch_it_waits_in_the_targets_zone() -> None:
    assert held("n2", SOURCE, TARGET) == {"b": replace(TARGET, move=MOVE)}


@pytest.mark.parametrize("here", ["n1", "n2", "n3"])
def test_after_the_switch_the_target_has_it(here: str) -> None:
    moved = port("b", "n2", source="a", active=True)
    assert held(here, SOURCE, moved) == {"b": moved}


@pytest.mark.parametrize("here", ["n1", "n2", "n3"])
def test_a_target_that_is_alone_has_it(here: str) -> None:
    """The source has ended, whether or not anybody said that the machine moved."""
    assert held(here, TARGET) == {"b": TARGET}


@pytest.mark.parametrize("here", ["n1", "n2", "n3"])
def test_a_source_whose_target_is_gone_has_it_as_before(here: str) -> None:
    made = moves.Moves(here)
    for each in (SOURCE, TARGET):
        made.set_ports(each.pod.key, {PORT_KEY: each})
    now = made.set_ports(key("b"), {})
    assert {pod.name: found for pod, found, _ in now} == {"b": {}, "a": {PORT_KEY: SOURCE}}


def test_the_next_migration_starts_from_the_last_target() -> None:
    first = port("b", "n2", source="a", active=True)
    second = port("c", "n1", source="b")
    back = Move("n2", "n1", "uid-c")
    assert held("n3", first, second) == {"b": replace(first, move=back)}
    assert held("n1", first, second) == {"c": replace(second, move=back)}
    assert held("n3", SOURCE, first, second) == {"b": replace(first, move=back)}


def test_nothing_that_is_not_signed_relates_two_pods() -> None:
    """Duplicates then decide: the port of each stays as it was requested."""
    rival = port("b", "n2")
    assert held("n3", SOURCE, rival) == {"a": SOURCE, "b": rival}
    other = port("b", "n2", source="a", uid="of another incarnation")
    assert held("n3", SOURCE, other) == {"a": SOURCE, "b": other}


def test_a_target_on_the_sources_node_waits_without_rows() -> None:
    assert held("n1", SOURCE, port("b", "n1", source="a")) == {"a": SOURCE}


def test_another_tunnel_key_is_another_port() -> None:
    """A pod that calls itself the machine's has an allocation of its own."""
    own = replace(ALLOCATION, tunnel_id=6, logical_port="default.blue_default_vm:6")
    stranger = replace(TARGET, allocation=own)
    assert ports.port_key(stranger) != PORT_KEY
    made = moves.Moves("n3")
    made.set_ports(SOURCE.pod.key, {PORT_KEY: SOURCE})
    now = made.set_ports(key("b"), {ports.port_key(stranger): stranger})
    assert [(each.pod, each.ports) for each in now] == [
        (key("b"), {ports.port_key(stranger): stranger})
    ]


def test_a_waiting_target_comes_where_its_source_comes_among_duplicates() -> None:
    made = moves.Moves("n2")
    made.set_ports(SOURCE.pod.key, {PORT_KEY: SOURCE}, ("False", "old"))
    now = made.set_ports(TARGET.pod.key, {PORT_KEY: TARGET}, ("True", "new"))
    assert [each.precedence for each in now if each.ports] == [("False", "old")]
