"""Finds the folders from which Python processes of a lab import weft and weft_lab."""

from __future__ import annotations

import os
from pathlib import Path

import weft
import weft_lab

PACKAGES = tuple(Path(package.__path__[0]).resolve() for package in (weft, weft_lab))


def value(*others: str | None) -> str:
    """A PYTHONPATH: the folders that hold the two packages, then `others` that are not empty."""
    own = dict.fromkeys(str(package.parent) for package in PACKAGES)
    return os.pathsep.join([*own, *filter(None, others)])
