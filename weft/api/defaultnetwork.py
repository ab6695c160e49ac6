"""Parses the setting that declares the default network, for the cluster manager and the agents.

    10.128.0.0/14/23[,fd00:10:128::/48/64]

If it is empty, another plugin serves the primary network, and weft serves secondary networks only.
"""

from __future__ import annotations

from weft import model, names, ranges
from weft.api import cidrs, fields

_SUBJECT = "setting --cluster-subnets"
_TAKEN = [("weft's join switch", subnet) for subnet in ranges.JOIN]


def parse(text: str, *, mtu: int) -> model.Network | None:
    """The default network, None if `text` is empty; raises the first problem as InvalidInput."""
    if not text.strip():
        return None
    reader = fields.Fields(_SUBJECT, "", {"subnets": text}, [])
    subnets, lengths = cidrs.layer3_subnets(reader, _TAKEN)
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
