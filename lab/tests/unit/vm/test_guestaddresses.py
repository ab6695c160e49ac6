"""Which of a guest's addresses does port security drop?"""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lab.tests.unit.vm import manifests
from weft.api.status import NetworkStatus
from weft_lab.vm import guestaddresses, machine
from weft_lab.vm.agentclient import GuestInterface

VM = machine.read(manifests.instance())
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


@pytest.mark.parametrize(
    ("has", "given", "told"),
    [
        (("10.1.0.5/24",), ("10.1.0.5",), ""),
        (("10.1.0.5/24", "fe80::1/64"), ("10.1.0.5",), ""),
        (("172.16.9.9/24", "10.1.0.5/24"), ("10.1.0.5",), "the guest has 172.16.9.9, but"),
        (("172.16.9.9/24",), (), ""),
        ((), ("10.1.0.5",), ""),
    ],
)
def test_reported(has: tuple[str, ...], given: tuple[str, ...], told: str) -> None:
    (bridged,) = [nic for nic in VM.nics if nic.binding == "bridge"]
    (index,) = [place for place, nic in enumerate(VM.nics) if nic is bridged]
    guest = [GuestInterface("eth", MACS[index].upper(), has)]
    for interface in (bridged.pod_interface, f"net{bridged.position}"):
        attached = [NetworkStatus("default/blue", interface, tuple(map(ip_address, given)))]
        found = list(guestaddresses.differing(VM, MACS, guest, attached))
        assert [told in each for each in found] == ([True] if told else [])
