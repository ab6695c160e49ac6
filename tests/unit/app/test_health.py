"""How figures are written; how they are served is tested in tests/real."""

from __future__ import annotations

from weft.app import health
from weft.metrics import Metric


def test_figures_are_prometheus_text() -> None:
    assert health.render_figures({Metric.PODS: 3.0, Metric.AUDITED: 1.0}) == (
        "# HELP weft_audited Packets that policies in audit mode would have dropped.\n"
        "# TYPE weft_audited counter\n"
        "weft_audited 1\n"
        "# HELP weft_pods Pods that it knows.\n"
        "# TYPE weft_pods gauge\n"
        "weft_pods 3\n"
    )


def test_a_process_knows_its_own_weight() -> None:
    found = health.process_figures(0.0)
    assert found[Metric.MEMORY] > 1_000_000
