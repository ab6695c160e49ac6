"""Weft's own processes on zones: API server, cluster manager and an agent for each node.

What a lab runs, without the stand-ins for kubelet and KubeVirt: a test makes pods by writing
objects and calling the CNI plugin itself.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE
from tests.support.zones import Space, Wire, Zone
from weft.cni import shim
from weft.kube.client import Client

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "lab/weft_lab/crds"
_ADDRESS = "192.0.2.254"
_NETNS = "import sys, pathlib; from weft.host import netns; netns.make(pathlib.Path(sys.argv[1]))"


@dataclass
class Whole:
    """The API is at `kubeconfig` for the test, and at `inner` for what runs inside.

    `settings` are what manager and agents are told alike.
    """

    wire: Wire
    folder: Path
    settings: tuple[str, ...] = ()
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    agents: dict[str, subprocess.Popen[str]] = field(default_factory=dict)  # by node

    @property
    def env(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        return {**self.wire.space.env, "PYTHONPATH": path}

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def inner(self) -> Path:
        return self.folder / "inner"

    def start_api(self) -> None:
        run = self.wire.space.run
        run("busybox", "ip", "addr", "add", f"{_ADDRESS}/24", "dev", "underlay")
        with socket.create_server(("127.0.0.1", 0)) as outer:
            ready, tell = os.pipe()
            fd = outer.fileno()
            command = self.wire.space.inside(
                *(sys.executable, "-m", "weft_lab.apiserver.main", "--state", str(self.folder)),
                *("--crds", str(CRDS), "--listen", f"http:fd={fd}"),
                *("--listen", f"http://{_ADDRESS}:6443", "--ready-fd", str(tell)),
            )
            api = subprocess.Popen(
                command,
                env=self.env,
                pass_fds=(fd, tell),
                stdin=subprocess.DEVNULL,
                stderr=self._log("api"),
                text=True,
            )
            os.close(tell)
        self.processes.append(api)
        with os.fdopen(ready) as pipe:
            urls = pipe.readline().split()
        self.inner.write_text(self.kubeconfig.read_text().replace(urls[0], urls[1]))

    def _log(self, name: str) -> Any:
        return (self.folder / f"{name}.log").open("a")

    def start(self, space: Space, name: str, *arguments: str) -> subprocess.Popen[str]:
        """A process of weft inside; it ends with the wire, or by `stop`."""
        kubeconfig = ("--kubeconfig", str(self.inner), "--log-level", "info")
        process = subprocess.Popen(
            space.inside(sys.executable, "-m", "weft", *arguments, *kubeconfig),
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self._log(name),
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def start_manager(self) -> subprocess.Popen[str]:
        return self.start(self.wire.space, "manager", "cluster-manager", *self.settings)

    def start_agent(self, zone: Zone, *settings: str) -> subprocess.Popen[str]:
        told = ("--node", zone.name, *self.settings, *settings)
        self.agents[zone.name] = self.start(zone.space, zone.name, "node", *told)
        return self.agents[zone.name]

    def agent(self, zone: Zone) -> subprocess.Popen[str]:
        """The process that runs the agent of a zone."""
        return self.agents[zone.name]

    def stop(self, process: subprocess.Popen[str]) -> int:
        """Orderly; its exit status. The process itself is the only child of who entered for it."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(children.split()[0]), signal.SIGTERM)
        return process.wait(PATIENCE)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def make_sandbox(self, zone: Zone, name: str) -> None:
        """A pod's network namespace, as a runtime makes it before it calls the plugin."""
        command = zone.space.inside(sys.executable, "-c", _NETNS, f"/run/netns/{name}")
        subprocess.run(command, env=self.env, check=True)

    def call(
        self, zone: Zone, command: str, pod: dict[str, Any], interface: str, nad: dict[str, Any]
    ) -> tuple[int, Any]:
        """One call of the CNI plugin, as a runtime on that node makes it."""
        meta = pod["metadata"]
        environment = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": meta["uid"].replace("-", ""),
            "CNI_NETNS": f"/run/netns/{meta['name']}",
            "CNI_IFNAME": interface,
            "CNI_PATH": "/opt/cni/bin",
            "CNI_ARGS": f"K8S_POD_NAMESPACE={meta['namespace']};K8S_POD_NAME={meta['name']};"
            f"K8S_POD_UID={meta['uid']}",
        }
        done = subprocess.run(
            zone.space.inside(sys.executable, "-I", "-S", "-E", shim.__file__),
            env={**zone.space.env, **environment},
            input=nad["spec"]["config"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else done.stderr


@pytest.fixture
def whole(wire: Wire, request: pytest.FixtureRequest) -> Iterator[Whole]:
    """Parametrized indirectly, the parameter is `settings`."""
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        made = Whole(wire, Path(folder), getattr(request, "param", ()))
        made.start_api()
        made.start_manager()
        yield made
        for process in made.processes:
            process.kill()
            process.wait(PATIENCE)


@pytest.fixture
async def api(whole: Whole) -> AsyncIterator[Client]:
    async with Client.from_kubeconfig(str(whole.kubeconfig)) as client:
        yield client
