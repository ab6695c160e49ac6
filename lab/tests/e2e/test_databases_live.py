"""Whatever becomes of a node's databases, its pods' traffic flows again, and no address changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support.objects import nad
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab

# The database's file, and the file with its server's PID.
FILES = {
    "nb": ("/run/ovn/ovnnb_db.db", "/run/ovn/ovnnb_db.pid"),
    "sb": ("/run/ovn/ovnsb_db.db", "/run/ovn/ovnsb_db.pid"),
    "ovsdb": ("/run/openvswitch/conf.db", "/run/openvswitch/ovsdb-server.pid"),
}
# How long the first record is, which is the schema.
SCHEMA = "n=$(head -1 {db} | wc -c); n=$((n + $(head -1 {db} | cut -d' ' -f3)));"
# More kinds of broken headers: tests/real/test_lost_databases.py.
FAULTS = {
    "lost": "rm {db}",
    "garbage behind the schema": SCHEMA
    + " head -c $n {db} > /run/head; (cat /run/head; head -c 3000 /dev/urandom) > {db}",
    "truncated": SCHEMA + " truncate -s $((n + ($(wc -c < {db}) - n) / 2)) {db}",
}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain
) -> Iterator[tuple[support.LabHouse, Kubectl]]:
    state = tmp_path_factory.mktemp("live")
    with support.running("live", 2, state, toolchain) as (house, kubeconfig):
        kubectl = Kubectl(house, kubeconfig)
        kubectl.run_pods(
            nad("blue", "10.9.0.0/24"),
            *(pod(f"p{n}", f"node{n}", networks="blue") for n in (1, 2)),
            pod("outsider", "node1"),
        )
        yield house, kubectl


@pytest.mark.parametrize("part", FILES)
@pytest.mark.parametrize("fault", FAULTS)
def test_traffic_flows_again(lab: tuple[support.LabHouse, Kubectl], part: str, fault: str) -> None:
    house, kubectl = lab
    addresses = [kubectl.address("p2", name) for name in ("eth0", "net1")]
    for address in addresses:
        house.reach("default/p1", address)
    db, pid = FILES[part]
    before = house.run("node1", "cat", pid).stdout.strip()
    spoil = FAULTS[fault].format(db=db)
    # The server stands still meanwhile: else it may write to the file that is broken.
    house.run("node1", "sh", "-c", f"kill -STOP {before}; {spoil}; kill -9 {before}")
    changed = f"until [ -s {pid} ] && [ $(cat {pid}) != {before} ]; do sleep 0.1; done"
    house.run("node1", "timeout", "60", "sh", "-c", changed)
    kubectl.run_pods(pod("late", "node1", networks="blue"))  # the node takes pods again
    for address in addresses:
        house.reach("default/p1", address)
        house.reach("default/late", address)
    house.reach("default/outsider", addresses[0])
    assert house.is_deaf("default/outsider", addresses[1]), "it is not on blue"
    kubectl("delete", "pod", "late", "--grace-period=0", "--force")
    kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=60s")
    assert [kubectl.address("p2", name) for name in ("eth0", "net1")] == addresses
