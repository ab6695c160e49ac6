"""The cluster that the suites run on: one of our own for the whole run, or the user's."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.cluster import chart, life, missing, spec
from tests.cluster.access import Access, of_user
from tests.cluster.cluster import Cluster
from tests.cluster.room import Room, room
from weft import errors

HERE = Path(__file__).parent
# The first one ends by removing rights that the chart brings, the last ones remove weft.
FIRST = ("test_manifests.py",)
LAST = ("test_chart.py", "test_host_switch.py", "test_without_helm.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """These run only where they are asked for: a cluster is more than a test may start unasked."""
    if "cluster" in (config.option.markexpr or ""):
        items.sort(key=lambda item: _turn(item.path.name))
        return
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    if ours:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if not item.path.is_relative_to(HERE)]


def _turn(module: str) -> int:
    if module in FIRST:
        return -1
    return LAST.index(module) + 1 if module in LAST else 0


@pytest.fixture(scope="session")
def access() -> Iterator[Access]:
    """A cluster with nodes that are Ready; without weft."""
    if kubeconfig := os.environ.get("KUBECONFIG"):
        yield of_user(Path(kubeconfig))
        return
    if name := os.environ.get("WEFT_CLUSTER_NAME"):  # one that `python -m tests.cluster up` made
        found = life.running(name)
        assert found is not None, f"no cluster named {name} runs"
        yield Access(found.kubeconfig, str(found.kubernetes / "kubectl"), found)
        return
    lifeline, held = os.pipe()
    wanted = spec.Cluster(
        f"test-{os.getpid()}",
        nodes=int(os.environ.get("WEFT_CLUSTER_NODES", "2")),
        release=os.environ.get("WEFT_CLUSTER_RELEASE", "newest"),
        multus=spec.Multus(os.environ.get("WEFT_CLUSTER_MULTUS", "thick")),
    )
    cluster, lacks = _up(wanted, lifeline)
    try:
        yield Access(cluster.kubeconfig, str(cluster.kubernetes / "kubectl"), cluster, lacks)
    finally:
        os.close(held)
        os.close(lifeline)
        life.down(wanted.name)


def _up(wanted: spec.Cluster, lifeline: int) -> tuple[Cluster, str]:
    """As much of the cluster as can be had: all of it, or its control plane and why no more."""
    lacks = ""
    for nodes in (wanted.nodes, 0):
        try:
            made = life.up(dataclasses.replace(wanted, nodes=nodes), lifeline=lifeline)
        except errors.Unavailable as error:
            if not missing.may_be():
                raise
            lacks = lacks or f"{error} ({error.hint})"
        else:
            return made, lacks
    pytest.skip(f"there can be no cluster here: {lacks}")


@pytest.fixture(scope="session")
def weft(access: Access) -> Access:
    """The cluster with weft: installed by us on our own, as it is on another."""
    if access.missing:
        pytest.skip(f"the cluster has no nodes: {access.missing}")
    made = chart.Chart(access)
    if access.own is None:
        made.ready()
    elif not os.environ.get("WEFT_CLUSTER_NAME") or not chart.is_installed(access):
        access.own.import_image(chart.image())
        made.upgrade()
    return access


@pytest.fixture(scope="module")
def here(weft: Access, request: pytest.FixtureRequest) -> Iterator[Room]:
    """A namespace for the tests of a module."""
    with room(weft, request.module.__name__.rpartition(".")[2].replace("_", "-")) as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test shows what the cluster's parts said last."""
    report = yield
    found = getattr(item, "funcargs", {}).get("access")
    if report.failed and isinstance(found, Access):
        report.sections.extend(found.evidence())
    return report
