"""Labs beside what a host has mounted: nothing of it matters to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.tests.support.labs import ROOT
from weft_lab.runtime import databases, toolchain

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount things for a lab to meet"),
]

# What `ip netns add` leaves behind: a folder mounted on itself, shared, with a namespace in it.
BESIDE_NAMED_NAMESPACES = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def mount(source, target, kind, flags):
    if libc.mount(source, target, kind, flags, None):
        raise OSError(ctypes.get_errno(), target)
libc.unshare(0x20000)
mount(b"none", b"/", None, 16384 | 1 << 18)
mount(b"tmpfs", b"/run", b"tmpfs", 0)
os.mkdir("/run/netns")
mount(b"/run/netns", b"/run/netns", None, 4096)
mount(b"none", b"/run/netns", None, 1 << 20)
open("/run/netns/bystander", "w").close()
mount(b"/proc/self/ns/net", b"/run/netns/bystander", None, 4096)
os.execv(sys.executable, [sys.executable, "-m", "weft.cli.main", *sys.argv[1:]])
"""


def test_a_lab_comes_up_beside_named_namespaces(
    tmp_path: Path, toolchain: toolchain.Toolchain
) -> None:
    databases.ensure(toolchain)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}

    def weft(*argv: str, before: str = "") -> subprocess.CompletedProcess[str]:
        start = ["-c", before] if before else ["-m", "weft.cli.main"]
        command = [sys.executable, *start, *argv]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    up = ("lab", "up", "--name", "beside", "--nodes", "1", "--output", "json")
    try:
        done = weft(*up, before=BESIDE_NAMED_NAMESPACES)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["running"]
        inside = ("lab", "exec", "--name", "beside", "node1", "--")
        there = weft(*inside, "busybox", "ls", "/run/netns")
        assert there.stdout == "", "the host's names are the host's"
    finally:
        weft("lab", "down", "--name", "beside")
