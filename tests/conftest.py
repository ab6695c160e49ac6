"""How Hypothesis runs, and whose assertions say what they compared."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.support")

# A busy machine is no reason to fail: no test of ours is a timed one. The same code gets the same
# examples each time; `--hypothesis-profile=default` looks for others.
settings.register_profile(
    "weft",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("weft")
