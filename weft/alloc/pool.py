"""Keeps which addresses of one subnet are free, and which comes next.

Pure. `ledger.py` keeps the owners.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from weft import model
from weft.alloc import ring, subnets


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a pool is; `total` and `free` count only addresses that are allocated in turn."""

    subnet: model.Subnet
    total: int
    used: int
    free: int


class Pool:
    """The addresses of `subnet` without `excluded`; `reserved` ones only on request."""

    __slots__ = ("_beyond", "_excluded", "_make", "_ranges", "_ring", "subnet")

    def __init__(
        self,
        subnet: model.Subnet,
        excluded: Iterable[model.Subnet] = (),
        reserved: Iterable[model.Subnet] = (),
    ) -> None:
        self.subnet = subnet
        self._make = IPv4Address if subnet.version == 4 else IPv6Address
        self._excluded = tuple(part for part in excluded if part.version == subnet.version)
        self._ranges = subnets.available(subnet, (*self._excluded, *reserved))
        self._ring = ring.Ring(self._ranges.count)
        self._beyond: set[int] = set()  # taken on request, outside of the addresses given in turn

    def peek(self, besides: Container[model.Address] = ()) -> model.Address | None:
        """Returns the next free address in turn, without `besides`; None if none is free."""
        passed: list[int] = []
        while (number := self._ring.peek()) is not None:
            address = self._make(self._ranges.at(number))
            if address not in besides:
                break
            self._ring.take(number)
            passed.append(number)
        for each in passed:
            self._ring.free(each)
        return None if number is None else address

    def take(self, address: model.Address, *, in_turn: bool = False) -> bool:
        """Takes `address`; returns False if it is taken. `in_turn`: `peek` returned it."""
        value = int(address)
        number = self._ranges.number(value)
        if number is not None:
            return self._ring.take(number, in_turn=in_turn)
        if value in self._beyond:
            return False
        self._beyond.add(value)
        return True

    def release(self, address: model.Address) -> bool:
        """Frees `address`; returns False if it is not taken."""
        value = int(address)
        number = self._ranges.number(value)
        if number is not None:
            return self._ring.free(number)
        if value not in self._beyond:
            return False
        self._beyond.remove(value)
        return True

    def objection(self, address: model.Address) -> tuple[str, str] | None:
        """Returns (rule, remedy) if nobody may request `address`, free or not; else None."""
        if address not in self.subnet:
            return f"lies outside of subnet {self.subnet}", f"choose an address of {self.subnet}"
        first, last = subnets.hosts(self.subnet)
        if int(address) < first:
            return f"is the address of subnet {self.subnet} itself", "choose another address"
        if int(address) > last:
            return f"is the broadcast address of subnet {self.subnet}", "choose another address"
        for part in self._excluded:
            if address in part:
                rule = f"lies in {part}, which is in excludeSubnets"
                return rule, "choose another address, or take it out of excludeSubnets"
        return None

    def outside(self) -> list[model.Address]:
        """Returns the taken addresses that are not allocated in turn."""
        return [self._make(each) for each in sorted(self._beyond)]

    @property
    def usage(self) -> Usage:
        """How many addresses are taken and free now."""
        total, taken = self._ring.size, self._ring.taken
        return Usage(self.subnet, total, taken + len(self._beyond), total - taken)
