"""Labs for tests: each under its own name and state folder, gone when its test ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE
from weft_lab import spec, up
from weft_lab.runtime import toolchain as toolchains

ROOT = Path(__file__).parents[3]
ZONES_ONLY = ("none",)  # a lab of this part has its OVN zones and nothing of Python


@dataclass
class LabHouse:
    """Where a test's labs live. `weft` runs the command line as a user would."""

    tools: toolchains.Toolchain
    state: Path
    names: list[str] = field(default_factory=list)

    def up(
        self,
        name: str,
        nodes: int,
        chosen: tuple[str, ...] = ZONES_ONLY,
        *,
        primary: str = "weft",
        cluster_subnets: str | None = None,
        disks: tuple[str, ...] | None = None,
        vlans: tuple[int, ...] | None = None,
    ) -> dict[str, Any]:
        self.names.append(name)
        options = spec.Options(
            nodes=nodes,
            primary=primary,
            cluster_subnets=cluster_subnets,
            disks=disks,
            vlans=vlans,
        )
        return up.up(name, options, tools=self.tools, components=chosen)

    def run(
        self, target: str, *argv: str, lab: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a lab's node through `weft lab exec`."""
        name = lab or self.names[0]
        return self.weft("lab", "exec", "--name", name, target, "--", *argv, check=check)

    def reach(self, target: str, address: str, *options: str, patience: float = PATIENCE) -> None:
        """An answer comes to a ping from there. It is asked for again and again: a node learns
        later than another what is new, and a tunnel's first packet to a new peer may be lost."""
        argv = ("ping", "-c", "1", "-W", "1", *options, address)
        end = time.monotonic() + patience
        while self.run(target, *argv, check=False).returncode != 0:
            assert time.monotonic() < end, f"{target} does not reach {address}"

    def is_deaf(self, target: str, address: str) -> bool:
        """Whether none of three pings from there is answered; the pings themselves must run."""
        argv = ("ping", "-c", "3", "-W", "1", address)
        return "100% packet loss" in self.run(target, *argv, check=False).stdout

    def weft(
        self, *argv: str, check: bool = True, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "weft.cli.main", *argv],
            env={**os.environ, "PYTHONPATH": str(ROOT), "WEFT_DEBUG": "1"},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr + done.stdout
        return done

    def kubectl(self, kubeconfig: str, *argv: str, stdin: str = "") -> str:
        """What a user's kubectl says; it must succeed."""
        done = self.try_kubectl(kubeconfig, *argv, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_kubectl(
        self, kubeconfig: str, *argv: str, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """The end of a user's kubectl, whatever it is."""
        return subprocess.run(
            [self.tools.program("kubectl"), *argv],
            env={**os.environ, "KUBECONFIG": kubeconfig, "HOME": str(self.state)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *argv: str, check: bool = True) -> Any:
        return json.loads(self.weft(*argv, "--output", "json", check=check).stdout)


@contextmanager
def running(
    name: str,
    nodes: int,
    state: Path,
    tools: toolchains.Toolchain,
    chosen: tuple[str, ...] = (),
    *,
    primary: str = "weft",
    cluster_subnets: str | None = None,
    disks: tuple[str, ...] | None = None,
    vlans: tuple[int, ...] | None = None,
) -> Iterator[tuple[LabHouse, str]]:
    """A lab for the tests of a whole file, of all parts if none are chosen; and its kubeconfig."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        patch.delenv("KUBECONFIG", raising=False)
        house = LabHouse(tools, state)
        try:
            found = house.up(
                name,
                nodes,
                chosen or up.installed(),
                primary=primary,
                cluster_subnets=cluster_subnets,
                disks=disks,
                vlans=vlans,
            )
            yield house, found["kubeconfig"]
        finally:
            up.down(name)


@pytest.fixture
def labs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toolchain: toolchains.Toolchain
) -> Iterator[LabHouse]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    house = LabHouse(toolchain, tmp_path / "state")
    yield house
    for name in house.names:
        up.down(name)
