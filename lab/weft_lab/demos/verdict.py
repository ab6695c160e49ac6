"""What a demo checked: one line of its table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is claimed, of whom or of which pair, and what was seen."""

    claim: str
    where: str
    holds: bool
    seen: str
