"""The programs that tests run, the same that the lab runs; fetched once for all workers."""

from __future__ import annotations

import pytest

from weft_lab.runtime import toolchain as parts


@pytest.fixture(scope="session")
def toolchain() -> parts.Toolchain:
    return parts.ensure()
