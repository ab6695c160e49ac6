"""Reads the setting that declares the cluster's own network, the same for both processes.

    10.128.0.0/14/23[,fd00:10:128::/48/64]

An empty setting means that another plugin is the cluster's primary network: weft then serves
secondary networks only.
"""

from __future__ import annotations

from weft import model, names, ranges
from weft.api import cidrs, fields

_SUBJECT = "setting --cluster-subnets"
_TAKEN = [("weft's join switch", subnet) for subnet in ranges.JOIN]


def parse(text: str, *, mtu: int) -> model.Network | None:
    """The default network, None where weft is not the primary; raises the first problem."""
    if not text.strip():
        return None
    reader = fields.Fields(_SUBJECT, "", {"subnets": text}, [])
    subnets, lengths = cidrs.routed(reader, _TAKEN)
    if reader.problems:
        raise reader.problems[0]
    spec = model.NetworkSpec(
        name=names.DEFAULT_NETWORK,
        topology=model.Topology.LAYER3,
        mtu=mtu,
        subnets=subnets,
        host_prefix=lengths,
        role="primary",
    )
    return model.Network(spec, 0)
