"""Reads what guests report of their NICs at VirtualMachineInstances; pure.

A guest says what it likes: what is no plain address is passed over, and a guest speaks for its own
machine alone, whatever MACs it names.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_interface
from typing import Any

from weft import model

MOST = 64  # addresses of one NIC; a guest may report any number

# (namespace, machine, MAC in lower case)
Key = tuple[str, str, str]


def nics(instances: Iterable[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
    """The entries of `status.interfaces` of all instances."""
    return {
        (
            str(each["metadata"]["namespace"]),
            str(each["metadata"]["name"]),
            str(nic.get("mac", "")).lower(),
        ): nic
        for each in instances
        for nic in (each.get("status") or {}).get("interfaces") or ()
    }


def of(nic: Mapping[str, Any]) -> tuple[model.Interface, ...]:
    """The addresses of an entry of `status.interfaces`, at most MOST, as the guest writes them."""
    return parsed(nic.get("ipAddresses") or (nic.get("ipAddress"),))


def parsed(texts: Iterable[object]) -> tuple[model.Interface, ...]:
    """The addresses among texts, at most MOST. A scope (RFC 4007) means something to the guest
    alone, and may be any text."""
    return tuple(itertools.islice(_parsed(texts), MOST))


def _parsed(texts: Iterable[object]) -> Iterator[model.Interface]:
    for text in texts:
        if isinstance(text, str) and "%" not in text:
            with contextlib.suppress(ValueError):
                yield ip_interface(text)
