"""What a node is asked to capture, and how much of it, as one line of JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from weft import errors
from weft.observe.capture import expression, pcapng

COMMAND = expression.COMMAND
# The most that may be asked for; what is asked for by default.
MOST_PACKETS, MOST_SECONDS, MOST_BYTES = 10_000_000, 86_400.0, 4 << 30
PACKETS, SECONDS, BYTES = 100_000, 300.0, 100 << 20
# The reader says every PULSE seconds that it is there. After IDLE seconds without it the node
# ends the capture: a connection that is cut does not always say so.
PULSE, IDLE = 5.0, 40.0
ALIVE, END = b"\n", b"end\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """The capture ends at the first of these: packets, seconds, bytes of the file.

    `length`: how many bytes of each packet are kept.
    """

    packets: int = PACKETS
    seconds: float = SECONDS
    bytes: int = BYTES
    length: int = pcapng.LONGEST


@dataclass(frozen=True, slots=True)
class Order:
    """`port`: the logical port; `pod`: "<namespace>/<name>", which must own it; `nic` names the NIC
    in the file, `filter` is the text of the filter. `ovs`: the database's address, "" for the
    usual."""

    port: str
    pod: str
    nic: str
    filter: str = ""
    limits: Limits = Limits()
    ovs: str = ""

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def parse(line: bytes) -> Order:
    """Raise ValueError, TypeError or KeyError for anything but what `Order.line` writes."""
    found: Mapping[str, Any] = json.loads(line)
    return Order(**{**found, "limits": Limits(**found["limits"])})


def limits(packets: int, seconds: float, size: int, length: int) -> Limits:
    """The limits that the options of the command say. Raise InvalidInput."""
    for option, value, most, unit in (
        ("--count", packets, MOST_PACKETS, "packets"),
        ("--duration", seconds, MOST_SECONDS, "seconds"),
        ("--size", size, MOST_BYTES, "bytes"),
        ("--snaplen", length, pcapng.LONGEST, "bytes"),
    ):
        if not 0 < value <= most:
            rule = f"must be more than 0 and at most {most:g} {unit}"
            raise errors.InvalidInput(COMMAND, option, value, rule)
    return Limits(packets, seconds, size, length)
