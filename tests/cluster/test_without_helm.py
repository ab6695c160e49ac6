"""weft without Helm: installed by a manifest, and removed by another, as the pages say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import chart
from tests.cluster.access import Access, Object
from tests.cluster.chart import ROOT, Chart, address, network, pod
from tests.cluster.cluster import PATIENCE, until

pytestmark = pytest.mark.cluster
A, B, OUTSIDER = "manifest-a", "manifest-b", "manifest-outsider"
PODS = (A, B, OUTSIDER)
NADS = ("manifest-blue", "manifest-red")
DECLARED = "manifest-green"
CRDS = sorted((ROOT / "deploy/chart/crds").glob("*.yaml"))
INSTALL = re.compile(r"^## With kubectl\n(.*?)^## ", re.MULTILINE | re.DOTALL)
# What a node without the kernel's Open vSwitch needs, as the page says.
ARGUMENT = "--tunnel-interface="
KINDS = {"nodes", "net-attach-def", "secrets", "leases", "daemonsets", "userdefinednetworks"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who types the commands of a page in a checkout of their own, of which `deploy` is there."""

    access: Access
    folder: Path

    def types(self, command: str, *, may_fail: bool = False) -> str:
        """What the command prints; fails if it does, unless it may."""
        programs = self.folder / "bin"
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.folder,
            env={
                **os.environ,
                "KUBECONFIG": str(self.access.kubeconfig),
                "PATH": f"{programs}:{os.environ['PATH']}",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert may_fail or not done.returncode, f"{command}: {done.stdout}"
        return done.stdout


@pytest.fixture(scope="module")
def before(access: Access) -> dict[str, dict[str, str]]:
    """The nodes without weft, which other suites may have left there."""
    if access.own is not None and chart.is_installed(access):
        Chart(access).helm("uninstall", "weft", "-n", chart.NAMESPACE)
        access.kubectl("delete", "namespace", chart.NAMESPACE)
    return {node.name: chart.traces(node) for node in access.machines().nodes}


@pytest.fixture(scope="module")
def reader(
    access: Access,
    before: dict[str, dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Reader]:
    """weft by its manifest, with two pods on a network, one on another, and a declared network."""
    own = access.machines()
    own.import_image(chart.image())
    made = Reader(access, tmp_path_factory.mktemp("checkout"))
    (made.folder / "bin").mkdir()
    (made.folder / "bin/kubectl").symlink_to(access.program)
    shutil.copytree(ROOT / "deploy", made.folder / "deploy")
    manifest = made.folder / "deploy/weft.yaml"
    manifest.write_text(manifest.read_text().replace(f"{ARGUMENT}\n", f"{ARGUMENT}eth1\n"))
    create, apply = commands_to_install()
    for line in made.types(create, may_fail=True).splitlines():
        assert line.endswith("created") or "AlreadyExists" in line, line
    made.types(apply)
    Chart(access).ready()
    first, second, *_ = access.nodes()
    for one in (
        *(network(name, "10.9.0.0/24,fd00:9::/64") for name in NADS),
        declared(),
        *(pod(A, first, NADS[0]), pod(B, second, NADS[0]), pod(OUTSIDER, second, NADS[1])),
    ):
        access.kubectl("apply", "-f", "-", data=one)
    access.wait("condition=Ready", *(f"pod/{name}" for name in PODS))
    access.wait("condition=NetworkCreated", f"udn/{DECLARED}")
    yield made
    access.kubectl("delete", "pod", *PODS, "--ignore-not-found")
    access.kubectl("create", "-f", str(CRDS[0].parent), ok=None)  # those that the test removed


def declared() -> Object:
    layer2 = {"role": "Secondary", "subnets": ["10.9.1.0/24"]}
    return {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "UserDefinedNetwork",
        "metadata": {"name": DECLARED, "namespace": "default"},
        "spec": {"topology": "Layer2", "layer2": layer2},
    }


def commands_to_install() -> list[str]:
    """Of the page: one for the CRDs, one for the manifest."""
    found = INSTALL.search((ROOT / "docs/how-to/install.md").read_text())
    assert found is not None
    return re.findall(r"^    (kubectl .*)$", found[1], re.MULTILINE)


def commands_to_uninstall() -> list[str]:
    """Of the manifest's first lines, which the page refers to."""
    head = (ROOT / "deploy/uninstall.yaml").read_text().partition("---")[0]
    return re.findall(r"^#   (kubectl .*)$", head, re.MULTILINE)


def test_pods_of_two_nodes_reach_each_other_and_no_other_network(reader: Reader) -> None:
    access = reader.access
    Chart(access).answers(A, address(access, B))
    assert chart.NONE_LOST in access.inside(A, "ping", "-c3", "-W5", address(access, B))
    output = access.inside(OUTSIDER, "ping", "-c2", "-W2", address(access, B), ok=False)
    assert "100% packet loss" in output


def test_the_manifest_applied_again_changes_nothing(reader: Reader) -> None:
    for line in reader.types(commands_to_install()[1]).splitlines():
        # kubectl sends a PodDisruptionBudget's selector each time: it is one to be replaced.
        assert line.endswith(" unchanged") or line.startswith("poddisruptionbudget"), line
    assert not reader.types("kubectl diff -f deploy/weft.yaml")


def test_it_leaves_nothing(reader: Reader, before: dict[str, dict[str, str]]) -> None:
    access = reader.access
    nodes = access.machines().nodes
    map_a_bridge(access)
    for node in nodes:
        now = chart.traces(node)
        assert {each for each in now if now[each] == before[node.name][each]} == set()
    there = {each.partition(":")[0] for each in chart.left_in(access)}
    assert there >= KINDS
    access.kubectl("delete", "pod", *PODS)
    for command in commands_to_uninstall():
        reader.types(command)
    for node in nodes:
        assert chart.traces(node) == before[node.name]
    assert chart.left_in(access) == []
    assert not access.kubectl("get", "namespace", chart.NAMESPACE, "--ignore-not-found")
    # What the page says stays: what users declared, until they remove it.
    for kind, name in (*(("net-attach-def", each) for each in NADS), ("udn", DECLARED)):
        assert access.get(kind, name)["spec"]
    for path in CRDS:
        assert access.kubectl("get", "-f", str(path), "-o", "name")


def map_a_bridge(access: Access) -> None:
    """The administrator connects a node to a physical network, which labels it."""
    pods = access.get(
        *("-n", chart.NAMESPACE, "pods", "-l", "app.kubernetes.io/component=openvswitch")
    )["items"]
    name, node = pods[0]["metadata"]["name"], pods[0]["spec"]["nodeName"]
    access.kubectl(
        *("-n", chart.NAMESPACE, "exec", name, "-c", "vswitchd", "--", "ovs-vsctl"),
        *("add-br", "br-rack", "--", "set", "Open_vSwitch", "."),
        "external_ids:ovn-bridge-mappings=rack:br-rack",
    )
    until(
        lambda: "physical-network.weft/rack" in access.get("node", node)["metadata"]["labels"],
        "the label of the physical network",
    )


def test_what_stays_goes_as_the_page_says(reader: Reader) -> None:
    """The definitions, with all their objects, without anybody who would remove finalizers."""
    reader.types("kubectl delete --timeout=60s -f deploy/chart/crds")
    for path in CRDS:
        output = reader.access.kubectl("get", "-f", str(path), "--ignore-not-found")
        assert not output
