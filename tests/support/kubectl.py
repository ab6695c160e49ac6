"""A real kubectl for tests: every different one that is at hand, by its version."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson


@dataclass(frozen=True)
class Kubectl:
    """One program against one cluster; keeps its caches apart from the user's."""

    program: str
    kubeconfig: Path
    home: Path

    async def __call__(self, *arguments: str, stdin: str = "", ok: bool = True) -> str:
        """Its output and its complaints; fails unless it succeeds as expected."""
        async with self.start(*arguments) as process:
            output, _ = await process.communicate(stdin.encode())
        assert (process.returncode == 0) is ok, f"{arguments}: {output.decode()}"
        return output.decode()

    def start(self, *arguments: str) -> _Process:
        return _Process(self, arguments)


class _Process:
    """A running kubectl that ends with the block."""

    def __init__(self, kubectl: Kubectl, arguments: tuple[str, ...]) -> None:
        self._kubectl = kubectl
        self._arguments = arguments

    async def __aenter__(self) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._kubectl.kubeconfig),
            "HOME": str(self._kubectl.home),
        }
        self._process = await asyncio.create_subprocess_exec(
            self._kubectl.program,
            *self._arguments,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return self._process

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@cache
def programs() -> dict[str, str]:
    """Version to program: those on the path, and those that WEFT_TEST_KUBECTLS lists."""
    listed = os.environ.get("WEFT_TEST_KUBECTLS", "").split(os.pathsep)
    found: dict[str, str] = {}
    for program in (shutil.which("kubectl") or "", *listed):
        if program:
            command = [program, "version", "--client", "--output", "json"]
            told = subprocess.run(command, capture_output=True, check=True).stdout
            version = orjson.loads(told)["clientVersion"]["gitVersion"]
            found.setdefault(version, program)
    return found
