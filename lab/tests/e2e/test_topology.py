"""What a user sees of a running lab: pods of two nodes on one network, by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.tests.support import labs
from lab.tests.support.pods import Cluster, network_status
from tests.support import consoled
from tests.support.objects import nad, pod
from tests.support.patience import PATIENCE
from weft.cli import clusters, console
from weft.console import server
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Cluster]:
    """Two nodes, and on each a pod of the network blue."""
    state = tmp_path_factory.mktemp("topology")
    with labs.running("drawn", 2, state, toolchain) as (house, kubeconfig):
        made = Cluster(house, "drawn", kubeconfig)
        made.create(nad("blue", mtu=1300))
        for node in ("node1", "node2"):
            made.create(pod(f"on-{node}", networks="blue", nodeName=node))
        for node in ("node1", "node2"):
            made.wait_ready(f"on-{node}")
        yield made


def drawn(cluster: Cluster, *options: str) -> str:
    return cluster.house.weft("topology", "--name", "drawn", *options).stdout


def test_the_tree_names_each_zones_pods_and_the_network_that_both_have(cluster: Cluster) -> None:
    zones = drawn(cluster, "--logical").split("\nzone ")[1:]
    assert [zone.split()[0] for zone in zones] == ["node1", "node2"]
    for here, there, zone in zip(("node1", "node2"), ("node2", "node1"), zones, strict=True):
        addresses = network_status(cluster.get(f"on-{here}"))[1]["ips"]
        lines = [line.split() for line in zone.splitlines() if f"pod default/on-{here}" in line]
        assert any(set(addresses) <= set(words) for words in lines)
        assert f"on-{there}" not in zone
        switch = "blue_ovn_layer2_switch layer 2 switch 10.100.0.0/24 fd01::/64"
        assert f"{switch} also in {there}" in " ".join(zone.replace("│", " ").split())


def test_the_network_is_one_with_a_row_of_each_pod_in_each_zone(cluster: Cluster) -> None:
    graph = cluster.house.json("topology", "--name", "drawn")
    assert [zone["read"] for zone in graph["zones"]] == [True, True]
    (blue,) = [one for one in graph["switches"] if one["network"] == "blue"]
    assert blue["zones"] == ["node1", "node2"]
    pods = {port["owner"]["pod"]: port for port in blue["ports"] if port["owner"]}
    for node in ("node1", "node2"):
        port = pods[f"on-{node}"]
        assert (port["zone"], port["seen"], port["up"]) == (node, ["node1", "node2"], True)


def test_the_overview_names_the_networks_pods_with_mtu_and_free_addresses(
    cluster: Cluster,
) -> None:
    lines = drawn(cluster).splitlines()
    section = lines[lines.index("blue") :]
    about = " ".join(section[1:3])
    # 254 hosts, of which two have a pod; the rest can be given.
    assert "layer2  10.100.0.0/24  fd01::/64  MTU 1300  252 free" in about
    for node in ("node1", "node2"):
        addresses = network_status(cluster.get(f"on-{node}"))[1]["ips"]
        (line,) = [line for line in section if f"on-{node}" in line and node in line.split()]
        assert set(addresses) <= set(line.split())


def test_a_network_that_is_not_there_is_refused(cluster: Cluster) -> None:
    done = cluster.house.weft("topology", "--lab", "drawn", "--network", "green", check=False)
    assert "networks: default, blue" in done.stderr


def test_the_doctor_finds_a_running_lab_well(cluster: Cluster) -> None:
    """The lab evaluates admission policies, and no guest can exploit its OVN."""
    findings = cluster.house.json("doctor", "cluster", "--lab", "drawn")["cluster"]
    verdicts = {one["what"]: one["verdict"] for one in findings}
    assert set(verdicts.values()) == {"ok"}
    assert {"Kubernetes", "cluster manager", "networks", "agents"} <= verdicts.keys()


def test_a_picture_in_a_file_is_in_the_form_that_its_name_says(
    cluster: Cluster, tmp_path: Path
) -> None:
    for options in ((), ("--physical",)):
        drawn(cluster, "--output", str(tmp_path / "it.svg"), *options)
        words = "".join(ElementTree.parse(tmp_path / "it.svg").getroot().itertext())
        assert "on-node1" in words
        assert "on-node2" in words


def test_tunnels_are_up_at_both_ends(cluster: Cluster) -> None:
    assert "node1 to node2  geneve: up at both ends" in drawn(cluster, "--physical")


def test_a_node_draws_itself_and_what_it_knows_of_others(cluster: Cluster) -> None:
    options = ("--logical", "--nb", "unix:/run/ovn/ovnnb_db.sock")
    command = (sys.executable, "-m", "weft", "topology", *options)
    output = cluster.house.run("node2", *command, lab="drawn").stdout
    own, other = output.split("\nzone ")[1:]
    assert own.startswith("node2  172.31.1.12\n")
    assert "pod default/on-node2" in own
    assert other.startswith("node1  172.31.1.11  not read\n")
    assert "pod default/on-node1" in other


def test_a_network_that_an_invalid_nad_declares_says_why_it_is_none(cluster: Cluster) -> None:
    cluster.create(nad("bad", "10.9.0.0/33", name="red"))
    cluster.kubectl("wait", "wnet/red", "--for=create", f"--timeout={PATIENCE:g}s")
    cluster.kubectl(
        "wait", "wnet/red", "--for=condition=Accepted=False", f"--timeout={PATIENCE:g}s"
    )
    shown = " ".join(drawn(cluster).split())
    assert "red InvalidConfig 0 members Failed to parse network config: " in shown
    assert "10.9.0.0/33" in shown
    assert "red" in drawn(cluster, "--network", "red")
    cluster.kubectl("delete", "nad", "bad")
    cluster.kubectl("wait", "wnet/red", "--for=delete", f"--timeout={PATIENCE:g}s")
    assert "InvalidConfig" not in drawn(cluster)


async def test_the_console_shows_what_objects_nodes_and_packets_say(cluster: Cluster) -> None:
    nodes = console.ClusterNodes(clusters.choose("", "", "drawn"))
    connect = server.connector(cluster.kubeconfig)
    async with consoled.running(connect, nodes=nodes) as browser:
        await browser.enter()
        _, text, _ = await browser.get("/topology")
        assert "<svg" in text
        assert "on-node1" in text
        assert '<a href="/networks/blue">' in text
        below = await browser.look("/topology/physical")
        assert "default/on-node2 on blue" in below
        assert "geneve" in below
        assert "2 of 2 pairs connect, as expected" in await browser.job("/matrix?network=blue")
        told = await browser.job("/explain?a=on-node1&b=on-node2")
        assert "default/on-node1 reaches default/on-node2 by ping on blue." in told
