"""Speaks to a cluster that runs, and to its machines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import machine, plan, spec

PATIENCE = 300.0  # seconds: no limit of speed, it only ends what hangs


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of a running cluster; `folder` is its own, outside."""

    name: str
    folder: Path

    def start(self, service: plan.Service) -> None:
        """Until it is ready. Raises RuntimeError with the end of its log if it ends instead."""
        env = {"PATH": plan.PATH, "HOME": "/root", **dict(service.env)}
        answer = self._ask(
            {
                "start": service.name,
                "argv": service.argv,
                "env": env,
                "log": service.log,
                "notifies": service.notifies,
            }
        )
        if "pid" not in answer:
            raise RuntimeError(f"{self.name}/{service.name}: {answer}\n{self.log(service.name)}")

    def stop(self, service: str, number: int = signal.SIGTERM) -> int:
        """Until it has ended; its exit status."""
        answer = self._ask({"stop": service, "signal": number})
        if "ended" not in answer:
            raise RuntimeError(f"{self.name}/{service}: {answer}")
        return int(answer["ended"])

    def running(self) -> dict[str, int]:
        """Process numbers inside the machine, by service."""
        return dict(self._ask({"running": True})["running"])

    def log(self, service: str, lines: int = 40) -> str:
        with contextlib.suppress(FileNotFoundError):
            text = (self.folder / "log" / f"{service}.log").read_text(errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def logs(self) -> Iterator[Path]:
        return (self.folder / "log").glob("*.log")

    def run(
        self, *argv: str, data: bytes | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """A command inside the machine."""
        done = subprocess.run(
            self.enter(*argv),
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if check and done.returncode:
            output = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise RuntimeError(f"{self.name}: {argv}: status {done.returncode}: {output}")
        return done

    def enter(self, *argv: str) -> list[str]:
        """The command that runs `argv` inside, from this machine."""
        kinds = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        inside = (
            "env",
            "-i",
            f"PATH={plan.PATH}",
            "HOME=/root",
            f"TERM={os.environ.get('TERM', '')}",
        )
        return ["nsenter", f"--target={self.pid()}", *kinds, "--wd=/", "--", *inside, *argv]

    def pid(self) -> int:
        """Of its process 1, as seen from here."""
        with self._connected() as sock:
            credentials = sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
            )
        return int(struct.unpack("3i", credentials)[0])

    def _ask(self, question: dict[str, object]) -> dict[str, Any]:
        with self._connected() as sock, sock.makefile("rw") as stream:
            stream.write(json.dumps(question) + "\n")
            stream.flush()
            line = stream.readline()
        if not line:
            raise RuntimeError(f"{self.name} has gone")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            folder = os.open(self.folder, os.O_PATH)
            try:
                sock.connect(f"/proc/self/fd/{folder}/{machine.SOCKET}")
            finally:
                os.close(folder)
            yield sock


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs."""

    spec: spec.Cluster
    state: Path
    kubernetes: Path

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def nodes(self) -> tuple[Machine, ...]:
        return tuple(self.machine(node.name) for node in self.spec.members)

    def machine(self, name: str) -> Machine:
        return Machine(name, self.state / name)

    def services(self, name: str) -> tuple[plan.Service, ...]:
        if name == spec.CONTROL:
            return plan.control(self.spec)
        return next(plan.node(self.spec, node) for node in self.spec.members if node.name == name)

    def restart(self, name: str, service: str, number: int = signal.SIGTERM) -> None:
        """End a service with a signal, start it again, and wait until it is ready."""
        one = self.machine(name)
        one.stop(service, number)
        self.start(name, service)

    def start(self, name: str, service: str) -> None:
        (wanted,) = [each for each in self.services(name) if each.name == service]
        self.machine(name).start(wanted)

    def kubectl(self, *arguments: str, data: str = "", check: bool = True) -> str:
        """Its output; of both kinds if it is not to be checked."""
        done = subprocess.run(
            [str(self.kubernetes / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=data,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if not check:
            return done.stdout + done.stderr
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def import_image(self, archive: Path, machines: Iterable[str] = ()) -> None:
        """Give an OCI archive to the nodes, as a registry would."""
        data = archive.read_bytes()
        chosen = [self.machine(name) for name in machines] or list(self.nodes)
        for node in chosen:
            node.run("ctr", "-n", "k8s.io", "images", "import", "-", data=data)


def until(holds: Any, what: str, patience: float = PATIENCE) -> None:
    """For what tells nobody that it has come: asks again and again."""
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.1)
