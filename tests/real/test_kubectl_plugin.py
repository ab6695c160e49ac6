"""`kubectl weft`: kubectl finds weft on PATH, and completes its commands."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

import bootstrap
from tests.support import kubectl as kubectls
from weft import __version__
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real

ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture
def path(tmp_path: Path) -> str:
    """$PATH with the commands of a checkout."""
    bootstrap.write_commands(tmp_path, Path(sys.executable))
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"


async def says(program: str, path: str, home: Path, *arguments: str) -> tuple[int, str]:
    done = await asyncio.create_subprocess_exec(
        *(program, *arguments),
        env={**os.environ, "PATH": path, "HOME": str(home), "PYTHONPATH": ROOT},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # kubectl reports there how it completes
    )
    output, _ = await done.communicate()
    assert done.returncode is not None
    return done.returncode, output.decode()


async def test_kubectl_runs_weft(path: str, tmp_path: Path, toolchain: Toolchain) -> None:
    program = kubectls.program("lab", toolchain)
    assert await says(program, path, tmp_path, "weft", "--version") == (0, f"weft {__version__}\n")
    status, output = await says(program, path, tmp_path, "weft", "check", "--help")
    assert status == 0
    assert "kubectl weft check" in output


async def test_kubectl_completes_weft(path: str, tmp_path: Path, toolchain: Toolchain) -> None:
    program = kubectls.program("lab", toolchain)
    _, output = await says(program, path, tmp_path, "__complete", "weft", "net")
    assert output.splitlines()[0].split("\t")[0] == "networks"
    _, output = await says(program, path, tmp_path, "__complete", "weft", "networks", "--kube")
    assert output.splitlines()[0].split("\t")[0] == "--kubeconfig"
    assert ":4" in output.splitlines()
