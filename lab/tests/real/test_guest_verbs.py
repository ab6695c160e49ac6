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
GUEST = """
import os, shutil, socket, subprocess, sys
from pathlib import Path
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
ns.mount("tmpfs", "/etc", "tmpfs")
for name in ("verbs", "lease"):
    shutil.copy(Path(verbs).parent / name, f"/etc/{name}")
    os.chmod(f"/etc/{name}", 0o755)
os.mkdir("/run/net")
os.mkfifo("/run/net/never")
"""
# The card has no carrier, and so no link-local address, until the client waits for it or has ended.
LATE_LINK = """
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
# A server that is slow to confirm what it offered.
SLOW_SERVER = """
os.mkfifo("/run/net/tried")
tried = os.open("/run/net/tried", os.O_RDWR | os.O_NONBLOCK)
with IPRoute() as links:
    links.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})
    far = links.link_lookup(ifname="far")[0]
    links.addr("add", index=far, address="10.9.0.1", prefixlen=24)
    links.link("set", index=far, state="up")
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"far")
wire.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
wire.bind(("", 67))
wire.settimeout(patience)
subprocess.run(["sh", "-c", f". {verbs}; dhcp4 eth0"], env={"PATH": programs}, check=True)

def told():
    try:
        return os.read(tried, 64)
    except BlockingIOError:
        return b""

def answer(asked, kind):
    given = bytes(8) + bytes((10, 9, 0, 7)) + bytes(8)
    head = b"\\2\\1\\6\\0" + asked[4:8] + given + asked[28:236]
    options = bytes((53, 1, kind, 54, 4, 10, 9, 0, 1, 51, 4, 0, 0, 2, 88))
    options += bytes((1, 4, 255, 255, 255, 0, 255))
    wire.sendto(head + b"\\x63\\x82\\x53\\x63" + options, ("255.255.255.255", 68))

requests = 0
while requests < 5:  # the client gives up after three, and begins anew
    asked = wire.recv(2048)
    is_request = b"\\x35\\1\\3" in asked[240:]
    requests += is_request
    if not is_request:
        answer(asked, 2)
    assert told() == b"", "there is no lease yet"
answer(asked, 5)
os.set_blocking(tried, True)
print(os.read(tried, 64).decode(), end="", flush=True)
"""


def in_a_guest(script: str, folder: Path, tools: toolchain.Toolchain) -> str:
    """What a script prints that stands where a guest would, with the guest's programs and verbs."""
    programs = images.ensure(folder, Path(tools.program("busybox"))) / "bin"
    argv = [sys.executable, "-c", GUEST + script, str(programs), str(VERBS), str(PATIENCE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_guest_asks_by_dhcpv6_though_its_link_comes_up_late(
    tmp_path: Path, toolchain: toolchain.Toolchain
) -> None:
    assert in_a_guest(LATE_LINK, tmp_path, toolchain) == "asked\n"


def test_what_waits_for_a_lease_waits_for_a_slow_server(
    tmp_path: Path, toolchain: toolchain.Toolchain
) -> None:
    assert in_a_guest(SLOW_SERVER, tmp_path, toolchain) == "eth0\n"
