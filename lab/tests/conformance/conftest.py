"""The suite runs only where it is asked for: a Kubernetes is more than a test may start unasked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.tests.conformance import cases, servers
from lab.tests.conformance.servers import Api

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "cluster" in (config.option.markexpr or ""):
        return
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    if ours:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if not item.path.is_relative_to(HERE)]


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Api]]:
    """The real server and the lab's, with weft's types."""
    with (
        servers.real(tmp_path_factory.mktemp("real")) as real,
        servers.lab(tmp_path_factory.mktemp("lab")) as lab,
    ):
        for api in (real, lab):
            cases.prepare(api)
        yield real, lab
