"""Reads numbers with units from a command's options."""

from __future__ import annotations

import re
from collections.abc import Mapping

from weft import errors

SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
BYTES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
_NUMBER = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([A-Za-z]*)", re.ASCII)


def seconds(command: str, option: str, text: str) -> float:
    """Seconds, from a text as 30s or 10m. Raise InvalidInput."""
    return _measured(command, option, text, SECONDS)


def bytes(command: str, option: str, text: str) -> int:
    """Bytes, from a text as 100Mi. Raise InvalidInput."""
    return int(_measured(command, option, text, BYTES))


def _measured(command: str, option: str, text: str, units: Mapping[str, float]) -> float:
    found = _NUMBER.fullmatch(text)
    if found is None or found[2] not in units:
        known = ", ".join(each for each in units if each)
        rule = f"must be a number, with one of these units: {known}"
        raise errors.InvalidInput(command, option, text, rule)
    return float(found[1]) * units[found[2]]
