"""Chooses the MAC of a NIC that asks for none.

A function of its address, or of its owner where it has none: the same on every run, and for a
machine that is started anew, so that neighbours need not learn another (ADR 0075). Whether one is
free is `ledger.py`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from weft import model, names

# Locally administered, unicast: what ovn-kubernetes' own MACs begin with.
_PREFIX = b"\x0a\x58"


def _text(tail: bytes) -> str:
    return (_PREFIX + tail).hex(":")


def candidates(addresses: tuple[model.Interface, ...], owner: str) -> Iterator[str]:
    """MACs for a NIC, best first, without end.

    First the one by the field's rule: from the IPv4 address, else a hash of the IPv6 address.
    The rest, needed where somebody has asked for that very MAC, are hashes of the owner.
    """
    for address in (*(a for a in addresses if a.version == 4), *addresses)[:1]:
        yield names.address_mac(address.ip)
    attempt = 0
    while True:
        yield _text(_digest(f"{owner}#{attempt}" if attempt else owner))
        attempt += 1


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]
