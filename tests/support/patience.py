"""How long does a test hope for what is to come? No limit of speed: it only ends what hangs."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds


def await_true(holds: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """For what tells nobody that it has come: asks again and again."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, f"not yet: {what}"
        time.sleep(0.1)
