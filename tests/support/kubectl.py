"""A real kubectl for tests: the lab's own, and the oldest that is served."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_lab.runtime import toolchain

NAMES = ("lab", "oldest")


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


def program(name: str, tools: toolchain.Toolchain) -> str:
    """`name`: "lab", the one that the lab uses, or "oldest", Debian 12's 1.20."""
    return tools.program("kubectl") if name == "lab" else _oldest()


@functools.cache
def _oldest() -> str:
    """Fetched once into the cache, as the lab fetches its programs."""
    from weft_lab.runtime import cache, debian

    folder = cache.folder() / "kubectl-bookworm"
    found = folder / "root/usr/bin/kubectl"
    with cache.lock(cache.folder() / "kubectl.lock"):
        if not found.exists():
            apt = debian.Apt(folder / "apt", "bookworm")
            apt.prepare()
            archives = apt.resolve(["kubernetes-client"])
            client = [archive for archive in archives if archive.name == "kubernetes-client"]
            debian.unpack(apt.fetch(client), folder / "root")
            shutil.rmtree(folder / "apt")
    return str(found)
