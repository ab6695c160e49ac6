"""Runs in a pod: tries every way out that is known, and says as JSON what it reached.

    python -c "..." TOKEN SECRET DEVICE      TOKEN is what the file SECRET of the machine says

Nothing but the standard library: the pod has no more. What is reached must be empty.
"""

import contextlib
import ctypes
import json
import os
import socket
import stat
import sys
from collections.abc import Iterator

TOKEN, SECRET, DEVICE = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])
PLACES = ("/run/weft/kubeconfig", "/run/ovn/ovnnb_db.sock", "/run/weft/cni.sock", "/etc/shadow")
LIBC = ctypes.CDLL(None, use_errno=True)
reached: list[str] = []


def says_token(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return TOKEN in file.read(4096)
    except OSError:
        return False


def roots() -> Iterator[str]:
    """Every folder from which somebody looks at a file system."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for kind in ("root", "cwd"):
            yield f"/proc/{pid}/{kind}"
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                yield f"/proc/{pid}/fd/{number}"


def look() -> None:
    for root in ("", *roots()):
        if says_token(root + SECRET):
            reached.append(f"file {root}{SECRET}")
        for place in PLACES:
            if os.path.exists(root + place):
                reached.append(f"path {root}{place}")


def climb() -> None:
    """Out of a chroot by a folder that stayed open."""
    os.makedirs("/tmp/jail", exist_ok=True)
    top = os.open("/", os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        found = False
        with contextlib.suppress(OSError):
            os.chroot("/tmp/jail")
            os.fchdir(top)
            for _ in range(64):
                os.chdir("..")
            os.chroot(".")
            found = says_token(SECRET)
        os._exit(found)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        reached.append("chroot")


def make_devices() -> None:
    for kind, number in ((stat.S_IFBLK, DEVICE), (stat.S_IFCHR, os.makedev(1, 1))):
        for folder in ("/tmp", "/dev/shm", "/dev", "/root"):
            path = f"{folder}/made"
            with contextlib.suppress(OSError):
                os.mknod(path, 0o666 | kind, number)
                os.close(os.open(path, os.O_RDONLY))
                reached.append(f"device {path}")
            with contextlib.suppress(OSError):
                os.unlink(path)


def listed_devices() -> None:
    usual = {"null", "zero", "full", "random", "urandom", "tty", "tun", "kvm", "ptmx"}
    for folder, _, names in os.walk("/dev"):
        for name in names:
            mode = os.lstat(f"{folder}/{name}").st_mode
            if (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)) and name not in usual:
                reached.append(f"device {folder}/{name}")


def write_settings() -> None:
    for path in (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sysrq-trigger",
    ):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY))
            reached.append(f"write {path}")


def plant() -> None:
    """Into what the node lends: read-only, and to stay so."""
    for folder in ("/bin", "/usr", os.path.dirname(json.__file__)):
        LIBC.mount(b"none", folder.encode(), None, 32 | 4096, None)
        with contextlib.suppress(OSError):
            os.close(os.open(f"{folder}/planted", os.O_CREAT | os.O_WRONLY))
            reached.append(f"write {folder}")


def uncover() -> None:
    """Take away what hides parts of /proc and /sys, and ask again; in a user namespace, too."""
    for again in (False, True):
        if again and LIBC.unshare(0x10000000 | 0x20000):
            return
        for path in ("/proc/sys", "/proc/sysrq-trigger", "/sys/firmware", "/proc"):
            LIBC.umount2(path.encode(), 2)
        os.makedirs("/tmp/proc", exist_ok=True)
        if LIBC.mount(b"p", b"/tmp/proc", b"proc", 0, None) == 0:
            for path in ("/tmp/proc/sys/kernel/core_pattern", "/tmp/proc/sysrq-trigger"):
                with contextlib.suppress(OSError):
                    os.close(os.open(path, os.O_WRONLY))
                    reached.append(f"write {path}")
        write_settings()
        look()


def by_handle() -> None:
    """A file by its number, from any file of the same disk: open_by_handle_at of inode 2."""
    handle = ctypes.create_string_buffer(
        (8).to_bytes(4, "little") + (1).to_bytes(4, "little") + (2).to_bytes(8, "little")
    )
    for folder in ("/", "/bin", "/usr", "/etc/alternatives", os.path.dirname(json.__file__)):
        with contextlib.suppress(OSError):
            there = os.open(folder, os.O_RDONLY)
            opened = LIBC.syscall(304, there, handle, os.O_RDONLY)
            if opened >= 0 and says_token(f"/proc/self/fd/{opened}{SECRET}"):
                reached.append(f"handle in {folder}")


def call_sockets() -> None:
    """Sockets without a file are seen by who shares the network namespace."""
    with open("/proc/net/unix") as listed:
        for line in listed:
            name = line.split()[-1]
            if name.startswith("@"):
                with socket.socket(socket.AF_UNIX) as link, contextlib.suppress(OSError):
                    link.connect("\0" + name[1:])
                    reached.append(f"socket {name}")


ATTEMPTS = (
    look,
    climb,
    make_devices,
    listed_devices,
    write_settings,
    by_handle,
    call_sockets,
    plant,
)
for attempt in (*ATTEMPTS, uncover):
    attempt()
print("REACHED", json.dumps(reached), flush=True)
