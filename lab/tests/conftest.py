"""Hypothesis runs as it does in tests/; assertions of lab/tests/support say what they compared."""

import pytest

import tests.conftest  # noqa: F401

pytest.register_assert_rewrite("lab.tests.support")
