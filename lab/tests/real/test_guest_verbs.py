"""What a seed has the built-in guest do, in a network namespace in place of a guest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from weft_lab.kubelet import images
from weft_lab.runtime import toolchain

pytestmark = pytest.mark.real

VERBS = Path(images.__file__).parents[1] / "vm/guest/verbs"
# The card has no carrier, and so no link-local address, until the client waits for it or has ended.
GUEST = """
import os, socket, subprocess, sys
from pyroute2 import IPRoute
from weft_lab.runtime import namespaces as ns
programs, verbs, patience = sys.argv[1], sys.argv[2], float(sys.argv[3])
user, group = os.getuid(), os.getgid()
ns.unshare(ns.CLONE_NEWUSER | ns.CLONE_NEWNET | ns.CLONE_NEWNS | ns.CLONE_NEWPID)
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"0 {user} 1")
open("/proc/self/gid_map", "w").write(f"0 {group} 1")
if first := os.fork():  # everything ends with process 1
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
ns.mount("tmpfs", "/run", "tmpfs")
ns.mount("proc", "/proc", "proc")
os.mkdir("/run/net")
os.mkfifo("/run/net/never")

def waits_or_ended():
    held = (f"/proc/{pid}/fd/8" for pid in os.listdir("/proc") if pid.isdigit())
    return "/run/net/never" in map(os.path.realpath, held) or os.waitpid(-1, os.WNOHANG)[0]

with IPRoute() as links:
    links.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})
    far = links.link_lookup(ifname="far")[0]
    shell = ["sh", "-c", f". {verbs}; dhcp6 eth0"]
    subprocess.run(shell, env={"PATH": programs}, check=True)
    while not waits_or_ended():
        os.sched_yield()
    links.link("set", index=far, state="up")
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
    wire.bind(("far", 0))
wire.settimeout(patience)
while wire.recv(2048)[54:58] != bytes.fromhex("02220223"):  # DHCPv6, from client to server
    pass
print("asked", flush=True)
"""


def test_a_guest_asks_by_dhcpv6_though_its_link_comes_up_late(
    tmp_path: Path, toolchain: toolchain.Toolchain
) -> None:
    programs = images.ensure(tmp_path, Path(toolchain.program("busybox"))) / "bin"
    argv = [sys.executable, "-c", GUEST, str(programs), str(VERBS), str(PATIENCE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout == "asked\n", done.stderr
