"""Pods of a whole lab, as a user makes them with kubectl, and pings that run for a while."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from lab.tests.support.labs import ROOT, LabHouse
from tests.support import objects
from tests.support.patience import PATIENCE


def pod(name: str, node: str, networks: object = "", **spec: Any) -> objects.Object:
    """On this node, and gone as soon as it is deleted."""
    return objects.pod(name, networks, node=node, terminationGracePeriodSeconds=0, **spec)


class Kubectl:
    """The user's kubectl on one lab."""

    def __init__(self, labs: LabHouse, kubeconfig: str) -> None:
        self._labs, self._kubeconfig = labs, kubeconfig

    def __call__(self, *argv: str, stdin: str = "") -> str:
        return self._labs.kubectl(self._kubeconfig, *argv, stdin=stdin)

    def apply(self, *objects: dict[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self("apply", "-f", "-", stdin=json.dumps(listed))

    def run_pods(self, *objects: dict[str, Any]) -> None:
        """Make them, and return when all of them are ready."""
        self.apply(*objects)
        pods = [f"pod/{obj['metadata']['name']}" for obj in objects if obj["kind"] == "Pod"]
        self("wait", "--for=condition=Ready", *pods, f"--timeout={PATIENCE:g}s")

    def event(self, name: str, reason: str, namespace: str = "default") -> str:
        """The message of an Event about an object, waited for."""
        selector = f"involvedObject.name={name},reason={reason}"
        form = "jsonpath={.message}{'\\n'}"
        argv = (
            "get",
            "events",
            "-n",
            namespace,
            "--watch",
            "--field-selector",
            selector,
            "-o",
            form,
        )
        watching = subprocess.Popen(
            [self._labs.tools.program("kubectl"), *argv, f"--request-timeout={PATIENCE:g}s"],
            env={**os.environ, "KUBECONFIG": self._kubeconfig},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert watching.stdout is not None
            message = watching.stdout.readline()
        finally:
            watching.kill()
            watching.wait()
        assert message, f"no Event {reason} about {name}"
        return message

    def pod(self, name: str) -> Any:
        return json.loads(self("get", "pod", name, "-o", "json"))

    def status(self, name: str) -> list[dict[str, Any]]:
        """The pod's network-status."""
        found = self.pod(name)["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"]
        listed: list[dict[str, Any]] = json.loads(found)
        return listed

    def address(self, name: str, interface: str = "eth0") -> str:
        (entry,) = [one for one in self.status(name) if one["interface"] == interface]
        return str(entry["ips"][0])


class Pings:
    """What a ping that ran has counted: how many were sent, which had no answer, and how many
    answers came twice."""

    sent = 0
    lost: tuple[int, ...] = ()
    doubled = 0


@contextlib.contextmanager
def pinging(labs: LabHouse, name: str, address: str) -> Iterator[Pings]:
    """A ping from a pod, 20 times a second, for as long as the scope lasts."""
    counts = Pings()
    argv = ("lab", "exec", "--name", labs.names[0], f"default/{name}", "--", "ping", "-i", "0.05")
    running = subprocess.Popen(
        [sys.executable, "-m", "weft.cli.main", *argv, address],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the interrupt meets the ping too
    )
    assert running.stdout is not None
    seen = [_first(running.stdout)]  # paths are resolved; from here on none is lost
    try:
        yield counts
    finally:
        os.killpg(running.pid, signal.SIGINT)
        seen += [_answer(line) for line in running.stdout]
        running.wait(PATIENCE)
    arrived = [number for number in seen if number >= 0]
    answered = set(arrived)
    counts.doubled = len(arrived) - len(answered)
    # The last ones may have been on their way when the ping was interrupted.
    counts.sent = max(answered) + 1
    counts.lost = tuple(sorted(set(range(min(answered), counts.sent)) - answered))


def _first(lines: Iterable[str]) -> int:
    return next((number for number in map(_answer, lines) if number >= 0), -1)


def _answer(line: str) -> int:
    """Which request a line of ping's answers, -1 if it is another line."""
    found = re.search(r"seq=(\d+)", line)
    return int(found[1]) if found else -1
