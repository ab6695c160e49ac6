"""Chooses the MAC of a NIC that asks for none.

Pure. The MAC is a function of the address, or of the owner if there is no address. So it is equal
on every run and for a restarted virtual machine, and neighbours need not learn another one (ADR
0075). `ledger.py` knows which MACs are free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from weft import model, names

# Locally administered unicast; the prefix of ovn-kubernetes' MACs.
_PREFIX = b"\x0a\x58"


def _text(tail: bytes) -> str:
    return (_PREFIX + tail).hex(":")


def candidates(addresses: tuple[model.Interface, ...], owner: str) -> Iterator[str]:
    """Yields MACs for a NIC in order of preference, without end.

    The first follows ovn-kubernetes' rule: from the IPv4 address, else a hash of the IPv6
    address. The others are hashes of the owner, for the case that somebody requested that MAC.
    """
    for address in (*(a for a in addresses if a.version == 4), *addresses)[:1]:
        yield names.address_mac(address.ip)
    attempt = 0
    while True:
        yield _text(_digest(f"{owner}#{attempt}" if attempt else owner))
        attempt += 1


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]
