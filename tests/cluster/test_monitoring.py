"""Monitoring of the chart with a real Prometheus: targets, alerts and the dashboard's queries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.cluster import prometheus
from tests.cluster.chart import NAMESPACE, Chart
from tests.cluster.cluster import until
from tests.cluster.prometheus import Prometheus
from tests.cluster.room import Room, policy_for
from weft.metrics import PREFIX

pytestmark = pytest.mark.cluster
MONITORED = (
    f"monitoring.serviceMonitor.create=true,monitoring.serviceMonitor.interval={prometheus.INTERVAL}"
    ",monitoring.rules.create=true,monitoring.dashboard.create=true"
)
WAITS = "5s"  # of every alert; the chart's own are minutes
NETWORK, FULL = "measured", "full"
COMPARED = re.compile(r"(\s*(==|<|>)\s*[\d.]+| offset 1d)(?=$|\s+and\b|\))")


@pytest.fixture(scope="module")
def busy(here: Room) -> Iterator[Room]:
    """Pods on two nodes, and a policy that drops packets: what metrics tell of."""
    own = here.access.machines("starts Prometheus beside the control plane")
    for each in prometheus.crds():
        here.access.kubectl("apply", "-f", "-", data=each)
        here.access.wait("condition=Established", f"crd/{each['metadata']['name']}")
    Chart(here.access).upgrade(MONITORED)
    policy = {
        "apiVersion": "k8s.cni.cncf.io/v1beta1",
        "kind": "MultiNetworkPolicy",
        "metadata": {
            "name": "closed",
            "namespace": here.namespace,
            "annotations": policy_for(f"{here.namespace}/{NETWORK}"),
        },
        "spec": {"podSelector": {"matchLabels": {"who": "server"}}, "policyTypes": ["Ingress"]},
    }
    here.apply(here.nad(NETWORK, "10.62.0.0/24"), here.nad(FULL, "10.63.0.0/30"), policy)
    first, second = (each.name for each in own.nodes[:2])
    here.run(
        here.pod("left", NETWORK, node=first),
        here.pod("right", NETWORK, node=second),
        here.pod("server", NETWORK, node=second, labels={"who": "server"}),
    )
    yield here
    Chart(here.access).upgrade()
    for each in prometheus.crds():
        here.access.kubectl("delete", "crd", each["metadata"]["name"])


@pytest.fixture(scope="module")
def watched(busy: Room) -> Iterator[Prometheus]:
    """Prometheus as the operator would configure it, which has read all targets."""
    made = Prometheus(busy.access.machines())
    listed = busy.access.get("-n", NAMESPACE, "servicemonitors")["items"]
    (rule,) = busy.access.get("-n", NAMESPACE, "prometheusrules")["items"]
    scraped = [config for each in listed for config in prometheus.scrapes(each)]
    made.start(scraped, prometheus.rules(rule, WAITS))
    try:
        until(lambda: len(up(made)) == 4, "two managers and two agents to be read")
        yield made
    finally:
        made.stop()


def up(made: Prometheus) -> list[tuple[str, str]]:
    return [
        (each["labels"]["job"], each["labels"]["node"])
        for each in made.targets()
        if each["health"] == "up"
    ]


def test_all_targets_are_read(watched: Prometheus) -> None:
    found = watched.targets()
    assert {each["health"] for each in found} == {"up"}, found
    assert sorted(job for job, _ in up(watched)) == ["cluster-manager"] * 2 + ["node"] * 2
    assert {node for job, node in up(watched) if job == "node"} == {"node1", "node2"}
    assert len(watched.evaluate("weft_process_uptime_seconds")) == len(found)


def expressions(room: Room, watched: Prometheus) -> Iterator[tuple[str, str]]:
    """Of alerts, as Prometheus has loaded them, and of the panels in the dashboard's ConfigMap."""
    for group in watched.ask("rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] == "ok", rule
            yield rule["name"], rule["query"]
    stored = room.access.get("-n", NAMESPACE, "configmap", "weft-dashboard")["data"]["weft.json"]
    for panel in json.loads(stored)["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_every_expression_reads_series_that_are_there(busy: Room, watched: Prometheus) -> None:
    """Each has a value when its comparison is left out: metrics, labels and their values exist."""
    assert not busy.reaches("left", busy.addresses("server")[0])  # drops are counted
    named = watched.ask("label/__name__/values")
    found = list(expressions(busy, watched))
    assert len(found) > 20
    for name, expression in found:
        watched.evaluate(expression)
        assert set(re.findall(rf"{PREFIX}\w+", expression)) <= set(named), name
        # A call is refused where a pod asks for what cannot be; none does here.
        whole = COMPARED.sub("", expression).replace('result="refused"', 'result="ok"')
        watched.has(whole)


def test_no_alert_fires_while_all_is_well(watched: Prometheus) -> None:
    watched.has("min(weft_tunnel_up) == 1")
    until(lambda: not watched.firing(), "alerts to end")


def test_a_dead_underlay_is_reported_and_its_end(busy: Room, watched: Prometheus) -> None:
    own = busy.access.machines()
    until(lambda: not watched.firing(), "alerts to end")
    control = own.machine("control")
    both = {("WeftTunnelDown", each) for each in ("node1", "node2")}
    control.run("ip", "link", "set", "node2-eth1", "down")
    try:
        until(lambda: watched.firing() >= both, "the alert")
        assert watched.firing() == both
        assert not busy.reaches("left", busy.addresses("right")[0])
    finally:
        control.run("ip", "link", "set", "node2-eth1", "up")
    until(lambda: not watched.firing(), "the end of the alert")
    busy.answers("left", busy.addresses("right")[0])


def test_a_full_network_is_reported_by_its_name(busy: Room, watched: Prometheus) -> None:
    names = [f"guest-{number}" for number in range(4)]
    busy.apply(*(busy.pod(each, FULL) for each in names))
    until(lambda: watched.firing(), "the alert")
    until(lambda: "WeftAddressesExhausted" in {each for each, _ in watched.firing()}, "the alert")
    assert {network for _, network in watched.firing()} == {FULL}
    busy.delete(*names)
    until(lambda: not watched.firing(), "the end of the alerts")
