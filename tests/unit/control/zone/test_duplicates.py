"""Who holds an address that several pods claim, and how much work it is to keep that true."""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.allocated import allocated_pod
from weft import model
from weft.control.zone import duplicates, state
from weft.control.zone.objects import AllocatedPod
from weft.model import ObjectKey

FEW, MANY = 100, 1000
NETWORK = model.Network(model.NetworkSpec("blue", model.Topology.LAYER2, 1300), 1)
Precedence = tuple[str, ...]


def port(pod: str, last: int, nth: int = 0, later: int = 0) -> model.Port:
    """The nth attachment of a pod, at 10.1.0.`last`, with a MAC that no other has."""
    attachment = f"default/blue/{nth}" if nth else "default/blue"
    mac = f"0a:58:{int(pod):04x}:{nth:02x}:01"
    mac = f"{mac[:8]}:{mac[8:]}"
    addresses = (ip_interface(f"10.1.0.{last}/24"),)
    allocation = model.Allocation(mac, addresses, tunnel_id=1, given=later)
    ref = model.PodRef(model.ObjectKey("default", pod), f"uid-{pod}")
    return model.Port(ref, attachment, ObjectKey("default", "blue"), "blue", "node1", allocation)


class World:
    """Duplicates, and beside them which pod should hold which address, counted anew each time."""

    def __init__(self) -> None:
        self.duplicates = duplicates.Duplicates()
        self.given: dict[ObjectKey, tuple[dict[str, model.Port], Precedence]] = {}
        self.held: dict[ObjectKey, set[str]] = {}

    def give(self, pod: str, lasts: tuple[int, ...], precedence: Precedence = ()) -> None:
        ports = {f"{pod}.{nth}": port(pod, last, nth) for nth, last in enumerate(lasts)}
        own = ObjectKey("default", pod)
        self.given[own] = ports, precedence
        for key in self.duplicates.set_ports(own, ports, precedence):
            self.held[key] = set(self.duplicates.accepted(key, lambda _: NETWORK))

    def should_be_held(self) -> dict[ObjectKey, set[str]]:
        first: dict[object, tuple[Any, ...]] = {}
        for key, (ports, precedence) in self.given.items():
            for name, each in ports.items():
                mine = (precedence, key, each.key), name
                address = each.allocation.addresses
                first[address] = min(first.get(address, mine), mine)
        winners = {name for _, name in first.values()}
        return {key: winners & set(ports) for key, (ports, _) in self.given.items()}


CHANGES = st.lists(
    st.tuples(
        st.sampled_from("12345"),
        st.lists(st.integers(1, 3), max_size=3).map(tuple),
        st.sampled_from([("False", "1"), ("False", "2"), ("True", "1")]),
    ),
    max_size=40,
)


@given(CHANGES)
def test_the_first_has_it_whatever_came_and_went(
    changes: list[tuple[str, tuple[int, ...], Precedence]],
) -> None:
    world = World()
    for change in changes:
        world.give(*change)
        assert world.held == world.should_be_held()
        for key, (ports, _) in world.given.items():
            lacking = {ports[name].key for name in ports.keys() - world.held[key]}
            assert set(world.duplicates.refused(key)) == lacking


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_who_was_given_it_later_has_it_although_another_runs_and_is_older(
    order: tuple[str, str],
) -> None:
    """The earlier signature was put back: an address is given only when nobody has it."""
    found = duplicates.Duplicates()
    ports = {"1": port("1", 1), "2": port("2", 1, later=3)}
    precedence = {"1": ("False", "2026-01-01"), "2": ("True", "2026-02-02")}
    for each in order:
        found.set_ports(ObjectKey("default", each), {each: ports[each]}, precedence[each])
    held = {
        each: set(found.accepted(ObjectKey("default", each), lambda _: NETWORK)) for each in "12"
    }
    assert held == {"1": set(), "2": {"2"}}
    found.set_ports(ObjectKey("default", "2"), {})
    assert found.accepted(ObjectKey("default", "1"), lambda _: NETWORK) == {"1": ports["1"]}


def test_the_holder_is_named_as_it_is_when_asked() -> None:
    world = World()
    for pod in "123":
        world.give(pod, (7,))
    assert "10.1.0.7 is held by Pod default/1" in str(refused(world, "3"))
    assert world.duplicates.take_changed() == {ObjectKey("default", "2"), ObjectKey("default", "3")}
    world.give("1", ())
    assert "10.1.0.7 is held by Pod default/2" in str(refused(world, "3"))
    assert world.duplicates.refused(ObjectKey("default", "2")) == {}
    assert world.duplicates.take_changed() == {ObjectKey("default", "2")}, (
        "the third is none, as before"
    )


def refused(world: World, pod: str) -> Exception:
    return world.duplicates.refused(ObjectKey("default", pod))["default/blue"]


class Counted(str):
    """A text of which the profiler sees each comparison."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __lt__(self, other: str) -> bool:
        return str.__lt__(self, other)

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)


def calls(act: Callable[[], None]) -> int:
    """How many functions run for it, comparisons of precedence among them."""
    count = 0

    def seen(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


def claimant(number: int, later: str = "", *, is_running: bool = False) -> AllocatedPod:
    one = port(str(number), 7)
    return allocated_pod(
        one.pod,
        "node1",
        {one.key: one.allocation},
        is_running=is_running,
        created=Counted(f"{number:06}{later}"),
    )


class Crowd:
    """A zone all of whose pods claim one address."""

    def __init__(self, size: int) -> None:
        self.zone = state.Zone("node1", "chassis-1")
        self.zone.set_nad(ObjectKey("default", "blue"), state.DeclaredNetwork(NETWORK))
        self.size = size
        self.come()

    def put(self, number: int, pod: AllocatedPod | None) -> None:
        self.zone.set_pod(ObjectKey("default", f"{number}"), pod)
        self.zone.duplicates.take_changed()

    def come(self) -> None:
        for number in range(self.size):
            self.put(number, claimant(number))

    def go(self) -> None:
        for number in range(self.size):
            self.put(number, None)

    def go_last_first(self) -> None:
        for number in reversed(range(self.size)):
            self.put(number, None)

    def come_last_first(self) -> None:
        self.go()
        for number in reversed(range(self.size)):
            self.put(number, claimant(number))

    def take_turns(self) -> None:
        """Each of them runs for a while, and has it then."""
        for number in range(self.size):
            self.put(number, claimant(number, is_running=True))
            assert [one.pod.name for one in self.zone.ports_on("blue")] == [str(number)]
            self.put(number, claimant(number))

    def change_in_the_middle(self) -> None:
        for nth in range(self.size):
            self.put(self.size // 2, claimant(self.size // 2, (".5", "")[nth % 2]))


@pytest.mark.parametrize(
    "acts",
    [
        Crowd.go,
        Crowd.go_last_first,
        Crowd.come_last_first,
        Crowd.take_turns,
        Crowd.change_in_the_middle,
    ],
    ids=lambda act: act.__name__,
)
def test_a_change_costs_the_same_however_many_claim(acts: Callable[[Crowd], None]) -> None:
    few, many = Crowd(FEW), Crowd(MANY)
    of_few = calls(lambda: acts(few)) / FEW
    of_many = calls(lambda: acts(many)) / MANY
    assert of_many < 2 * of_few
