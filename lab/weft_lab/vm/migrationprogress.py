"""Judges whether a migration still makes progress, by KubeVirt's two deadlines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GIB = 1 << 30


class Progress:
    """Judges by KubeVirt's two deadlines, in seconds; 0 is none."""

    def __init__(self, deadlines: tuple[float, float]) -> None:
        self._stuck, self._whole = deadlines
        self._least, self._since, self._began = -1, 0.0, 0.0

    def verdict(self, info: dict[str, Any], now: float) -> str:
        """Why the migration must end, by QEMU's figures; "" if it need not."""
        self._began = self._began or now
        ram = info.get("ram")
        remaining = ram.get("remaining") if isinstance(ram, dict) else None
        left = remaining if isinstance(remaining, int) else 0
        if self._least < 0 or left < self._least:
            self._least, self._since = left, now
        if self._stuck and now - self._since > self._stuck:
            seconds = int(now - self._since)
            return f"Live migration stuck for {seconds} seconds and has been aborted"
        if self._whole and now - self._began > self._whole:
            seconds = int(self._whole)
            return f"Live migration is not completed after {seconds} seconds and has been aborted"
        return ""


def cause(info: Mapping[str, Any]) -> str:
    """Why QEMU gave a migration up, in its words."""
    return str(info.get("error-desc") or "QEMU gave the migration up")[:300]


def deadlines(settings: Mapping[str, Any] | None, memory: int) -> tuple[float, float]:
    """Seconds without progress, and for all of it; 0 for none. `memory`: bytes of the guest."""
    found = settings or {}
    whole = float(found.get("completionTimeoutPerGiB") or 0) * max(1.0, memory / GIB)
    return float(found.get("progressTimeout") or 0), whole
