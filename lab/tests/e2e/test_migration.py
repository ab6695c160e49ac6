"""Live migration in a whole lab, by KubeVirt's contract: it moves, it fails, it is cancelled."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.tests.support import lab_peers, labs
from lab.tests.support.mover import (
    CONNECTED,
    COUNTING,
    MACHINE,
    MEASURED,
    MIGRATION,
    NAME,
    NODES,
    SLOW,
    Cluster,
)
from tests.support.patience import await_true
from weft_lab.runtime import toolchain as toolchains
from weft_lab.vm import migrationpace

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def cluster(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One lab for all tests here: two nodes, a machine with a disk of its own, and a third node."""
    with labs.running(NAME, 3, tmp_path_factory.mktemp("state"), toolchain) as (house, config):
        cluster = Cluster(house, config)
        cluster.kubectl("create", "namespace", "kubevirt")
        cluster.make()
        cluster.guest(COUNTING)
        yield cluster


def check_answered(seen: lab_peers.Watched) -> None:
    """Each ping to a guest that stayed where it was has been answered, and once."""
    assert not seen.lost, seen
    assert not seen.twice, seen


def check_silent(seen: lab_peers.Watched, dead: float, reborn: float) -> None:
    """Before there was another instance no answer came to a ping that was sent after the death, and
    none twice at any time. A ping may wait in a busy switch until the new guest has its NIC."""
    for node, each in seen.peers.items():
        early = {sent: at for sent, at in each.came.items() if dead < sent and at < reborn}
        assert not early, (node, dead, reborn, each, early)
    assert any(each.lost for each in seen.peers.values()), "they asked meanwhile"
    assert not seen.twice, seen


def test_a_loss_is_excused_only_where_a_link_has_changed() -> None:
    pings = [(0.1 * number, int(number not in (10, 100))) for number in range(200)]
    peers = {"node1": lab_peers.Counted(pings), "node2": lab_peers.Counted(pings)}
    for links, left in (([], [1.0, 10.0]), ([0.5], [10.0]), ([2.5, 7.5], []), ([5.0], [1.0, 10.0])):
        lost = lab_peers.Watched(peers, {"node1": [], "node2": links}).lost
        assert (lost["node1"], lost.get("node2", [])) == ([1.0, 10.0], left)


def test_an_answer_of_the_dead_counts_and_one_of_the_next_instance_does_not() -> None:
    pings = [(0.1 * number, int(number < 10 or number > 50)) for number in range(100)]
    living = {sent: sent + 0.01 for sent, times in pings if times}
    waited = {2.0: 5.6}  # in a switch, for the next instance
    for came in (living, living | waited):
        check_silent(lab_peers.Watched({"node1": lab_peers.Counted(pings, came)}), 1.0, 5.0)
    for early in ({2.0: 2.01}, {4.5: 4.9}):
        seen = lab_peers.Watched({"node1": lab_peers.Counted(pings, living | early)})
        with pytest.raises(AssertionError, match="node1"):
            check_silent(seen, 1.0, 5.0)


def test_the_count_sees_what_is_lost_and_what_comes_twice(cluster: Cluster) -> None:
    """The control of all counts: each peer loses three answers, and gets three twice."""
    with cluster.counted(late=1) as seen, cluster.answers_go("drop"):
        pass
    assert {*seen.lost} == {*NODES}, seen
    assert not seen.twice, seen
    with cluster.counted() as seen, cluster.answers_go("copy"):
        pass
    assert {*seen.twice} == {*NODES}, seen
    assert not seen.lost, seen


def test_a_machine_moves_and_its_guest_goes_on(cluster: Cluster) -> None:
    source = cluster.node
    before = cluster.count()
    cluster.migrate("first")
    cluster.phase("first", "Succeeded")
    vmi = cluster.json("vmi", "mover")
    state = vmi["status"]["migrationState"]
    assert vmi["status"]["nodeName"] == state["targetNode"] != source == state["sourceNode"]
    assert vmi["metadata"]["labels"]["kubevirt.io/nodeName"] == state["targetNode"]
    target = cluster.json("pod", state["targetPod"])
    meta, moved = target["metadata"], cluster.json("vmim", "first")
    assert meta["labels"]["kubevirt.io/migrationJobUID"] == moved["metadata"]["uid"]
    assert meta["labels"]["kubevirt.io/created-by"] == vmi["metadata"]["uid"]
    assert meta["annotations"]["kubevirt.io/migrationJobName"] == "first"
    assert "kubevirt.io/migration-target-ready-timestamp" in meta["annotations"]
    cluster.kubectl(
        *("wait", f"pod/{state['sourcePod']}", "--for=jsonpath={.status.phase}=Succeeded"),
        "--timeout=90s",
    )
    after = cluster.count()
    assert after > before
    assert "Migrated" in cluster.kubectl("get", "events", "--field-selector=reason=Migrated")
    # The disk came along, and what the guest writes now is on it.
    await_true(lambda: int(cluster.guest("head -n 1 /dev/vda")) >= after, "the count is on disk")


def test_what_a_move_cost_is_reported_by_command_condition_event_and_metrics(
    cluster: Cluster,
) -> None:
    """And a budget that nothing keeps ends the command with a status."""
    argv = ("vm", "migrate", "mover", "--lab", NAME, "--output", "json", "--budget")
    done = cluster.house.weft(*argv, "60s", check=False)
    found = json.loads(done.stdout)
    kept, name = found["budget"]["kept"], found["migration"]
    assert done.returncode == (0 if kept else 1)
    assert kept or found["budget"]["spent"] is None, "the figures came late"
    cluster.kubectl("wait", f"vmim/{name}", f"--for=condition={MEASURED}", "--timeout=90s")
    status = cluster.json("vmim", name)["status"]
    still = status["cost"]["standstillMilliseconds"]
    (told,) = (each["message"] for each in status["conditions"] if each["type"] == MEASURED)
    assert f"the guest stood still {still} ms" in told
    events = ("get", "events", "--field-selector=reason=MigrationMeasured")
    await_true(lambda: told in cluster.kubectl(*events), "the event, which comes after")
    socket = ("--unix-socket", "/run/weft/controllers.sock", "http://lab/metrics")
    metrics = cluster.house.run("lab", "curl", "-s", *socket, lab=NAME).stdout
    labels = f'{{namespace="default",vmi="mover",vmim="{name}"}}'
    assert f"weft_lab_migration_standstill_seconds{labels} {still / 1000:g}" in metrics
    assert f"kubevirt_vmi_migration_succeeded{labels} 1" in metrics
    done = cluster.house.weft(*argv, "0ms", check=False)
    assert (done.returncode, json.loads(done.stdout)["budget"]["kept"]) == (1, False)


def test_a_migration_that_is_cancelled_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    cluster.settings(SLOW)
    source, before = cluster.node, cluster.count()
    with cluster.counted() as seen:
        state = cluster.begin("cancelled")
        uid = cluster.uid("cancelled")
        second = cluster.house.weft("vm", "migrate", "mover", "--lab", NAME, check=False)
        cluster.house.weft("vm", "migrate-cancel", "mover", "--lab", NAME)
        cluster.kubectl("wait", "vmim/cancelled", "--for=delete", "--timeout=90s", check=False)
        assert "not found" in cluster.kubectl("get", "vmim", "cancelled", check=False)
        cluster.ended(state["targetPod"])
        assert cluster.count() > before
    check_answered(seen)
    assert (second.returncode, "wait for it, or:" in second.stderr) == (1, True)
    assert f"in-flight migration detected. Active migration job ({uid})" in second.stderr
    told = cluster.json("vmi", "mover")["status"]["migrationState"]
    assert (told["abortStatus"], told["failed"]) == ("Succeeded", True)
    assert told["failureReason"] == "Live migration has been aborted"
    assert cluster.node == source


def test_a_target_that_dies_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    source, before = cluster.node, cluster.count()
    with cluster.counted() as seen:
        state = cluster.begin("target-killed")
        cluster.kill(state["targetPod"])
        assert cluster.failed("target-killed")
        assert cluster.count() > before
    assert cluster.node == source
    check_answered(seen)


def test_a_network_that_is_cut_between_the_nodes_ends_a_migration_in_its_time(
    cluster: Cluster,
) -> None:
    source, before = cluster.node, cluster.count()
    peer = "172.31.0.11/32"  # node1, on the network by which nodes reach each other and the API
    with cluster.having("{bandwidthPerMigration: 2Mi, progressTimeout: 20}"):
        cluster.begin("cut")
        try:
            cluster.house.run("node2", "ip", "route", "add", "blackhole", peer)
            # With the memory, or yet with the disk; or TCP gives up first, after 20 s as well.
            ends = "stuck for|end-of-file|connection to the target node's handler was lost"
            assert re.search(ends, cluster.failed("cut"))
        finally:
            cluster.house.run("node2", "ip", "route", "del", "blackhole", peer)
    assert cluster.node == source
    assert cluster.count() > before


def test_a_target_node_without_memory_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    """Its QEMU is not given the guest's memory."""
    source, before = cluster.node, cluster.count()
    other = {"node1": "node2", "node2": "node1"}[source]
    with cluster.counted() as seen:
        cluster.limit_memory(other, 300 << 20)
        try:
            cluster.migrate("no-memory")
            cluster.phase("no-memory", "Failed")
        finally:
            cluster.limit_memory(other, 0)
        assert cluster.count() > before
    check_answered(seen)
    told = cluster.kubectl("describe", "vmim", "no-memory")
    assert "Migration failed because target pod shutdown during migration" in told
    (pod,) = cluster.json(
        *("pods", "-l", f"kubevirt.io/migrationJobUID={cluster.uid('no-memory')}"),
    )["items"]
    assert pod["status"]["phase"] == "Failed"
    said = cluster.kubectl("logs", pod["metadata"]["name"])
    assert "qemu-system-x86_64:" in said, "its QEMU says what it could not do"
    assert "ended with status 1" in said
    assert (cluster.node, len(cluster.running)) == (source, 1)


def test_a_target_node_that_is_lost_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    source, before = cluster.node, cluster.count()
    other = {"node1": "node2", "node2": "node1"}[source]
    with cluster.counted(without=other) as seen:
        state = cluster.begin("target-lost")
        cluster.reboot(other)
        assert cluster.failed("target-lost")
        assert cluster.count() > before
    assert (cluster.node, cluster.running) == (source, [state["sourcePod"]])
    check_answered(seen)


def test_a_migration_that_takes_longer_than_its_memory_allows_is_given_up(
    cluster: Cluster,
) -> None:
    source, before = cluster.node, cluster.count()
    with cluster.having("{bandwidthPerMigration: 2Mi, completionTimeoutPerGiB: 3}"):
        cluster.begin("too-long")
        assert "not completed after 3 seconds" in cluster.failed("too-long")
    assert cluster.downtime_limit == migrationpace.LEAST, "in milliseconds, as it never was reached"
    assert cluster.node == source
    assert cluster.count() > before


@contextmanager
def machine_beside(cluster: Cluster) -> Iterator[None]:
    """A second machine runs on the node of the first."""
    other = {"node1": "node2", "node2": "node1"}[cluster.node]
    cluster.kubectl("cordon", other)
    try:
        cluster.kubectl("apply", "-f", "-", stdin=MACHINE.replace("mover", "second"))
        running = "--for=jsonpath={.status.phase}=Running"
        cluster.kubectl("wait", "vmi/second", "--for=create", "--timeout=90s")
        cluster.kubectl("wait", "vmi/second", running, "--timeout=180s")
        cluster.kubectl("uncordon", other)
        yield
    finally:
        cluster.kubectl("uncordon", other)
        cluster.kubectl("delete", "vm", "second")


def test_as_many_move_at_a_time_as_the_settings_say(cluster: Cluster) -> None:
    """Of two on one node the second waits for the end of the first, and begins by itself then."""
    with machine_beside(cluster):
        for limit in ("parallelMigrationsPerCluster", "parallelOutboundMigrationsPerNode"):
            first, second = (f"{each}-{limit[8:].lower()}" for each in ("first", "second"))
            with cluster.having(f"{{bandwidthPerMigration: 2Mi, {limit}: 1}}"):
                cluster.begin(first)
                made = MIGRATION.format(name=second).replace("mover", "second")
                cluster.kubectl("create", "-f", "-", stdin=made)
                cluster.phase(second, "Pending")
                cluster.kubectl("delete", "vmim", first)
                cluster.phase(second, "Running")
            times = cluster.json("vmim", second)["status"]["phaseTransitionTimestamps"]
            began = {each["phase"]: each["phaseTransitionTimestamp"] for each in times}
            ended = cluster.json("vmi", "mover")["status"]["migrationState"]["endTimestamp"]
            assert began["Scheduling"] >= ended
            cluster.kubectl("delete", "vmim", second)


def test_settings_that_the_lab_does_not_follow_are_refused_with_a_reason(cluster: Cluster) -> None:
    with cluster.having("{allowPostCopy: true}"):
        done = cluster.house.weft("vm", "migrate", "mover", "--lab", NAME, check=False)
    assert done.returncode == 1
    assert "allowPostCopy is not supported" in done.stderr


def test_a_source_that_dies_ends_the_machine_and_leaves_no_target(cluster: Cluster) -> None:
    before = cluster.json("vmi", "mover")["metadata"]["uid"]
    address = cluster.address()
    with cluster.counted(late=1) as seen:
        state = cluster.begin("source-killed")
        cluster.kill(state["sourcePod"])
        dead = time.monotonic()
        reborn = cluster.reborn(before, dead)  # its run strategy starts it again
        cluster.phase("source-killed", "Failed")
        cluster.ended(state["targetPod"])
        cluster.kubectl("wait", "vm/mover", f"--for={CONNECTED}", "--timeout=180s")
        cluster.is_reached_by(*NODES)
    check_silent(seen, dead, reborn)
    assert cluster.address() == address
    assert len(cluster.running) == 1
    cluster.has_one_port()


def test_a_source_node_that_is_lost_ends_the_machine_and_leaves_no_target(
    cluster: Cluster,
) -> None:
    before = cluster.json("vmi", "mover")["metadata"]["uid"]
    source, address = cluster.node, cluster.address()
    with cluster.counted(without=source, late=1) as seen:
        state = cluster.begin("source-lost")
        cluster.reboot(source)
        cluster.phase("source-lost", "Failed")
        cluster.ended(state["targetPod"])
        cluster.reborn(before, time.monotonic())
        cluster.kubectl("wait", "vm/mover", f"--for={CONNECTED}", "--timeout=180s")
        cluster.is_reached_by(*NODES)
    assert not seen.twice, seen
    assert cluster.address() == address
    assert len(cluster.running) == 1
    cluster.has_one_port()


def test_a_target_node_that_stays_dead_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    cluster.guest(COUNTING)
    source, before = cluster.node, cluster.count()
    stuck_soon = "{bandwidthPerMigration: 2Mi, progressTimeout: 20}"
    with cluster.having(stuck_soon), cluster.counted() as seen:
        state = cluster.begin("target-dead")
        node, pod = state["targetNode"], state["targetPod"]
        cluster.stall(node, pod)
        cluster.phase("target-dead", "Failed")
        assert (cluster.node, cluster.count() > before) == (source, True)
    check_answered(seen)
    with cluster.counted(without=node) as seen:
        # Nobody says that the target pod has ended, until its node is deleted.
        await_true(lambda: "deletionTimestamp" in cluster.json("pod", pod)["metadata"], "deleted")
        cluster.kubectl("delete", "node", node)
        cluster.kubectl("wait", f"pod/{pod}", "--for=delete", "--timeout=90s", check=False)
        assert "NotFound" in cluster.kubectl("get", "pod", pod, check=False)
        cluster.reboot(node)
        cluster.kubectl("wait", f"node/{node}", "--for=condition=Ready", "--timeout=180s")
        assert cluster.count() > before
    check_answered(seen)
    assert (cluster.node, len(cluster.running)) == (source, 1)


def test_a_source_node_that_stays_dead_ends_the_machine_when_it_is_deleted(
    cluster: Cluster,
) -> None:
    before, address = cluster.json("vmi", "mover")["metadata"]["uid"], cluster.address()
    node = cluster.node
    others = [each for each in NODES if each != node]
    with cluster.counted(without=node, late=1) as seen:
        state = cluster.begin("source-dead")
        cluster.stall(node, state["sourcePod"])
        dead = time.monotonic()
        cluster.kubectl("delete", "node", node)
        reborn = cluster.reborn(before, dead)
        cluster.phase("source-dead", "Failed")
        cluster.kubectl("wait", "vm/mover", f"--for={CONNECTED}", "--timeout=180s")
        assert cluster.node == state["targetNode"]
        cluster.is_reached_by(*others)
        told = cluster.kubectl("get", "events", "--field-selector=reason=NodeUnresponsive")
        assert f"virt-handler on node {node} is not responsive, marking VMI as failed" in told
    check_silent(seen, dead, reborn)
    with cluster.counted(without=node) as seen:
        cluster.reboot(node)
        cluster.kubectl("wait", f"node/{node}", "--for=condition=Ready", "--timeout=180s")
        cluster.guest(COUNTING)
    check_answered(seen)
    assert cluster.address() == address
    assert len(cluster.running) == 1
    cluster.has_one_port()


def test_a_handler_that_is_killed_goes_on_with_the_migration(cluster: Cluster) -> None:
    source, before = cluster.node, cluster.count()
    with cluster.counted() as seen:
        cluster.begin("handler-killed")
        cluster.house.run("lab", "busybox", "kill", "-9", cluster.process(f"{source}/kubelet"))
        cluster.house.weft("vm", "migrate-cancel", "mover", "--lab", NAME)
        cluster.kubectl("wait", "vmim/handler-killed", "--for=delete", "--timeout=90s", check=False)
        assert cluster.count() > before
    assert cluster.node == source
    check_answered(seen)


def test_a_drained_node_lets_its_machines_go(cluster: Cluster) -> None:
    cluster.settings("{}")
    source, before = cluster.node, cluster.count()
    launchers = "--pod-selector=kubevirt.io=virt-launcher"
    assert "drained" in cluster.kubectl("drain", source, "--timeout=300s", launchers)
    cluster.kubectl("uncordon", source)
    assert cluster.node != source
    assert cluster.count() > before
    made = cluster.json("vmim")["items"]
    marks = [each["metadata"].get("annotations") or {} for each in made]
    assert {"kubevirt.io/evacuationMigration": source} in marks
    assert "evacuationNodeName" not in cluster.json("vmi", "mover")["status"]
