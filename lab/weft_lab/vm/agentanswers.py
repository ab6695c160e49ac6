"""Reads answers of a guest's agent into bounded facts. Pure.

A guest may answer anything. Only printable, short text reaches a status, a terminal or a log, and a
limited number of interfaces and addresses. Readers raise ValueError, TypeError, KeyError or
AttributeError for an answer that no agent gives.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any

LONGEST = 256  # characters of one text
MOST = 128  # interfaces, and addresses of each
_NONE = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command in the guest ended."""

    status: int
    output: bytes
    errors: bytes = b""

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class GuestInterface:
    """A card as the guest sees it; addresses are "<address>/<length>"."""

    name: str
    mac: str
    addresses: tuple[str, ...]


def text(value: object) -> str:
    """One line without control characters."""
    if not isinstance(value, str):
        raise TypeError("is not a text")
    return "".join(letter if letter.isprintable() else "?" for letter in value[:LONGEST])


def hostname(answer: Any) -> str:
    return text(answer.get("host-name", ""))


def system(answer: Any) -> dict[str, str]:
    """Those fields of guest-get-osinfo that are texts."""
    fields = list(answer.items())[:MOST]
    return {text(key): text(value) for key, value in fields if isinstance(value, str)}


def interfaces(answer: Any) -> list[GuestInterface]:
    if not isinstance(answer, list):
        raise TypeError("is not a list")
    cards = [one for one in answer[:MOST] if one.get("hardware-address", _NONE) != _NONE]
    return [_interface(card) for card in cards]


def _interface(card: Mapping[str, Any]) -> GuestInterface:
    listed = list(card.get("ip-addresses") or ())[:MOST]
    return GuestInterface(
        name=text(card["name"]),
        mac=text(card["hardware-address"]),
        addresses=tuple(_address(one) for one in listed),
    )


def _address(one: Mapping[str, Any]) -> str:
    """As the guest writes it, if it is one."""
    written = text(f"{one['ip-address']}/{one['prefix']}")
    ip_interface(written)
    return written


def started(answer: Any) -> int:
    """The number of a process that runs now."""
    return int(answer["pid"])


def ended(answer: Any) -> Outcome | None:
    """The outcome of a process; None while it runs."""
    if not answer["exited"]:
        return None
    status = answer["exitcode"] if "exitcode" in answer else 128 + int(answer.get("signal", 0))
    return Outcome(
        status=int(status),
        output=base64.b64decode(answer.get("out-data", "")),
        errors=base64.b64decode(answer.get("err-data", "")),
    )
