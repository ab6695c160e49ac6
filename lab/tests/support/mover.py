"""A machine of a whole lab that moves between two nodes while its peers count packets."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.stream import inside
from lab.tests.support import lab_peers
from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import LabHouse
from tests.support import objects
from tests.support.patience import PATIENCE, await_true

NAME = "migration"
NETWORK, PREFIX = "kept", "10.96.0."
# Seconds between two pings of one peer: more often, and a switch that had no turn for seconds on a
# busy machine would lose some at its sockets.
INTERVAL = 0.05
LONG = 3 * PATIENCE  # for a node, a guest and a pod in turn
NODES = ("node1", "node2", "node3")  # nothing moves to the third: only its peer is there
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
          interfaces: [{name: default, masquerade: {}}, {name: lan, bridge: {}}]
        resources: {requests: {memory: 192M}}
      networks: [{name: default, pod: {}}, {name: lan, multus: {networkName: kept}}]
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
# It is empty for a moment at each step.
COUNT = "{ until read seen </tmp/count; do sleep 0.1; done; } 2>/dev/null; echo $seen"
CONNECTED = 'jsonpath={.status.conditions[?(@.type=="AgentConnected")].status}=True'
MEASURED = "lab.weft/Measured"
SLOW = "{bandwidthPerMigration: 2Mi}"  # the guest has more than that
LIMIT_MEMORY = (
    "import resource, sys; pid = int(sys.argv[1]); room = int(sys.argv[2]);"
    " before = resource.prlimit(pid, resource.RLIMIT_DATA);"
    " resource.prlimit(pid, resource.RLIMIT_DATA, (room if room else before[1], before[1]))"
)
ASK_LIMIT = """
import asyncio
from weft_lab.vm import launcher, qmp
async def ask():
    async with qmp.Monitor(launcher.folder("default", "mover") / "qmp.sock") as monitor:
        print((await monitor.execute("query-migrate-parameters"))["downtime-limit"])
asyncio.run(ask())
"""


class Cluster:
    """The real kubectl against the lab, the guest's console, and peers on all nodes."""

    def __init__(self, house: LabHouse, kubeconfig: str) -> None:
        self.house = house
        self._kubectl = Kubectl(house, kubeconfig)
        self._asked = 0  # questions to the guest
        # Of each node's peer, and for which instance on which node it was found.
        self._places: dict[str, tuple[tuple[str, str], lab_peers.Place]] = {}
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
        self.ended(one["status"]["migrationState"]["targetPod"])
        return str(one["status"]["migrationState"]["failureReason"])

    def ended(self, pod: str) -> None:
        """Until a pod is deleted, or has ended by itself before that."""
        phase = ("get", "pod", pod, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
        is_over = ("", "Failed", "Succeeded")
        await_true(lambda: self.kubectl(*phase) in is_over, f"{pod} ends", LONG)

    def count(self) -> int:
        return int(self.guest(COUNT))

    @contextmanager
    def having(self, text: str) -> Iterator[None]:
        """The cluster has these migration settings for as long as the scope lasts, then SLOW."""
        self.settings(text)
        try:
            yield
        finally:
            self.settings(SLOW)

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
        self._places.pop(node, None)
        self.house.weft("lab", "reboot", node, "--name", NAME)

    @property
    def running(self) -> list[str]:
        """The machine's launcher pods that run."""
        pods = self.json("pods", "-l", "vm.kubevirt.io/name=mover")["items"]
        return [each["metadata"]["name"] for each in pods if each["status"]["phase"] == "Running"]

    def guest(self, command: str) -> str:
        """What the guest prints between two marks. It is asked again: a busy machine lets an
        emulated processor wait for longer than its console is listened to. Then what it answers
        late is not taken for the answer to another question."""
        self._asked += 1
        mark = f"{self._asked}."
        line = f"echo be''gin {mark}; eval {shlex.quote(command)}; echo e''nd {mark}\n"
        argv, told = ("lab", "console", "mover", "--name", NAME, "--quiet", "3"), ""
        for _ in range(5):
            told = self.house.weft(*argv, stdin=line).stdout
            found = re.search(
                rf"^begin {mark}\r?\n(.*?)^end {mark}", told, re.DOTALL | re.MULTILINE
            )
            if found is not None:
                return found[1]
        raise AssertionError(told)

    @property
    def downtime_limit(self) -> int:
        """What the source's QEMU was told at last."""
        (pod,) = self.running
        asked = self.house.run(f"default/{pod}", sys.executable, "-c", ASK_LIMIT)
        return int(asked.stdout)

    @property
    def node(self) -> str:
        return str(self.json("vmi", "mover")["status"]["nodeName"])

    # What peers see

    def make(self) -> None:
        """The machine on a network that keeps its address."""
        kept: dict[str, Any] = {"allowPersistentIPs": True, "persistentIPs": "vm"}
        self.kubectl("cordon", NODES[-1])
        self.apply(objects.nad(NETWORK, f"{PREFIX}0/24", mtu=1300, **kept))
        self.kubectl("apply", "-f", "-", stdin=MACHINE)
        self.place_peers(NODES)
        self.kubectl("wait", "vm/mover", f"--for={CONNECTED}", "--timeout=180s")

    def apply(self, *made: objects.Object) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(made)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def place_peers(self, nodes: Sequence[str]) -> None:
        """A pod that pings on each of these nodes; one may have gone with its node."""
        for each in self.json("pods")["items"]:
            meta = each["metadata"]
            if meta["name"].startswith("peer-") and "deletionTimestamp" in meta:
                gone = ("--for=delete", "--timeout=90s")
                self.kubectl("wait", f"pod/{meta['name']}", *gone, check=False)
        self.apply(*(pod(f"peer-{node}", node, networks=NETWORK) for node in nodes))
        pods = [f"pod/peer-{node}" for node in nodes]
        self.kubectl("wait", "--for=condition=Ready", *pods, "--timeout=90s")

    def address(self) -> str:
        """The machine's, of the network of its peers."""
        return self._kubectl.guest_address("mover", "lan", PREFIX)

    @contextmanager
    def counted(
        self, *, without: str = "", late: float = lab_peers.LATE
    ) -> Iterator[lab_peers.Watched]:
        """Pings to the machine while this is open, by the peers of all nodes but this one."""
        where = {node: self._place(node) for node in NODES if node != without}
        with lab_peers.watched(NAME, where, self.address(), INTERVAL, late) as seen:
            yield seen

    def _place(self, node: str) -> lab_peers.Place:
        """Where a node's peer runs. It reaches the machine: from now on nobody has to be found."""
        vmi = self.json("vmi", "mover")
        now = vmi["metadata"]["uid"], vmi["status"]["nodeName"]
        known = self._places.get(node)
        if known is not None and known[0] == now:
            return known[1]
        self.place_peers([node])
        self.is_reached_by(node)
        self._places[node] = now, inside(NAME, node, f"peer-{node}")
        return self._places[node][1]

    def reborn(self, old: str, last: float) -> float:
        """Until there is another instance than that of uid `old`; when there was none yet. At
        `last` there was none."""
        end = time.monotonic() + LONG
        argv = ("get", "vmi", "mover", "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
        while True:
            asked = time.monotonic()
            if self.kubectl(*argv) not in ("", old):
                return last
            assert asked < end, f"instance {old} is not replaced"
            last = asked
            time.sleep(0.1)

    def is_reached_by(self, *nodes: str) -> None:
        """Until the machine answers the peers of these nodes."""
        for node in nodes:
            self.house.reach(f"default/peer-{node}", self.address(), patience=LONG)

    def has_one_port(self) -> None:
        """Until nobody but the machine's node has its port."""
        home = self.node
        await_true(lambda: [*self.ports()] == [home], f"the port is on {home} alone", LONG)

    def ports(self) -> dict[str, list[int]]:
        """The OpenFlow ports that are the machine's on its network, by node."""
        found = {}
        for node in NODES:
            argv = ("--format=json", "--columns=ofport,external_ids", "list", "Interface")
            rows = json.loads(self.house.run(node, "ovs-vsctl", *argv).stdout)["data"]
            ids = [(port, dict(pairs).get("iface-id", "")) for port, (_, pairs) in rows]
            found[node] = [port for port, name in ids if f"{NETWORK}_default_mover" in name]
        return {node: ports for node, ports in found.items() if ports}

    @contextmanager
    def answers_go(self, way: str) -> Iterator[None]:
        """The guest's answers to pings are lost while this is open (`way` is drop), or sent twice
        (copy): at least three to each peer."""
        node = self.node
        (port,) = self.ports()[node]
        table = self.house.run(node, "ovs-ofctl", "dump-flows", "br-int", f"table=0,in_port={port}")
        (actions,) = re.findall(r"actions=(\S+)", table.stdout)
        does = {"drop": "drop", "copy": f"clone({actions}),{actions}"}[way]
        of = ("br-int", "cookie=0x77/-1")
        for peer in NODES:
            there = self._kubectl.address(f"peer-{peer}", "net1")
            match = f"cookie=0x77,table=0,priority=60000,in_port={port},icmp,nw_dst={there}"
            self.house.run(node, "ovs-ofctl", "add-flow", "br-int", f"{match},actions={does}")
        try:
            yield
            await_true(lambda: self._fewest(node, of) >= 3, f"answers go: {way}")
        finally:
            self.house.run(node, "ovs-ofctl", "del-flows", *of)

    def _fewest(self, node: str, of: Sequence[str]) -> int:
        """Packets of the flow that has had the fewest."""
        told = self.house.run(node, "ovs-ofctl", "dump-flows", *of).stdout
        return min(map(int, re.findall(r"n_packets=(\d+)", told)))
