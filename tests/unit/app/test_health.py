"""How figures are written; how they are served is tested in tests/real."""

from __future__ import annotations

from weft.app import health
from weft.metrics import Histogram, Labels, Metric


def test_figures_are_prometheus_text() -> None:
    assert health.render_figures({Metric.PODS: 3.0, Metric.AUDITED: 1.0}) == (
        "# HELP weft_audited Packets that policies in audit mode would have dropped.\n"
        "# TYPE weft_audited counter\n"
        "weft_audited 1\n"
        "# HELP weft_pods Pods that it knows.\n"
        "# TYPE weft_pods gauge\n"
        "weft_pods 3\n"
    )


def test_labels_are_escaped_and_sorted() -> None:
    members: dict[Labels, float] = {("blue",): 2.0, ('a"\\b',): 1.0}
    text = health.render_figures({Metric.NETWORK_MEMBERS: members})
    assert text.splitlines()[2:] == [
        'weft_network_members{network="a\\"\\\\b"} 1',
        'weft_network_members{network="blue"} 2',
    ]


def test_a_histogram_counts_up_to_each_bound() -> None:
    found = Histogram()
    for seconds in (0.002, 0.2, 60.0):
        found.observe(seconds, "Pod")
    lines = health.render_figures({Metric.RECONCILE: found}).splitlines()
    assert lines[1] == "# TYPE weft_reconcile_seconds histogram"
    counts = {x.partition("le=")[2].partition("}")[0]: x.split()[-1] for x in lines if "le=" in x}
    assert (counts['"0.001"'], counts['"0.0025"'], counts['"0.25"']) == ("0", "1", "2")
    assert (counts['"30"'], counts['"+Inf"']) == ("2", "3")
    assert lines[-1] == 'weft_reconcile_seconds_count{kind="Pod"} 3'
    assert lines[-2] == 'weft_reconcile_seconds_sum{kind="Pod"} 60.202'


def test_a_process_knows_its_own_weight() -> None:
    found = health.process_figures(0.0)
    memory = found[Metric.MEMORY]
    assert isinstance(memory, int)
    assert memory > 1_000_000
