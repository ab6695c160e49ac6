"""Measures the rate of address allocation, and checks that no address is given twice.

The pool is measured where a naive one is slow: three tenths of its addresses excluded, nine
tenths of the rest taken, and then one given for each one freed. Beside it runs a scan over one
byte an address, the loop that C does for Python (`bytearray.find`); its memory is the prefix's.
"""

from __future__ import annotations

import itertools
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from ipaddress import ip_network

from bench import figures
from weft import model
from weft.alloc import ledger, pool
from weft.model import ObjectKey

CHURN = 20_000
REPEATS = 5
NETWORKS = 16  # that a pod is attached to
PODS = 1_000
TURNS = 1_000_000
ALLOCATIONS_PER_SECOND = 50_000


def excluded(cidr: str) -> tuple[model.Subnet, ...]:
    """Some three tenths of a subnet, in pieces all over it."""
    subnet = ip_network(cidr)
    size, length = subnet.num_addresses // 256, subnet.prefixlen + 8
    pieces = (number for number in range(256) if number % 16 in (3, 7, 8, 11, 15))
    return tuple(ip_network((int(subnet[0]) + piece * size, length)) for piece in pieces)


def filled(cidr: str, withheld: tuple[model.Subnet, ...]) -> tuple[pool.Pool, list[model.Address]]:
    addresses = pool.Pool(ip_network(cidr), withheld)
    held = []
    for _ in range(addresses.usage.total * 9 // 10):
        due = addresses.peek()
        assert due is not None
        addresses.take(due, in_turn=True)
        held.append(due)
    return addresses, held


def churn(cidr: str, withheld: tuple[model.Subnet, ...]) -> Callable[[], float]:
    """Addresses freed and given a second, at nine tenths full."""
    addresses, held = filled(cidr, withheld)
    chance = random.Random(1)

    def measure() -> float:
        leaving = [chance.randrange(len(held)) for _ in range(CHURN)]
        start = time.perf_counter()
        for number in leaving:
            addresses.release(held[number])
            due = addresses.peek()
            assert due is not None
            addresses.take(due, in_turn=True)
            held[number] = due
        return CHURN / (time.perf_counter() - start)

    return measure


def scan(size: int) -> Callable[[], float]:
    """The same course of events over one byte an address."""
    taken = bytearray(size)
    taken[: size * 9 // 10] = b"\1" * (size * 9 // 10)
    held = list(range(size * 9 // 10))
    chance = random.Random(1)
    cursor = 0

    def measure() -> float:
        nonlocal cursor
        leaving = [chance.randrange(len(held)) for _ in range(CHURN)]
        start = time.perf_counter()
        for number in leaving:
            taken[held[number]] = 0
            due = taken.find(0, cursor)
            if due < 0:
                due = taken.find(0)
            taken[due] = 1
            cursor = due + 1
            held[number] = due
        return CHURN / (time.perf_counter() - start)

    return measure


def attach() -> float:
    """Attachments allocated a second, 16 to each pod: address, MAC and port key."""
    books = []
    for number in range(NETWORKS):
        subnet = ip_network(f"10.{number}.0.0/16")
        spec = model.NetworkSpec(f"n{number}", model.Topology.LAYER2, 1400, (subnet,))
        books.append(ledger.Ledger(model.Network(spec, number + 1)))
    attachments = [
        model.Attachment(ObjectKey("ns", f"n{i}"), f"ns/n{i}", f"net{i + 1}")
        for i in range(NETWORKS)
    ]
    start = time.perf_counter()
    for pod in range(PODS):
        for book, attachment in zip(books, attachments, strict=True):
            book.allocate(ledger.AllocationOwner(attachment.key, f"uid-{pod}"), attachment)
    return NETWORKS * PODS / (time.perf_counter() - start)


def memory(cidr: str, count: int) -> float:
    """Bytes that a pool costs with `count` addresses taken."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    addresses = pool.Pool(ip_network(cidr))
    for _ in range(count):
        due = addresses.peek()
        assert due is not None
        addresses.take(due, in_turn=True)
    cost = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return cost


def duplicates() -> int:
    """Addresses given while held, over a million turns of a pool that is nearly full."""
    addresses, held = filled("10.0.0.0/20", ())
    holders = set(held)
    chance = random.Random(2)
    found = 0
    for number in itertools.islice(iter(lambda: chance.randrange(len(held)), None), TURNS):
        addresses.release(held[number])
        holders.discard(held[number])
        due = addresses.peek()
        assert due is not None
        found += due in holders
        addresses.take(due, in_turn=True)
        holders.add(due)
        held[number] = due
    return found


def run() -> Iterator[figures.Figure]:
    withheld = excluded("10.0.0.0/16")
    size = pool.Pool(ip_network("10.0.0.0/16"), withheld).usage.total
    speeds = figures.interleave(
        REPEATS,
        v4=churn("10.0.0.0/16", withheld),
        v6=churn("fd00::/64", excluded("fd00::/112")),
        scan=scan(size),
        attach=attach,
    )
    each = "addresses freed and given at 90 % full"
    unit = "alloc/s"
    yield figures.Figure(f"{each}, /16", speeds["v4"], unit, at_least=ALLOCATIONS_PER_SECOND)
    yield figures.Figure(f"{each}, /64", speeds["v6"], unit, at_least=ALLOCATIONS_PER_SECOND)
    yield figures.Figure(f"{each}, /16", speeds["v4"], unit, "bytearray scan", speeds["scan"])
    yield figures.Figure(
        f"attachments of pods with {NETWORKS} networks",
        speeds["attach"],
        unit,
        at_least=ALLOCATIONS_PER_SECOND,
    )
    yield figures.Figure(
        "memory of a /8 with 10,000 taken",
        memory("10.0.0.0/8", 10_000),
        "B",
        "a /18",
        memory("10.0.0.0/18", 10_000),
        at_most=1.1,
    )
    yield figures.Figure("addresses given twice in 1,000,000 turns", duplicates(), "", at_most=0)
