"""Alerts and dashboard name metrics and labels that weft's processes export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from weft.metrics import HISTOGRAM, PREFIX, Metric

FILES = Path(__file__).resolve().parents[2] / "deploy/chart/files"
GIVEN = {"node", "job", "le"}  # labels by the scrape, and of histograms


def alerts() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert rule["for"]
            yield rule["alert"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


EXPRESSIONS = [*alerts(), *panels()]


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[each[0] for each in EXPRESSIONS])
def test_an_expression_reads_what_there_is(name: str, expression: str) -> None:
    known = {f"{PREFIX}{each}": each for each in Metric}
    labels = set(GIVEN)
    found = re.findall(rf"{PREFIX}\w+", expression)
    assert found
    for each in found:
        metric = known.get(each) or known.get(re.sub(r"_(bucket|count|sum)$", "", each))
        assert metric is not None, f"{each} is no metric"
        assert (metric.type == HISTOGRAM) == (each not in known), f"{each}: see its type"
        labels |= set(metric.labels)
    used = {
        label for names in re.findall(r"by \(([^)]*)\)", expression) for label in names.split(",")
    }
    used |= set(re.findall(r"(\w+)=\"", expression))
    assert {each.strip() for each in used} <= labels


def test_a_metric_is_named_for_its_type() -> None:
    for each in Metric:
        assert (each.type == HISTOGRAM) <= each.endswith("_seconds")
