"""A node with real OVN and OVS on which tests call the CNI plugin as a runtime does.

The lab here has no kubelet: pods are objects that the cluster manager annotates and the agent
gives rows, and the test is their runtime.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support import labs
from lab.tests.support.labs import ROOT, LabHouse
from tests.support import objects
from tests.support.patience import PATIENCE
from weft.kube import client, resources
from weft_lab.runtime.toolchain import Toolchain

DRIVER = Path(__file__).parent / "inside" / "cni_driver.py"
COMPONENTS = ("api", "cluster-manager")
NUMBERS = itertools.count()
_NAD = objects.nad("blue", "10.100.0.0/16,fd01::/64", mtu=1300)
BLUE: dict[str, Any] = json.loads(_NAD["spec"]["config"])


@dataclass
class Pod:
    """A pod object, and the sandbox that a test makes for it."""

    name: str
    uid: str
    sandbox: str

    @property
    def args(self) -> str:
        return (
            f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={self.name};"
            f"K8S_POD_UID={self.uid}"
        )


@dataclass
class Runtime:
    """What a container runtime does on the node."""

    process: subprocess.Popen[str]
    kubeconfig: str

    def order(self, op: str, **fields: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"op": op, **fields}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer["done"]

    def call(
        self,
        command: str,
        pod: Pod,
        config: Any = None,
        interface: str = "net1",
        padding: int = 0,
        **env: str,
    ) -> dict[str, Any]:
        """One execution of the plugin; a variable given as "-" is not set at all."""
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": pod.sandbox,
            "CNI_NETNS": f"/run/netns/{pod.sandbox}",
            "CNI_IFNAME": interface,
            "CNI_ARGS": pod.args,
            "CNI_PATH": "/opt/cni/bin",
            **env,
        }
        data = config if isinstance(config, str) else json.dumps(config or BLUE)
        kept = {key: value for key, value in variables.items() if value != "-"}
        answer: dict[str, Any] = self.order("call", env=kept, data=data, padding=padding)
        assert answer["stderr"] == ""
        return answer

    def api(self, work: Callable[[client.Client], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with client.Client.from_kubeconfig(self.kubeconfig) as api:
                return await work(api)

        return asyncio.run(run())

    def pod(self, *networks: dict[str, Any], name: str = "") -> Pod:
        """A pod on this node with a fresh sandbox."""
        number = next(NUMBERS)
        name = name or f"pod{number}"
        wanted = objects.pod(name, list(networks) or "blue", node="node1")
        made = self.api(lambda api: api.create(resources.PODS, wanted))
        sandbox = f"sandbox{number}"
        self.order("netns", name=sandbox)
        return Pod(name, made["metadata"]["uid"], sandbox)

    def remove(self, pod: Pod) -> None:
        self.api(lambda api: api.delete(resources.PODS, pod.name, "default", grace=0))

    @contextmanager
    def hurried(self, seconds: float) -> Iterator[None]:
        """The agent soon gives up what does not come."""
        self.order("patience", seconds=seconds)
        try:
            yield
        finally:
            self.order("patience", seconds=PATIENCE)

    def look(self, pod: Pod, interface: str = "net1") -> Any:
        return self.order("look", name=pod.sandbox, interface=interface)

    def left(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self.order("left")
        return found


def nad_object(config: dict[str, Any]) -> objects.Object:
    return objects.raw_nad(config["netAttachDefName"].split("/")[1], json.dumps(config))


@pytest.fixture(scope="module")
def cni_lab(
    tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain
) -> Iterator[tuple[LabHouse, str, str]]:
    """A lab of one node without kubelet, with network blue; its house, name and kubeconfig."""
    state = tmp_path_factory.mktemp("cni")
    with labs.running("cni", 1, state, toolchain, COMPONENTS, primary="none") as (
        house,
        kubeconfig,
    ):
        yield house, "cni", kubeconfig


@contextmanager
def runtime(
    lab: tuple[LabHouse, str, str], kind: str, patience: float = PATIENCE
) -> Iterator[Runtime]:
    """The driver, running on the node."""
    _, name, kubeconfig = lab
    command = [sys.executable, "-m", "weft.cli.main", "lab", "exec", "--name", name, "node1", "--"]
    process = subprocess.Popen(
        [*command, sys.executable, "-u", str(DRIVER), kind, str(patience)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline() or "null") == "ready"
        yield Runtime(process, kubeconfig)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE)
