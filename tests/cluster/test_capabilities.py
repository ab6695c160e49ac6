"""Each capability of the chart's node containers is needed: without it something breaks.

On one node, whose pods are replaced without the capability and again with it. The table of
docs/how-to/install.md says what this shows. It runs where it is asked for: it takes minutes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.access import Object
from tests.cluster.chart import NAMESPACE, Chart
from tests.cluster.cluster import PATIENCE, Cluster, until
from tests.cluster.room import Room

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not os.environ.get("WEFT_TEST_CAPABILITIES"),
        reason="takes minutes: WEFT_TEST_CAPABILITIES=1",
    ),
]
NETWORK = "needed"
NODE = "node2"


@dataclass(frozen=True, slots=True)
class Containers:
    """The containers of a DaemonSet whose pod on the node is replaced when the test says so."""

    room: Room
    own: Cluster

    def change(self, component: str, container: str, capabilities: list[str]) -> None:
        """Give a container these capabilities, and replace the node's pod, ready or not."""
        found = self.room.access.get("-n", NAMESPACE, "ds", f"weft-{component}")
        listed = found["spec"]["template"]["spec"]["containers"]
        (index,) = [n for n, each in enumerate(listed) if each["name"] == container]
        path = f"/spec/template/spec/containers/{index}/securityContext/capabilities/add"
        patch = [
            {"op": "replace", "path": "/spec/updateStrategy", "value": {"type": "OnDelete"}},
            {"op": "replace", "path": path, "value": capabilities},
        ]
        self._kubectl("patch", "ds", f"weft-{component}", "--type=json", f"-p={json.dumps(patch)}")
        (old,) = self._pods(component)
        self._kubectl("delete", "pod", old["metadata"]["name"])
        until(lambda: self._runs(component, container), f"{container} to have run")

    def ready(self, component: str) -> None:
        (pod,) = self._pods(component)
        limit = f"--timeout={PATIENCE:.0f}s"
        self._kubectl("wait", "--for=condition=Ready", f"pod/{pod['metadata']['name']}", limit)

    def log(self, component: str, container: str) -> str:
        """What it has said, before it was started again too."""
        (pod,) = self._pods(component)
        name = pod["metadata"]["name"]
        text = self._kubectl("logs", name, "-c", container)
        if any(each["restartCount"] for each in pod["status"]["containerStatuses"]):
            text += self._kubectl("logs", name, "-c", container, "--previous", ok=None)
        return text

    def _pods(self, component: str) -> list[Object]:
        chosen = ("-l", f"app.kubernetes.io/component={component}")
        where = f"--field-selector=spec.nodeName={NODE}"
        found = self.room.access.get("-n", NAMESPACE, "pods", *chosen, where)["items"]
        return list(found)

    def _runs(self, component: str, container: str) -> bool:
        return any(
            each["name"] == container and ("running" in each["state"] or each["restartCount"])
            for pod in self._pods(component)
            for each in pod["status"].get("containerStatuses", ())
        )

    def _kubectl(self, *arguments: str, ok: bool | None = True) -> str:
        return self.room.access.kubectl("-n", NAMESPACE, *arguments, ok=ok)


@pytest.fixture(scope="module")
def containers(here: Room) -> Iterator[Containers]:
    """A pod on each of two nodes, and another on the second."""
    made = Containers(here, here.access.machines("takes capabilities from weft"))
    here.apply(here.nad(NETWORK, "10.64.0.0/24,fd00:64::/64"))
    here.run(
        here.pod("far", NETWORK, node="node1"),
        here.pod("near", NETWORK, node=NODE),
        here.pod("beside", NETWORK, node=NODE),
    )
    here.answers("near", here.addresses("far")[0])
    yield made
    made.change("node", "agent", AGENT)
    made.change("openvswitch", "vswitchd", SWITCH)
    Chart(here.access).upgrade()


AGENT = ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"]
SWITCH = ["NET_ADMIN", "NET_RAW"]


def starts(containers: Containers) -> None:
    """A new pod of the node gets its network."""
    containers.room.run(containers.room.pod("fresh", NETWORK, node=NODE))
    containers.room.answers("fresh", containers.room.addresses("near")[0])
    containers.room.delete("fresh")


def does_not_start(containers: Containers) -> None:
    room = containers.room
    room.apply(room.pod("fresh", NETWORK, node=NODE))
    until(
        lambda: (
            "not permitted" in containers.log("node", "agent")
            or "not permitted" in room.kubectl("get", "events")
        ),
        "a refusal by the kernel",
    )
    assert room.access.get("-n", room.namespace, "pod", "fresh")["status"]["phase"] == "Pending"
    room.delete("fresh")


def no_advertisements(containers: Containers) -> None:
    until(lambda: "not permitted" in containers.log("node", "agent"), "a refusal by the kernel")


def no_switch(containers: Containers) -> None:
    room = containers.room
    for target in ("far", "beside"):
        room.answers("near", room.addresses(target)[0], ok=False)


def no_tunnels(containers: Containers) -> None:
    room = containers.room
    room.answers("near", room.addresses("far")[0], ok=False)


@pytest.mark.parametrize(
    ("component", "container", "capability", "breaks"),
    [
        ("node", "agent", "NET_ADMIN", does_not_start),
        ("node", "agent", "SYS_ADMIN", does_not_start),
        ("node", "agent", "NET_RAW", no_advertisements),
        ("openvswitch", "vswitchd", "NET_ADMIN", no_switch),
        ("openvswitch", "vswitchd", "NET_RAW", no_tunnels),
    ],
)
def test_without_it_something_breaks(
    containers: Containers,
    component: str,
    container: str,
    capability: str,
    breaks: Callable[[Containers], None],
) -> None:
    room = containers.room
    whole = AGENT if container == "agent" else SWITCH
    containers.change(component, container, [each for each in whole if each != capability])
    breaks(containers)
    containers.change(component, container, whole)
    containers.ready("node")
    for target in ("far", "beside"):
        room.answers("near", room.addresses(target)[0])
    starts(containers)
