"""weft by its chart: packets on two nodes, an upgrade that keeps them, a removal without rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import chart, goparts, kubevirt, missing
from tests.cluster.access import Access, Object
from tests.cluster.chart import CHART, Chart, address, network, pings, pod
from tests.cluster.cluster import until
from tests.support import objects
from tools import manifest
from weft import names
from weft.api.conditions import MACHINE_CONFLICT as CONFLICT
from weft.kube import resources

pytestmark = pytest.mark.cluster
A, B, OUTSIDER = "chart-a", "chart-b", "chart-outsider"
PODS = (A, B, OUTSIDER)
BUSY = 2  # pings of 0.1 s that a machine with too much to do may lose


@pytest.fixture(scope="module")
def before(access: Access) -> dict[str, dict[str, str]]:
    """The nodes without weft, which other suites may have left there."""
    if access.own is not None and chart.is_installed(access):
        Chart(access).helm("uninstall", "weft", "-n", chart.NAMESPACE, "--ignore-not-found")
    return {node.name: chart.traces(node) for node in access.machines().nodes}


@pytest.fixture(scope="module")
def installed(access: Access, before: dict[str, dict[str, str]]) -> Iterator[Chart]:
    """weft, with two pods on one network and a third on another."""
    own = access.machines()
    own.import_image(chart.image())
    made = Chart(access)
    made.upgrade()
    access.kubectl("apply", "-f", "-", data=network("chart-blue", "10.9.0.0/24"))
    access.kubectl("apply", "-f", "-", data=network("chart-red", "10.9.0.0/24"))
    first, second, *_ = access.nodes()
    for one in (
        *(pod(A, first, "chart-blue"), pod(B, second, "chart-blue")),
        pod(OUTSIDER, second, "chart-red"),
    ):
        access.kubectl("apply", "-f", "-", data=one)
    access.wait("condition=Ready", *(f"pod/{name}" for name in PODS))
    # A switch may drop the first packet to a node that has just appeared.
    access.inside(A, "ping", "-c3", "-W5", address(access, B))
    yield made
    access.kubectl("delete", "pod", *PODS, "--ignore-not-found")
    made.helm("uninstall", "weft", "-n", chart.NAMESPACE, "--ignore-not-found")


def test_the_chart_is_linted(access: Access) -> None:
    output = Chart(access).helm("lint", "--strict", "--kube-version=1.32.0", str(CHART))
    assert "0 chart(s) failed" in output


def test_the_manifest_is_the_chart_and_the_server_takes_it(access: Access) -> None:
    access.machines("makes the namespace of weft")
    with missing.skipped():
        helm = str(goparts.build(goparts.HELM) / "helm")
    for path, text in manifest.render(helm).items():
        assert path.read_text() == text, "run python -m tools.manifest"
    namespace = access.kubectl("create", "namespace", chart.NAMESPACE, "--dry-run=client", "-oyaml")
    access.kubectl("apply", "-f", "-", data=namespace)
    for path in manifest.render(helm):
        access.kubectl("apply", "--dry-run=server", "-f", str(path))


def test_a_value_that_the_chart_does_not_know_is_refused(access: Access) -> None:
    for wrong in ("node.datapth=auto", "openvswitch.mode=mine", "manager.replicas=none"):
        output = Chart(access).helm("template", str(CHART), f"--set={wrong}", ok=False)
        assert "values don't meet the specifications of the schema" in output


def test_pods_of_two_nodes_reach_each_other_and_no_other_network(installed: Chart) -> None:
    access = installed.access
    assert chart.NONE_LOST in access.inside(A, "ping", "-c3", "-W5", address(access, B))
    same = "10.9.0.0/24 on both networks"
    assert address(access, OUTSIDER) != address(access, B), same
    output = access.inside(OUTSIDER, "ping", "-c2", "-W2", address(access, B), ok=False)
    assert "100% packet loss" in output


def test_an_upgrade_and_a_rollback_keep_the_traffic(installed: Chart) -> None:
    access = installed.access
    with pings(access, A, address(access, B)) as seen:
        installed.upgrade("log.level=debug", "log.format=text")
        installed.helm("rollback", "weft", "-n", chart.NAMESPACE)
        installed.ready()
    assert len(seen.answered) > 50
    assert len(seen.lost) <= BUSY


def test_all_of_a_nodes_daemons_replaced_at_once_keep_the_traffic(installed: Chart) -> None:
    access = installed.access
    with pings(access, A, address(access, B)) as seen:
        installed.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=node")
        installed.ready()
    assert len(seen.answered) > 20
    assert len(seen.lost) <= BUSY


def test_a_ping_that_is_lost_is_seen(installed: Chart) -> None:
    """The control of the two before: the switch of the other node ends, and packets with it."""
    access = installed.access
    there = access.get("pod", B)["spec"]["nodeName"]
    with pings(access, A, address(access, B)) as seen:
        installed.kubectl(
            *("delete", "pod", "-l", "app.kubernetes.io/component=openvswitch"),
            f"--field-selector=spec.nodeName={there}",
        )
        installed.answers(A, address(access, B))
    assert len(seen.lost) > BUSY


def test_a_plugin_that_is_lost_is_there_again(installed: Chart) -> None:
    node = installed.access.machines().nodes[0]
    node.run("rm", "/opt/cni/bin/weft-cni")
    until(
        lambda: node.run("test", "-x", "/opt/cni/bin/weft-cni", check=False).returncode == 0,
        "the plugin",
    )


def test_no_container_has_more_rights_than_the_chart_says(installed: Chart) -> None:
    for each in installed.access.get("pods", "-n", chart.NAMESPACE)["items"]:
        for container in each["spec"]["containers"]:
            context = container["securityContext"]
            assert not context.get("privileged")
            assert context["readOnlyRootFilesystem"]
            assert context["capabilities"]["drop"] == ["ALL"]


def machines() -> tuple[Object, ...]:
    """Two that ask for one MAC, and a claim that weft made for one of them."""
    both = (
        objects.machine(name, {"lan": "chart-blue"}, macs={"lan": "02:00:00:00:00:07"})
        for name in ("one", "two")
    )
    claim = objects.named(
        resources.IPAMCLAIMS, "one.lan", annotations={names.CLAIM_MADE_FOR: "one"}
    )
    claim["metadata"]["finalizers"] = [names.CLAIM_PROTECTION]
    return *both, {**claim, "spec": {"network": "chart-blue", "interface": ""}}


def conditions_of(access: Access, machine: str) -> list[str]:
    listed = (access.get("vm", machine).get("status") or {}).get("conditions") or ()
    return [each["type"] for each in listed]


def test_it_is_not_removed_under_running_pods_and_leaves_nothing_without_them(
    installed: Chart, before: dict[str, dict[str, str]]
) -> None:
    access = installed.access
    installed.helm("uninstall", "weft", "-n", chart.NAMESPACE, ok=False)
    output = installed.kubectl("logs", "job/weft-uninstall-check")
    assert "3 running pods have networks of weft and would lose them" in output
    assert chart.NONE_LOST in access.inside(A, "ping", "-c2", "-W5", address(access, B))
    access.kubectl("delete", "pod", *PODS)
    with kubevirt.defined(access):
        for each in machines():
            access.kubectl("create", "-f", "-", data=each)
        until(lambda: CONFLICT in conditions_of(access, "two"), "the conflict of two machines")
        installed.helm("uninstall", "weft", "-n", chart.NAMESPACE)
        assert CONFLICT not in conditions_of(access, "two")
        access.kubectl("delete", "ipamclaim", "one.lan")
    for node in access.machines().nodes:
        assert chart.traces(node) == before[node.name]
    # Helm does not wait until the pods of its last hook have ended.
    until(
        lambda: not access.get("-n", chart.NAMESPACE, "pods")["items"],
        "the end of the pods that removed weft",
    )
    assert chart.left_in(access) == []
    for name in ("chart-blue", "chart-red"):
        access.kubectl("delete", "net-attach-def", name, "--timeout=30s")
