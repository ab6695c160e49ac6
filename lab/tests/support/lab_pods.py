"""Pods of a whole lab, as a user makes them with kubectl, and pings that run for a while."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.tests.support.labs import ROOT, LabHouse
from tests.support import cuts, objects, pinger
from tests.support.patience import PATIENCE, await_true


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

    def guest_address(self, machine: str, interface: str, prefix: str) -> str:
        """The address that a virtual machine has on an interface of its instance, as soon as its
        guest reports it: its link-local address comes before."""

        found: list[str] = []

        def is_there() -> bool:
            vmi = json.loads(self("get", "vmi", machine, "-o", "json"))
            listed = (vmi.get("status") or {}).get("interfaces", ())
            mine = [one for one in listed if one.get("name") == interface]
            every = [address for one in mine for address in one.get("ipAddresses", ())]
            found[:] = [each for each in every if each.startswith(prefix)]
            return bool(found)

        await_true(is_there, f"{machine}: {interface}: {prefix}")
        return found[0]


@dataclass
class Pings:
    """What a ping that ran has counted: when each was sent, and how often it was answered."""

    every: list[tuple[float, int]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return len(self.every)

    @property
    def lost(self) -> tuple[int, ...]:
        """Which had no answer."""
        return tuple(number for number, (_, times) in enumerate(self.every) if not times)

    @property
    def is_cut(self) -> bool:
        return cuts.is_cut(self.every)

    @property
    def doubled(self) -> int:
        """How many answers came twice."""
        return sum(max(times - 1, 0) for _, times in self.every)


@contextlib.contextmanager
def pinging(labs: LabHouse, name: str, address: str) -> Iterator[Pings]:
    """Pings from a pod, 20 times a second, for as long as the scope lasts. Paths are resolved
    before: from then on none is lost. The pod's own ping would lose answers at its socket."""
    labs.reach(f"default/{name}", address)
    counts = Pings()
    there = ("lab", "exec", "--name", labs.names[0], *inside(labs, name))
    program = (sys.executable, "-I", pinger.__file__, address, "0.05")
    running = subprocess.Popen(
        [sys.executable, "-m", "weft.cli.main", *there, *program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "started\n"
    try:
        yield counts
    finally:
        output, _ = running.communicate(timeout=PATIENCE)
    counts.every = [(sent, times) for sent, _, times in json.loads(output)["pings"]]


def inside(labs: LabHouse, name: str) -> tuple[str, ...]:
    """Arguments of `weft lab exec` for a command in a pod's network namespace with the node's
    files: the pod has no Python."""
    show = "for each in /run/weft/*/*/pod.json; do cat $each; echo; done"
    services = labs.json("lab", "status", "--name", labs.names[0])["services"]
    places = {each["name"].partition("/")[0] for each in services}
    for node in sorted(each for each in places if each.startswith("node")):
        shown = labs.run(node, "busybox", "sh", "-c", show, check=False).stdout
        records = [json.loads(line) for line in shown.splitlines() if line]
        for record in (each for each in records if each["pod"] == name):
            return (node, "--", "nsenter", f"--net={record['netns']}")
    raise AssertionError(f"no node has pod {name}")
