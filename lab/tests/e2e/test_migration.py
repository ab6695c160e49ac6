"""Live migration in a whole lab, by KubeVirt's contract: it moves, it fails, it is cancelled."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.support import labs
from lab.tests.support.labs import LabHouse
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
NAME = "migration"
MACHINE = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: mover}
spec:
  runStrategy: Always
  template:
    spec:
      evictionStrategy: LiveMigrate
      terminationGracePeriodSeconds: 5
      domain:
        devices:
          disks: [{name: scratch, disk: {bus: virtio}}]
          interfaces: [{name: default, masquerade: {}}]
        resources: {requests: {memory: 192M}}
      networks: [{name: default, pod: {}}]
      volumes: [{name: scratch, emptyDisk: {capacity: 16Mi}}]
"""
MIGRATION = """
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstanceMigration
metadata: {{name: {name}}}
spec: {{vmiName: mover}}
"""


# A count that a restart would lose, and one that would be lost with the disk.
COUNTING = (
    "mkdir /tmp/counting && (n=0; while :; do n=$((n+1)); echo $n >/tmp/count; echo $n >/tmp/disk;"
    " dd if=/tmp/disk of=/dev/vda conv=notrunc,fsync 2>/dev/null; sleep 0.2; done) &"
)
CONNECTED = 'jsonpath={.status.conditions[?(@.type=="AgentConnected")].status}=True'
MEASURED = "lab.weft/Measured"
SLOW = "{bandwidthPerMigration: 2Mi}"  # the guest has more than that
LIMIT_MEMORY = (
    "import resource, sys; pid = int(sys.argv[1]); room = int(sys.argv[2]);"
    " before = resource.prlimit(pid, resource.RLIMIT_DATA);"
    " resource.prlimit(pid, resource.RLIMIT_DATA, (room if room else before[1], before[1]))"
)


class Cluster:
    """The real kubectl against the lab, and the guest's console."""

    def __init__(self, house: LabHouse, kubeconfig: str) -> None:
        self.house = house
        self._argv = [house.tools.program("kubectl"), "--kubeconfig", kubeconfig]

    def kubectl(self, *argv: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(
            [*self._argv, *argv], input=stdin, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def json(self, *argv: str) -> Any:
        return json.loads(self.kubectl("get", *argv, "-o", "json"))

    def migrate(self, name: str) -> None:
        self.kubectl("create", "-f", "-", stdin=MIGRATION.format(name=name))

    def begin(self, name: str) -> dict[str, Any]:
        """A migration under way: migrationState of its instance."""
        self.migrate(name)
        self.phase(name, "Running")
        return dict(self.json("vmi", "mover")["status"]["migrationState"])

    def uid(self, name: str) -> str:
        return str(self.json("vmim", name)["metadata"]["uid"])

    def phase(self, name: str, phase: str) -> None:
        """Until the migration is in this phase."""
        condition = f"--for=jsonpath={{.status.phase}}={phase}"
        said = self.kubectl("wait", f"vmim/{name}", condition, "--timeout=90s", check=False)
        if "condition met" not in said:
            raise AssertionError(said + self.kubectl("get", f"vmim/{name}", "-o", "yaml"))

    def failed(self, name: str) -> str:
        """Until it has failed and nothing is left of its target; the reason."""
        self.phase(name, "Failed")
        one = self.json("vmim", name)
        pod = one["status"]["migrationState"]["targetPod"]
        self.kubectl("wait", f"pod/{pod}", "--for=delete", "--timeout=30s", check=False)
        return str(one["status"]["migrationState"]["failureReason"])

    def count(self) -> int:
        return int(self.guest("cat /tmp/count"))

    def settings(self, text: str) -> None:
        """The cluster's migration settings."""
        made = self.kubectl(
            *("create", "configmap", "kubevirt-config", "-n", "kubevirt"),
            *(f"--from-literal=migrations={text}", "--dry-run=client", "-o", "yaml"),
        )
        self.kubectl("apply", "-f", "-", stdin=made)

    def kill(self, pod: str) -> None:
        """QEMU in a launcher's pod, at once."""
        words = re.findall(r"as process (\d+)", self.kubectl("logs", pod))
        self.house.run(f"default/{pod}", "kill", "-9", words[-1])

    def stall(self, node: str, pod: str) -> None:
        """A node stays dead, for all that others see: its kubelet and a pod's QEMU stand still."""
        kubelet = self.process(f"{node}/kubelet")
        words = re.findall(r"as process (\d+)", self.kubectl("logs", pod))
        self.house.run(f"default/{pod}", "kill", "-STOP", words[-1])
        self.house.run("lab", "busybox", "kill", "-STOP", kubelet)

    def process(self, service: str) -> str:
        """The id of a service's process."""
        services = self.house.json("lab", "status", "--name", NAME)["services"]
        pid = next(each["pid"] for each in services if each["name"] == service)
        assert pid, f"no {service} runs"  # 0 would be ourselves
        return str(pid)

    def limit_memory(self, node: str, room: int) -> None:
        """What each process that a node's kubelet starts may have, in bytes; 0: no limit."""
        pid = self.process(f"{node}/kubelet")
        self.house.run("lab", sys.executable, "-c", LIMIT_MEMORY, pid, str(room))

    def reboot(self, node: str) -> None:
        """The node loses its power, with all that runs there, and comes back."""
        self.house.weft("lab", "reboot", node, "--name", NAME)

    @property
    def running(self) -> list[str]:
        """The machine's launcher pods that run."""
        pods = self.json("pods", "-l", "vm.kubevirt.io/name=mover")["items"]
        return [each["metadata"]["name"] for each in pods if each["status"]["phase"] == "Running"]

    def guest(self, command: str) -> str:
        """What the guest prints between two marks. It is asked again: a busy machine lets an
        emulated processor wait for longer than its console is listened to."""
        line = f"echo be''gin; eval {shlex.quote(command)}; echo e''nd\n"
        argv, told = ("lab", "console", "mover", "--name", NAME, "--quiet", "3"), ""
        for _ in range(5):
            told = self.house.weft(*argv, stdin=line).stdout
            found = re.search(r"^begin\r?\n(.*?)^end", told, re.DOTALL | re.MULTILINE)
            if found is not None:
                return found[1]
        raise AssertionError(told)

    @property
    def node(self) -> str:
        return str(self.json("vmi", "mover")["status"]["nodeName"])


@pytest.fixture(scope="module")
def cluster(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One lab for all tests here: two nodes and a machine with a disk of its own."""
    with labs.running(NAME, 2, tmp_path_factory.mktemp("state"), toolchain) as (house, config):
        cluster = Cluster(house, config)
        cluster.kubectl("create", "namespace", "kubevirt")
        cluster.kubectl("apply", "-f", "-", stdin=MACHINE)
        cluster.kubectl("wait", "vm/mover", f"--for={CONNECTED}", "--timeout=120s")
        cluster.guest(COUNTING)
        yield cluster


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
        "--timeout=30s",
    )
    after = cluster.count()
    assert after > before
    assert "Migrated" in cluster.kubectl("get", "events", "--field-selector=reason=Migrated")
    # The disk came along, and what the guest writes now is on it.
    on_disk = int(cluster.guest("head -n 1 /dev/vda"))
    assert after <= on_disk


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
    cluster.kubectl("wait", f"vmim/{name}", f"--for=condition={MEASURED}", "--timeout=60s")
    status = cluster.json("vmim", name)["status"]
    still = status["cost"]["standstillMilliseconds"]
    (told,) = (each["message"] for each in status["conditions"] if each["type"] == MEASURED)
    assert f"the guest stood still {still} ms" in told
    assert told in cluster.kubectl("get", "events", "--field-selector=reason=MigrationMeasured")
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
    state = cluster.begin("cancelled")
    cluster.house.weft("vm", "migrate-cancel", "mover", "--lab", NAME)
    cluster.kubectl("wait", "vmim/cancelled", "--for=delete", "--timeout=30s", check=False)
    assert "not found" in cluster.kubectl("get", "vmim", "cancelled", check=False)
    pod = f"pod/{state['targetPod']}"
    cluster.kubectl("wait", pod, "--for=delete", "--timeout=30s", check=False)
    # It is deleted, or it ended by itself before that, and says why.
    phase = ("get", pod, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
    assert cluster.kubectl(*phase) in ("", "Failed", "Succeeded")
    told = cluster.json("vmi", "mover")["status"]["migrationState"]
    assert (told["abortStatus"], told["failed"]) == ("Succeeded", True)
    assert told["failureReason"] == "Live migration has been aborted"
    assert cluster.node == source
    assert cluster.count() > before


def test_a_target_that_dies_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    source, before = cluster.node, cluster.count()
    state = cluster.begin("target-killed")
    cluster.kill(state["targetPod"])
    assert cluster.failed("target-killed")
    assert cluster.node == source
    assert cluster.count() > before


def test_a_network_that_is_cut_between_the_nodes_ends_a_migration_in_its_time(
    cluster: Cluster,
) -> None:
    source, before = cluster.node, cluster.count()
    cluster.settings("{bandwidthPerMigration: 2Mi, progressTimeout: 6}")
    cluster.begin("cut")
    peer = "172.31.0.11/32"  # node1, on the network by which nodes reach each other and the API
    try:
        cluster.house.run("node2", "ip", "route", "add", "blackhole", peer)
        # As far as it had come: with the memory, or yet with the disk.
        assert re.search("stuck for|end-of-file", cluster.failed("cut"))
    finally:
        cluster.house.run("node2", "ip", "route", "del", "blackhole", peer)
        cluster.settings(SLOW)
    assert cluster.node == source
    assert cluster.count() > before


def test_a_target_node_without_memory_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    """Its QEMU is not given the guest's memory."""
    source, before = cluster.node, cluster.count()
    other = {"node1": "node2", "node2": "node1"}[source]
    cluster.limit_memory(other, 300 << 20)
    try:
        cluster.migrate("no-memory")
        cluster.phase("no-memory", "Failed")
    finally:
        cluster.limit_memory(other, 0)
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
    assert cluster.count() > before


def test_a_target_node_that_is_lost_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    source, before = cluster.node, cluster.count()
    state = cluster.begin("target-lost")
    cluster.reboot(state["targetNode"])
    assert cluster.failed("target-lost")
    assert (cluster.node, cluster.running) == (source, [state["sourcePod"]])
    assert cluster.count() > before


def test_a_migration_that_takes_longer_than_its_memory_allows_is_given_up(
    cluster: Cluster,
) -> None:
    source, before = cluster.node, cluster.count()
    cluster.settings("{bandwidthPerMigration: 2Mi, completionTimeoutPerGiB: 3}")
    cluster.begin("too-long")
    assert "not completed after 3 seconds" in cluster.failed("too-long")
    cluster.settings(SLOW)
    assert cluster.node == source
    assert cluster.count() > before


def test_as_many_move_at_a_time_as_the_settings_say(cluster: Cluster) -> None:
    """Of two on one node the second waits for the end of the first, and begins by itself then."""
    other = {"node1": "node2", "node2": "node1"}[cluster.node]
    cluster.kubectl("cordon", other)
    cluster.kubectl("apply", "-f", "-", stdin=MACHINE.replace("mover", "second"))
    running = "--for=jsonpath={.status.phase}=Running"
    cluster.kubectl("wait", "vmi/second", "--for=create", "--timeout=30s")
    cluster.kubectl("wait", "vmi/second", running, "--timeout=120s")
    cluster.kubectl("uncordon", other)
    for limit in ("parallelMigrationsPerCluster", "parallelOutboundMigrationsPerNode"):
        cluster.settings(f"{{bandwidthPerMigration: 2Mi, {limit}: 1}}")
        first, second = (f"{each}-{limit[8:].lower()}" for each in ("first", "second"))
        cluster.begin(first)
        made = MIGRATION.format(name=second).replace("mover", "second")
        cluster.kubectl("create", "-f", "-", stdin=made)
        cluster.phase(second, "Pending")
        cluster.kubectl("delete", "vmim", first)
        cluster.phase(second, "Running")
        times = cluster.json("vmim", second)["status"]["phaseTransitionTimestamps"]
        began = {each["phase"]: each["phaseTransitionTimestamp"] for each in times}["Scheduling"]
        assert began >= cluster.json("vmi", "mover")["status"]["migrationState"]["endTimestamp"]
        cluster.kubectl("delete", "vmim", second)
    cluster.kubectl("delete", "vm", "second")
    cluster.settings(SLOW)


def test_settings_that_the_lab_does_not_follow_are_refused_with_a_reason(cluster: Cluster) -> None:
    cluster.settings("{allowPostCopy: true}")
    done = cluster.house.weft("vm", "migrate", "mover", "--lab", NAME, check=False)
    assert done.returncode == 1
    assert "allowPostCopy is not supported" in done.stderr
    cluster.settings(SLOW)


def test_a_source_that_dies_ends_the_machine_and_leaves_no_target(cluster: Cluster) -> None:
    before = cluster.json("vmi", "mover")["metadata"]["uid"]
    state = cluster.begin("source-killed")
    cluster.kill(state["sourcePod"])
    cluster.phase("source-killed", "Failed")
    pod = f"pod/{state['targetPod']}"
    cluster.kubectl("wait", pod, "--for=delete", "--timeout=30s", check=False)
    # Its run strategy starts it again.
    cluster.kubectl("wait", "vm/mover", f"--for={CONNECTED}", "--timeout=90s")
    assert cluster.json("vmi", "mover")["metadata"]["uid"] != before
    assert len(cluster.running) == 1


def test_a_source_node_that_is_lost_ends_the_machine_and_leaves_no_target(
    cluster: Cluster,
) -> None:
    before = cluster.json("vmi", "mover")["metadata"]["uid"]
    state = cluster.begin("source-lost")
    cluster.reboot(state["sourceNode"])
    cluster.phase("source-lost", "Failed")
    cluster.kubectl(
        *("wait", f"pod/{state['targetPod']}", "--for=delete", "--timeout=30s"), check=False
    )
    cluster.kubectl("wait", "vm/mover", f"--for={CONNECTED}", "--timeout=90s")
    assert cluster.json("vmi", "mover")["metadata"]["uid"] != before
    assert len(cluster.running) == 1


def test_a_target_node_that_stays_dead_leaves_the_guest_where_it_was(cluster: Cluster) -> None:
    cluster.guest(COUNTING)
    cluster.settings("{bandwidthPerMigration: 2Mi, progressTimeout: 6}")
    source, before = cluster.node, cluster.count()
    state = cluster.begin("target-dead")
    node, pod = state["targetNode"], state["targetPod"]
    cluster.stall(node, pod)
    try:
        cluster.phase("target-dead", "Failed")
        assert (cluster.node, cluster.count() > before) == (source, True)
        # Nobody says that the target pod has ended, until its node is deleted.
        assert "deletionTimestamp" in cluster.json("pod", pod)["metadata"]
        cluster.kubectl("delete", "node", node)
        cluster.kubectl("wait", f"pod/{pod}", "--for=delete", "--timeout=60s", check=False)
        assert "NotFound" in cluster.kubectl("get", "pod", pod, check=False)
    finally:
        cluster.reboot(node)
        cluster.settings(SLOW)
    cluster.kubectl("wait", f"node/{node}", "--for=condition=Ready", "--timeout=90s")
    assert (cluster.node, len(cluster.running)) == (source, 1)


def test_a_source_node_that_stays_dead_ends_the_machine_when_it_is_deleted(
    cluster: Cluster,
) -> None:
    before = cluster.json("vmi", "mover")["metadata"]["uid"]
    state = cluster.begin("source-dead")
    node = state["sourceNode"]
    cluster.stall(node, state["sourcePod"])
    try:
        cluster.kubectl("delete", "node", node)
        cluster.phase("source-dead", "Failed")
        cluster.kubectl("wait", "vm/mover", f"--for={CONNECTED}", "--timeout=90s")
        assert cluster.json("vmi", "mover")["metadata"]["uid"] != before
        assert cluster.node == state["targetNode"]
        told = cluster.kubectl("get", "events", "--field-selector=reason=NodeUnresponsive")
        assert f"virt-handler on node {node} is not responsive, marking VMI as failed" in told
    finally:
        cluster.reboot(node)
    cluster.kubectl("wait", f"node/{node}", "--for=condition=Ready", "--timeout=90s")
    assert len(cluster.running) == 1


def test_a_handler_that_is_killed_goes_on_with_the_migration(cluster: Cluster) -> None:
    cluster.guest(COUNTING)
    source, before = cluster.node, cluster.count()
    cluster.begin("handler-killed")
    cluster.house.run("lab", "busybox", "kill", "-9", cluster.process(f"{source}/kubelet"))
    cluster.house.weft("vm", "migrate-cancel", "mover", "--lab", NAME)
    cluster.kubectl("wait", "vmim/handler-killed", "--for=delete", "--timeout=30s", check=False)
    assert cluster.node == source
    assert cluster.count() > before


def test_a_drained_node_lets_its_machines_go(cluster: Cluster) -> None:
    cluster.settings("{}")
    source, before = cluster.node, cluster.count()
    done = cluster.kubectl("drain", source, "--timeout=60s", "--ignore-daemonsets")
    assert "drained" in done
    cluster.kubectl("uncordon", source)
    assert cluster.node != source
    assert cluster.count() > before
    made = cluster.json("vmim")["items"]
    marks = [each["metadata"].get("annotations") or {} for each in made]
    assert {"kubevirt.io/evacuationMigration": source} in marks
    assert "evacuationNodeName" not in cluster.json("vmi", "mover")["status"]
