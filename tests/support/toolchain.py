"""The programs that tests run, the same that the lab runs; fetched once for all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from weft_lab.runtime import toolchain as toolchains


@pytest.fixture(scope="session")
def toolchain() -> toolchains.Toolchain:
    from weft_lab.runtime import toolchain as toolchains  # only tests of real daemons need the lab

    return toolchains.ensure()
