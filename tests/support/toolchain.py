"""The programs that tests run, the same that the lab runs; fetched once for all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from weft_lab.runtime import toolchain as parts


@pytest.fixture(scope="session")
def toolchain() -> parts.Toolchain:
    from weft_lab.runtime import toolchain as parts  # only tests of real daemons need the lab

    return parts.ensure()
