"""Decides what becomes of tests that need a part that cannot be had: they are skipped, or fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from weft import errors

REQUIRED = "WEFT_CLUSTER_REQUIRED"  # environment variable: no part may be missing


def may_be() -> bool:
    return not os.environ.get(REQUIRED)


@contextmanager
def skipped() -> Iterator[None]:
    """Skip the test, with the reason, if a part is missing; fail if all are required."""
    try:
        yield
    except errors.Unavailable as error:
        if not may_be():
            raise
        pytest.skip(f"{error} ({error.hint})")
