"""How figures are written; how they are served is tested in tests/real."""

from __future__ import annotations

from weft.app import health


def test_figures_are_prometheus_text() -> None:
    assert health.render_figures({"pods": 3.0, "networks": 1.0}) == (
        "# TYPE weft_networks gauge\nweft_networks 1\n# TYPE weft_pods gauge\nweft_pods 3\n"
    )


def test_a_process_knows_its_own_weight() -> None:
    found = health.process_figures(0.0)
    assert found["process_peak_resident_bytes"] > 1_000_000
