"""Counts the free addresses of a network in Kubernetes objects. Pure."""

from __future__ import annotations

from ipaddress import ip_interface

from weft import errors, model
from weft.alloc.ledger import AllocationOwner, Ledger
from weft.api import ipamclaim
from weft.observe import members
from weft.observe.members import Objects


def count(objects: Objects, spec: model.NetworkSpec) -> int | None:
    """Free addresses in the family that has fewer; None without subnets, and for a layer3 network,
    of which nodes have parts."""
    if not spec.subnets or spec.topology is model.Topology.LAYER3:
        return None
    there = members.on(spec.name, objects)
    held = {ip for each in there for ip in each.endpoint.addresses if not ip.is_link_local}
    for claim in objects.claims:
        try:
            parsed = ipamclaim.parse(claim)
        except errors.InvalidInput:
            continue
        if parsed.network == spec.name:
            held |= {each.ip for each in parsed.addresses}
    ledger = Ledger(model.Network(spec, 0))
    for address in held:
        allocation = model.Allocation("", (ip_interface(address),))
        ledger.reserve(AllocationOwner(str(address)), allocation)
    free: dict[int, int] = {}
    for usage in ledger.usage():
        free[usage.subnet.version] = free.get(usage.subnet.version, 0) + usage.free
    return min(free.values(), default=None)
