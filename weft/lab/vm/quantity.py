"""How many bytes is a Kubernetes quantity ("1024M", "1Gi", "0.5Gi", "128974848")?"""

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
FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:([kMGTPEm]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?")


def parse(value: object) -> int:
    """Bytes, rounded up. Raises ValueError for what is not a quantity."""
    found = FORM.fullmatch(str(value).strip())
    if found is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a quantity such as 512Mi or 1G")
    number, unit, exponent = found.groups()
    scale = Decimal(10) ** int(exponent) if exponent else UNITS[unit or ""]
    return math.ceil(Decimal(number) * scale)
