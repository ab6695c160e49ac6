"""Defines what a change of networks has other parts of the cluster's state take in. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field

from weft.model import ObjectKey


@dataclass(slots=True)
class Affected:
    """Changes for other parts of the state: NADs whose `lookup` may differ, ended networks,
    namespaces that may use other networks, NADs that `is_held` is true for now."""

    nads: dict[ObjectKey, None] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    namespaces: dict[str, None] = field(default_factory=dict)
    held: dict[ObjectKey, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.nads or self.ended or self.namespaces or self.held)
