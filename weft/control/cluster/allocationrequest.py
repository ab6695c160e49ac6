"""Defines what an allocation is asked for: an attachment, and what it depends on. Pure."""

from __future__ import annotations

from typing import NamedTuple

from weft import model
from weft.alloc.nodesubnets import NodeSubnets


class AllocationRequest(NamedTuple):
    """An attachment to allocate for, and what that depends on."""

    network: model.Network
    attachment: model.Attachment
    claim: model.IpamClaim | None
    subnets: NodeSubnets | None

    @property
    def segment(self) -> model.Segment:
        return model.Segment(self.network.name, self.subnets.node if self.subnets else "")
