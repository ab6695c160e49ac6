"""Lists invalid NADs by the network that each is about. Pure."""

from __future__ import annotations

from weft.control import index
from weft.control.cluster.nads import Nad
from weft.model import ObjectKey


class InvalidNads:
    """The keys of NADs with a `problem`, by `Nad.about`."""

    def __init__(self) -> None:
        self._keys: dict[str, set[ObjectKey]] = {}  # by network
        self._about: dict[ObjectKey, str] = {}  # by key: the network

    def set(self, key: ObjectKey, nad: Nad | None) -> set[str]:
        """Takes in a NAD, None: it is gone; returns the networks whose lists may differ."""
        before, after = self._about.pop(key, None), None
        if before is not None:
            index.discard(self._keys, before, key)
        if nad is not None and nad.problem:
            self._about[key] = after = nad.about
            self._keys.setdefault(after, set()).add(key)
        return {name for name in (before, after) if name is not None}

    def of(self, network: str) -> frozenset[ObjectKey]:
        """Returns the invalid NADs of a network."""
        return frozenset(self._keys.get(network, ()))

    def networks(self) -> frozenset[str]:
        """Returns the networks that invalid NADs are about."""
        return frozenset(self._keys)
