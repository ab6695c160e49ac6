"""A namespace of a cluster for the tests of one module: objects in, packets and Events out."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.access import BUSYBOX, Access, Object
from tests.cluster.cluster import PATIENCE, until
from tests.support import objects
from weft import names

STATUS = "k8s.v1.cni.cncf.io/network-status"
TRIES = 3  # requests of one ping; any answer counts


@dataclass(slots=True)
class Pings:
    """How many requests were sent, and which had no answer."""

    sent: int = 0
    lost: list[int] = field(default_factory=list)

    @property
    def gap(self) -> int:
        """The most that were lost in a row."""
        longest = run = 0
        for number in range(self.sent):
            run = run + 1 if number in self.lost else 0
            longest = max(longest, run)
        return longest


@dataclass(frozen=True, slots=True)
class Room:
    """All of it is in one namespace, and goes with it."""

    access: Access
    namespace: str

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.access.kubectl("-n", self.namespace, *arguments, **options)

    def apply(self, *made: Object) -> None:
        self.kubectl(
            "apply", "-f", "-", data={"apiVersion": "v1", "kind": "List", "items": [*made]}
        )

    def nad(self, name: str, subnets: str | None, **config: Any) -> Object:
        return objects.nad(name, subnets, namespace=self.namespace, **config)

    def pod(self, name: str, networks: object = "", *, node: str = "", **spec: Any) -> Object:
        """It waits, and goes when it is told to. With 0 for its time to end, the API server would
        forget it before its node has."""
        made = objects.pod(
            name,
            networks,
            namespace=self.namespace,
            node=node,
            terminationGracePeriodSeconds=1,
            enableServiceLinks=False,
            **spec,
        )
        image = BUSYBOX if self.access.own else os.environ.get("WEFT_TEST_IMAGE", "busybox")
        made["spec"]["containers"][0]["image"] = image
        made["spec"]["containers"][0]["command"] = [
            "sh",
            "-c",
            "trap exit TERM; sleep 100000 & wait",
        ]
        return made

    def run(self, *pods: Object) -> None:
        """Make them, and return when all are ready."""
        self.apply(*pods)
        self.ready(*(pod["metadata"]["name"] for pod in pods))

    def ready(self, *pods: str) -> None:
        self.wait("condition=Ready", *(f"pod/{name}" for name in pods))

    def wait(self, what: str, *named: str) -> None:
        self.access.wait(what, *named, namespace=self.namespace)

    def delete(self, *pods: str) -> None:
        self.kubectl("delete", "pod", "--wait", *pods)

    def status(self, pod: str) -> list[Object]:
        """What Multus says of the pod's interfaces."""
        found = self.access.get("-n", self.namespace, "pod", pod)
        listed: list[Object] = json.loads(found["metadata"]["annotations"][STATUS])
        return listed

    def addresses(self, pod: str, interface: str = "net1") -> list[str]:
        (entry,) = [each for each in self.status(pod) if each["interface"] == interface]
        return list(entry["ips"])

    def inside(self, pod: str, *command: str, ok: bool = True) -> str:
        return self.access.inside(pod, *command, ok=ok, namespace=self.namespace)

    def reaches(self, pod: str, address: str, size: int = 56) -> bool:
        """Whether any of some pings from a pod is answered."""
        asked = ("ping", "-c", str(TRIES), "-W", "2", "-i", "0.2", "-s", str(size), address)
        script = f"{' '.join(asked)} >/tmp/ping 2>&1; echo $?"
        output = self.inside(pod, "sh", "-c", script)
        return output.split()[-1] == "0"

    def answers(self, pod: str, address: str, *, ok: bool = True) -> None:
        """Wait until pings from a pod are answered, or not any more."""
        what = "an answer of" if ok else "no answer of"
        until(lambda: self.reaches(pod, address) is ok, f"{what} {address} to {pod}")

    def event(self, name: str, reason: str, kind: str = "") -> str:
        """The message of an Event about an object, waited for by a watch."""
        selector = f"involvedObject.name={name},reason={reason}"
        selector += f",involvedObject.kind={kind}" if kind else ""
        argv = ["-n", self.namespace, "get", "events", "--watch", "--field-selector", selector]
        with subprocess.Popen(
            [
                *(self.access.program, *argv, "-o", "jsonpath={.message}{'\\n'}"),
                f"--request-timeout={PATIENCE:.0f}s",
            ],
            env={**os.environ, "KUBECONFIG": str(self.access.kubeconfig)},
            stdout=subprocess.PIPE,
            text=True,
        ) as watching:
            assert watching.stdout is not None
            message = watching.stdout.readline()
            watching.kill()
        assert message, f"no Event {reason} about {name}"
        return message.strip()

    @contextmanager
    def pinging(self, pod: str, address: str) -> Iterator[Pings]:
        """A ping from a pod, five times a second, for as long as the scope lasts."""
        counted = Pings()
        script = f"ping -i 0.2 {address} >/tmp/pings 2>&1 & echo $!"
        number = self.inside(pod, "sh", "-c", script).strip()
        until(lambda: self._answered(pod), f"the first answer to {pod}")
        try:
            yield counted
        finally:
            before = max(self._answered(pod))
            until(lambda: max(self._answered(pod)) > before + 2, f"more answers to {pod}")
            self.inside(pod, "kill", "-INT", number)
        answered = self._answered(pod)
        counted.sent = max(answered) + 1
        counted.lost = sorted(set(range(counted.sent)) - set(answered))

    def _answered(self, pod: str) -> list[int]:
        return [
            int(each) for each in re.findall(r"seq=(\d+)", self.inside(pod, "cat", "/tmp/pings"))
        ]


@contextmanager
def room(access: Access, namespace: str) -> Iterator[Room]:
    access.kubectl("create", "namespace", namespace)
    made = Room(access, namespace)
    try:
        yield made
    finally:
        access.kubectl("delete", "namespace", namespace, "--wait")


def policy_for(network: str) -> dict[str, str]:
    """The annotation of a policy for one network."""
    return {names.POLICY_FOR: network}
