"""Parses Kubernetes quantities, of bytes or bits: "1024M", "1Gi", "0.5Gi", "128974848"."""

from __future__ import annotations

import math
import re
from decimal import Decimal

UNITS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** (i + 1) for i, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Decimal(1024) ** (i + 1) for i, letter in enumerate("KMGTPE")},
}
FORM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([kMGTPEm]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?")
LARGEST = (1 << 63) - 1  # as Kubernetes has it
_LONGEST = 64  # characters


def parse(value: object) -> int:
    """The number, rounded up. Raises ValueError for what is not a quantity."""
    text = str(value).strip()
    found = FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or isinstance(value, bool):
        raise ValueError(f"{text[:_LONGEST]!r} is not a quantity such as 512Mi or 1G")
    number, unit, exponent = found.groups()
    scale = Decimal(10) ** int(exponent) if exponent else UNITS[unit or ""]
    amount = math.ceil(Decimal(number) * scale)
    if amount > LARGEST:
        raise ValueError(f"{text!r} is more than {LARGEST}")
    return amount
