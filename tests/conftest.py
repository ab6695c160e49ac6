"""Every module of tests/support is a plugin: its fixtures are there for all tests."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    f"tests.support.{path.stem}"
    for path in sorted((Path(__file__).parent / "support").glob("*.py"))
    if path.stem != "__init__"
]
# Before any of them is imported by another, or its assertions would tell less.
pytest.register_assert_rewrite(*pytest_plugins)

# A busy machine is no reason to fail: no test of ours is a timed one. The same code gets the same
# examples each time; `--hypothesis-profile=default` looks for others.
settings.register_profile(
    "weft",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("weft")
