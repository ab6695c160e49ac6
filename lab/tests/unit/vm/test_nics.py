"""Which NICs a running guest gets and changes, by what its pod has."""

from __future__ import annotations

from dataclasses import replace

from weft_lab.vm import nics
from weft_lab.vm.machine import Nic
from weft_lab.vm.nics import PluggedNic

LAN = Nic("lan", "bridge", "team/blue", "pod1", 1)
MORE = Nic("more", "bridge", "team/blue", "pod2", 2)
ELSEWHERE = replace(MORE, network="team/red")


def plugged(*every: Nic) -> dict[str, PluggedNic]:
    return {
        nic.name: PluggedNic(nic, number, "02:00:00:00:00:01", False, f"spare{number}")
        for number, nic in enumerate(every)
    }


def named(*every: Nic) -> dict[str, Nic]:
    return {nic.name: nic for nic in every}


def test_a_nic_is_plugged_when_its_pods_status_has_the_interface() -> None:
    """Before that it may be there half made: who takes it over then has its MAC set once more."""
    assert nics.to_plug(named(LAN, MORE), plugged(LAN), {"pod1"}) == []
    assert nics.to_plug(named(LAN, MORE), plugged(LAN), {"pod1", "pod2"}) == [MORE]


def test_a_nic_goes_to_another_network_when_its_pods_status_has_the_new_interface() -> None:
    there = plugged(LAN, MORE)
    assert nics.to_rejoin(named(LAN, ELSEWHERE), there, {"pod1"}) == []
    found = nics.to_rejoin(named(LAN, ELSEWHERE), there, {"pod1", "pod2"})
    assert found == [(there["more"], ELSEWHERE)]
    assert nics.to_rejoin(named(LAN, MORE), there, {"pod1", "pod2"}) == []


def test_a_nic_of_the_pods_own_network_is_neither_plugged_nor_moved() -> None:
    own = Nic("default", "masquerade", "", "eth0")
    assert nics.to_plug(named(own), {}, {"eth0"}) == []
