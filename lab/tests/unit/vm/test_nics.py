"""Which NICs a running guest gets and loses, and into which root port one goes."""

from __future__ import annotations

import pytest

from weft_lab.vm import machine, nicplaces, nics


def nic(name: str, network: str = "default/red", binding: str = "bridge") -> machine.Nic:
    return machine.Nic(name, binding, network, machine.pod_interface(name))


def plugged(*listed: machine.Nic, spares: tuple[int, ...] = ()) -> dict[str, nics.PluggedNic]:
    buses = [f"spare{port}" if port >= 0 else "port0" for port in spares] or ["port0"] * len(listed)
    return {
        each.name: nics.PluggedNic(each, number, "02:00:00:00:00:01", False, bus)
        for number, (each, bus) in enumerate(zip(listed, buses, strict=True))
    }


LAN, MORE, OWN = nic("lan"), nic("more"), nic("default", "", "masquerade")


@pytest.mark.parametrize(
    ("desired", "there", "comes", "goes"),
    [
        ([LAN], [LAN], [], []),
        ([LAN, MORE], [LAN], ["more"], []),
        ([LAN], [LAN, MORE], [], ["more"]),
        # The pod's own network neither comes nor goes while the machine runs.
        ([LAN, OWN], [LAN], [], []),
        ([LAN], [OWN, LAN], [], []),
    ],
)
def test_what_comes_and_goes(
    desired: list[machine.Nic], there: list[machine.Nic], comes: list[str], goes: list[str]
) -> None:
    asked = {each.name: each for each in desired}
    assert [each.name for each in nics.to_plug(asked, plugged(*there))] == comes
    assert [each.nic.name for each in nics.to_unplug(asked, plugged(*there))] == goes


@pytest.mark.parametrize(("cards", "spares"), [(0, 0), (1, 3), (3, 1), (4, 0), (7, 0)])
def test_root_ports_are_kept_for_four_nics(cards: int, spares: int) -> None:
    assert nicplaces.spare_ports(cards) == spares


def test_a_nic_goes_into_the_first_free_port() -> None:
    there = plugged(LAN, MORE, nic("third"), spares=(-1, 0, 2))
    assert nics.free_port(there, 3) == 1
    assert nics.free_port(there, 1) == -1
