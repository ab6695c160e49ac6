"""The embedded API server as a real kubectl meets it."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.support import apiserver

pytestmark = pytest.mark.real


async def kubectl(
    server: apiserver.Server, *arguments: str, stdin: str = "", ok: bool = True
) -> str:
    program = os.environ.get("WEFT_TEST_KUBECTL") or shutil.which("kubectl") or "kubectl"
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        env={**os.environ, "KUBECONFIG": str(server.kubeconfig), "HOME": str(server.logs)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(stdin.encode())
    assert (process.returncode == 0) is ok, output.decode()
    return output.decode()


POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: main, image: busybox}]}
"""


async def test_apply_get_delete(tmp_path: Path) -> None:
    async with apiserver.running(tmp_path) as server:
        assert "created" in await kubectl(server, "apply", "--validate=false", "-f", "-", stdin=POD)
        assert "Pending" in await kubectl(server, "get", "pods", "-l", "app=web")
        assert "deleted" in await kubectl(server, "delete", "pod", "web")
        assert "not found" in await kubectl(server, "get", "pod", "web", ok=False)
