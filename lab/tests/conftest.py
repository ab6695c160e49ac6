"""Fixtures of lab/tests/support and of tests/support, for all tests of the lab."""

from pathlib import Path

import pytest

from tests.conftest import pytest_plugins as of_weft

pytest_plugins = [
    *of_weft,
    *(
        f"lab.tests.support.{path.stem}"
        for path in sorted((Path(__file__).parent / "support").glob("*.py"))
        if path.stem != "__init__"
    ),
]
# Before any of them is imported by another, or its assertions would tell less.
pytest.register_assert_rewrite(*pytest_plugins)
