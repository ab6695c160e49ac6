"""PodEndpoints rolled out and back as the page says: agents of both kinds work side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster import chart
from tests.cluster.access import Object
from tests.cluster.chart import MANAGER, NAMESPACE, Chart
from tests.cluster.cluster import PATIENCE, until
from tests.cluster.room import Pings, Room, policy_for

pytestmark = pytest.mark.cluster
NETWORK = "shared"
ONE_SECOND = 5  # pings: a busy machine may lose some, an agent that takes rows away loses many
READS = "--pod-endpoints"
READYZ = r"exec 3<>/dev/tcp/127.0.0.1/9474; printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3; cat <&3"
# Who deletes a node's pod decides when it is replaced, so that agents of both kinds stay.
HOLD = r"""#!/bin/sh
exec sed '/^kind: DaemonSet/,/^---/{s/type: RollingUpdate/type: OnDelete/;/rollingUpdate:/d}'
"""


@pytest.fixture(scope="module")
def held(here: Room, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rollout]:
    """A pod on each node, and a server that a policy guards; in the end weft is as it was."""
    own = here.access.machines("rolls weft out")
    hold = tmp_path_factory.mktemp("hold") / "hold.sh"
    hold.write_text(HOLD)
    hold.chmod(0o755)
    made = Rollout(here, Chart(here.access), hold)
    first, second = (each.name for each in own.nodes[:2])
    here.apply(here.nad(NETWORK, "10.61.0.0/24"), only_friends(here))
    here.run(
        here.pod("left", NETWORK, node=first),
        here.pod("right", NETWORK, node=second),
        here.pod("server-left", NETWORK, node=first, labels={"who": "server"}),
        here.pod("server-right", NETWORK, node=second, labels={"who": "server"}),
    )
    for source, target in (("left", "right"), ("right", "left")):
        here.answers(source, here.addresses(target)[0])
    yield made
    made.chart.upgrade()


def only_friends(room: Room) -> Object:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1beta1",
        "kind": "MultiNetworkPolicy",
        "metadata": {
            "name": "friends",
            "namespace": room.namespace,
            "annotations": policy_for(f"{room.namespace}/{NETWORK}"),
        },
        "spec": {
            "podSelector": {"matchLabels": {"who": "server"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"who": "friend"}}}]}],
        },
    }


class Rollout:
    """weft's chart with the values of a step, and pods that show what agents know."""

    def __init__(self, room: Room, chart: Chart, hold: Path) -> None:
        self.room, self.chart, self._hold = room, chart, hold

    def roll_out(self, *, write: bool, read: bool) -> None:
        """As the page says, but that nodes wait for `replace`."""
        switches = {"write": write, "read": read}
        values = [f"--set=podEndpoints.{key}={str(on).lower()}" for key, on in switches.items()]
        self.chart.helm(
            *("upgrade", "weft", str(chart.CHART), f"--namespace={NAMESPACE}", "--reuse-values"),
            *(*values, f"--post-renderer={self._hold}"),
        )
        self.chart.kubectl("rollout", "status", MANAGER, f"--timeout={PATIENCE:.0f}s")

    def replace(self, node: str) -> None:
        """Delete a node's pod; its successor is ready when attachments work there."""
        self.chart.kubectl("delete", "pod", *_node_pods(node))
        until(lambda: self.pods(node), f"the successor on {node}")
        limit = f"--timeout={PATIENCE:.0f}s"
        self.chart.kubectl("wait", "--for=condition=Ready", "pod", *_node_pods(node), limit)

    def pods(self, node: str = "") -> list[Object]:
        """weft's pods of a node, or of all."""
        found = self.chart.access.get("-n", NAMESPACE, "pods", *_node_pods(node))["items"]
        return list(found)

    def readers(self) -> frozenset[str]:
        """The nodes whose agents read PodEndpoints."""
        return frozenset(
            pod["spec"]["nodeName"]
            for pod in self.pods()
            for each in pod["spec"]["containers"]
            if each["name"] == "agent" and READS in each["args"]
        )

    def stored(self) -> set[str]:
        """The pods that have a PodEndpoint."""
        found = self.room.access.get("-n", self.room.namespace, "podendpoints")["items"]
        return {each["metadata"]["name"] for each in found}

    def why_unready(self, node: str) -> str:
        """What the agent of a node says is missing; nothing while it does not run."""
        done = self.room.access.machines().machine(node).run("bash", "-c", READYZ, check=False)
        return done.stdout.decode()

    def holds(self) -> None:
        """New pods of both nodes are known on both, and policies follow their labels."""
        room = self.room
        nodes = [each.name for each in room.access.machines().nodes[:2]]
        fresh = [f"fresh-{node}" for node in nodes]
        room.run(
            *(
                room.pod(name, NETWORK, node=node, labels={"who": "friend"})
                for name, node in zip(fresh, nodes, strict=True)
            )
        )
        peers = [room.addresses(each)[0] for each in ("left", "right", *fresh)]
        servers = [room.addresses(each)[0] for each in ("server-left", "server-right")]
        for name in fresh:
            for address in (*peers, *servers):
                room.answers(name, address)
        room.kubectl("label", "pod", *fresh, "who=stranger", "--overwrite")
        for name in fresh:
            for address in servers:
                room.answers(name, address, ok=False)
            assert room.reaches(name, peers[-1])
        room.delete(*fresh)


def test_agents_of_both_kinds_side_by_side(
    held: Rollout, capsys: pytest.CaptureFixture[str]
) -> None:
    room = held.room
    first, second = (each.name for each in room.access.machines().nodes[:2])
    pings: dict[str, Pings] = {}
    with ExitStack() as flows:
        for source, target in (("left", "right"), ("right", "left")):
            pings[source] = flows.enter_context(room.pinging(source, room.addresses(target)[0]))
        held.roll_out(write=True, read=False)
        until(lambda: {"left", "right"} <= held.stored(), "the manager to write")
        held.roll_out(write=True, read=True)
        assert held.readers() == set()
        held.replace(second)
        assert held.readers() == {second}
        held.holds()
        held.replace(first)
        assert held.readers() == {first, second}
        held.holds()
        held.roll_out(write=True, read=False)
        held.replace(second)
        held.replace(first)
        assert held.readers() == set()
        held.roll_out(write=False, read=False)
    with capsys.disabled():
        for source, found in pings.items():
            print(f"\n{source}: {len(found.lost)} of {found.sent} pings lost, {found.gap} in a row")
    for found in pings.values():
        assert found.sent > 50
        assert found.gap <= ONE_SECOND


def test_an_agent_that_reads_where_nothing_is_written_waits(held: Rollout) -> None:
    """The control: agents do read PodEndpoints. Traffic goes on; new pods of others are missing."""
    room = held.room
    first, second = (each.name for each in room.access.machines().nodes[:2])
    with room.pinging("left", room.addresses("right")[0]) as pings:
        held.roll_out(write=False, read=True)
        held.chart.kubectl("delete", "pod", *_node_pods(second))
        until(lambda: held.pods(second), f"the successor on {second}")
        until(lambda: "PodEndpoint" in held.why_unready(second), "the reason of the agent")
        room.run(room.pod("unknown", NETWORK, node=first))
        assert not room.reaches("right", room.addresses("unknown")[0])
        held.roll_out(write=False, read=False)
        held.replace(second)
        room.answers("right", room.addresses("unknown")[0])
        room.delete("unknown")
    assert pings.gap <= ONE_SECOND


def _node_pods(node: str) -> tuple[str, ...]:
    """Selects weft's pods of a node, or of all."""
    label = ("-l", "app.kubernetes.io/component=node")
    return (*label, f"--field-selector=spec.nodeName={node}") if node else label
