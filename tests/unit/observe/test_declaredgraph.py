"""The graph of networks that Kubernetes objects alone make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support import objects as made
from tests.unit.observe.test_members import entry, nad, pod
from weft.observe import declaredgraph, overview
from weft.observe.graph import PortPod
from weft.observe.members import Objects
from weft.policy import evaluator

NODES = [{"metadata": {"name": f"node{number}"}} for number in (1, 2)]


def objects(*policies: object) -> Objects:
    held = {"default/blue": entry(1, "10.9.0.1/24")}
    return Objects(
        nads=[nad("blue", "blue")],
        namespaces=[{"metadata": {"name": "default"}}],
        pods=[pod("a", "blue", held, labels={"app": "a"}), pod("plain", "", {})],
        policies=list(policies),  # type: ignore[arg-type]
    )


def test_members_are_ports_of_their_networks_switch() -> None:
    graph = declaredgraph.build(objects(), NODES)
    (switch,) = graph.of("blue")
    (port,) = switch.ports
    assert port.owner == PortPod("default", "a")
    assert port.addresses == ("10.9.0.1",)
    assert not port.isolated
    assert {"node1", "node2"} <= {zone.name for zone in graph.zones}


def test_policies_are_at_the_ports_that_they_select() -> None:
    policy = made.policy("closed", app="a", ingress=[], networks="default/blue")
    other = made.policy("other", app="b", ingress=[], networks="default/blue")
    (switch,) = declaredgraph.build(objects(policy, other), NODES).of("blue")
    assert switch.ports[0].isolated == ("ingress",)
    assert switch.ports[0].policies == ("default/closed",)


def test_it_folds_into_an_overview_without_faults() -> None:
    folded = overview.fold(declaredgraph.build(objects(), []))
    assert folded.size == 1
    assert not folded.sections[0].faulty


def test_a_pod_that_does_not_run_yet_is_no_fault() -> None:
    found = objects()
    pending = [{**each, "status": {"phase": "Pending"}} for each in found.pods]
    folded = overview.fold(declaredgraph.build(replace(found, pods=pending), []))
    assert folded.size == 1
    assert not folded.sections[0].faulty


def test_pods_with_the_same_labels_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, selects = [], evaluator.selects

    def counted(*given: Any) -> bool:
        calls.append(given)
        return selects(*given)

    monkeypatch.setattr(evaluator, "selects", counted)
    policy = made.policy("closed", app="a", ingress=[], networks="default/blue")
    pods = [
        pod(
            f"a{each}",
            "blue",
            {"default/blue": entry(each, f"10.9.0.{each}/24")},
            labels={"app": "a"},
        )
        for each in range(1, 40)
    ]
    (switch,) = declaredgraph.build(replace(objects(policy), pods=pods), NODES).of("blue")
    assert {port.policies for port in switch.ports} == {("default/closed",)}
    assert len(calls) == 1


def test_nothing_declared_is_an_empty_graph() -> None:
    assert declaredgraph.build(Objects(), []).networks == ()
