"""Finds addresses of a guest that its network did not give it: port security drops them.

Pure. Port security lets link-local addresses pass, and on a network without subnets all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_interface

from weft import model
from weft.api import status
from weft_lab.vm import machine
from weft_lab.vm.agentclient import GuestInterface


def differing(
    vm: machine.Machine,
    macs: Sequence[str],
    guest: Sequence[GuestInterface],
    attached: Sequence[status.NetworkStatus],
) -> Iterator[str]:
    """A sentence for each card; `macs` are the cards', `attached` the pod's network-status."""
    given = {each.interface: each.ips for each in attached}
    for nic, mac in zip(vm.nics, macs, strict=False):
        if nic.binding != "bridge":
            continue
        allocated = given.get(nic.pod_interface) or given.get(f"net{nic.position}") or ()
        seen = next((one for one in guest if one.mac.lower() == mac.lower()), None)
        strays = [str(each) for each in _foreign(seen, allocated)] if seen and allocated else []
        if strays:
            yield (
                f"interface {nic.name}: the guest has {', '.join(strays)}, but {nic.network} gave "
                f"it {', '.join(map(str, allocated))}: port security drops what it sends from "
                "others (ask for the address in the manifest, or use a network without subnets)"
            )


def _foreign(seen: GuestInterface, allocated: Sequence[model.Address]) -> Iterator[model.Address]:
    for text in seen.addresses:
        address = ip_interface(text).ip
        if not address.is_link_local and address not in allocated:
            yield address
