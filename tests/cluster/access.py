"""What a suite does with a cluster: kubectl, and what can be read when a test fails."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import goparts, missing
from tests.cluster.cluster import PATIENCE, Cluster

Object = dict[str, Any]
BUSYBOX = "weft.test/busybox:1"


@dataclass(frozen=True, slots=True)
class Access:
    """`own` is there if the cluster is of our making: its machines can be looked into.

    `missing` says why it has no nodes, if it has none.
    """

    kubeconfig: Path
    program: str
    own: Cluster | None = None
    missing: str = ""

    def kubectl(
        self,
        *arguments: str,
        data: object = None,
        ok: bool | None = True,
        timeout: float = PATIENCE,
    ) -> str:
        """Output and complaints of one command; fails unless it succeeds as `ok` says, if it does.

        `data` goes to its input, as JSON if it is no text.
        """
        text = data if isinstance(data, str) else json.dumps(data) if data is not None else ""
        done = subprocess.run(
            [self.program, *arguments],
            input=text,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert ok in (None, done.returncode == 0), f"kubectl {' '.join(arguments)}: {done.stdout}"
        return done.stdout

    def get(self, *arguments: str) -> Object:
        found: Object = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def wait(self, what: str, *objects: str, namespace: str = "default") -> None:
        """Until `what` holds (as `kubectl wait --for` has it), by a watch."""
        limit = f"--timeout={PATIENCE:.0f}s"
        self.kubectl(
            "-n", namespace, "wait", f"--for={what}", limit, *objects, timeout=PATIENCE + 30
        )

    def inside(self, pod: str, *command: str, ok: bool = True, namespace: str = "default") -> str:
        """What a command in a pod says."""
        return self.kubectl("-n", namespace, "exec", pod, "--", *command, ok=ok)

    def nodes(self) -> list[str]:
        """Those that take any pod: taints of a role count, those of a passing condition do not."""

        def is_reserved(node: Object) -> bool:
            taints = [each["key"] for each in node["spec"].get("taints", ())]
            return any(not key.startswith("node.kubernetes.io/") for key in taints)

        listed = self.get("nodes")["items"]
        return sorted(each["metadata"]["name"] for each in listed if not is_reserved(each))

    def machines(self, does: str = "ends or examines parts of a node") -> Cluster:
        """Our own cluster, with which a test may do anything; on another the test is skipped."""
        if self.own is None:
            pytest.skip(f"{does}: only on a cluster of our own")
        return self.own

    def evidence(self) -> Iterator[tuple[str, str]]:
        for what in ("pods", "events"):
            with contextlib.suppress(AssertionError, subprocess.SubprocessError):
                output = self.kubectl("get", what, "-A", "-o", "wide", timeout=30)
                yield what, "\n".join(output.splitlines()[-30:])
        if self.own is not None:
            for pattern in ("*/log/*.log", "*/log/pods/weft-system_*/*/*.log"):
                for path in sorted(self.own.state.glob(pattern)):
                    if path.is_file() and path.name != "audit.log":
                        lines = path.read_text(errors="replace").splitlines()[-25:]
                        yield str(path.relative_to(self.own.state)), "\n".join(lines)


def of_user(kubeconfig: Path) -> Access:
    """The user's cluster, by the kubectl on PATH or the one that we build."""
    program = shutil.which("kubectl")
    if program is None:
        with missing.skipped():
            program = str(goparts.program(goparts.NEWEST, "kubectl"))
    return Access(kubeconfig, program)
