"""Gives a machine a root file system of its own: the node's tree, with what it writes in memory.

What must lie on a real disk (images of containers), comes from the machine's folder.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cgroups
from weft_lab.runtime.namespaces import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    mount,
)

MS_RDONLY, MS_REMOUNT, MS_SHARED = 1, 32, 1 << 20
MNT_DETACH = 2
_PIVOT_ROOT = 155  # its number on x86_64

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_OPTIONAL_DEVICES = ("kmsg", "kvm", "fuse", "net/tun", "vhost-net")
# What a kubelet wants of the whole machine. It finds it as it wants it, and changes nothing.
_TUNABLES: Mapping[str, str] = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Root:
    """`tree` is read only; `folder` is the machine's own; `shared` maps places to folders or files
    outside, `read_only` too."""

    tree: Path
    folder: Path
    shared: Mapping[str, Path]
    read_only: Mapping[str, Path]


def enter(root: Root) -> None:
    """For a process in new mount, PID, network and control group namespaces."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    top = _overlay(root)
    mount("proc", f"{top}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("sysfs", f"{top}/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", f"{top}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    mount("tmpfs", f"{top}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    (top / "run/lock").mkdir()
    _devices(top)
    cgroups.mount(top)
    for place, source in root.shared.items():
        _bind(source, top / place.lstrip("/"))
    for place, source in root.read_only.items():
        _bind(source, top / place.lstrip("/"), read_only=True)
    _tunables(top)
    _pivot(top)
    mount("none", "/", flags=MS_REC | MS_SHARED)


def _overlay(root: Root) -> Path:
    """The tree below a layer in memory that takes what is written."""
    scratch, top = root.folder / "scratch", root.folder / "root"
    for path in (scratch, top):
        path.mkdir(exist_ok=True)
    mount("tmpfs", str(scratch), "tmpfs", data="mode=0755")
    upper, work = scratch / "upper", scratch / "work"
    upper.mkdir()
    work.mkdir()
    layers = f"lowerdir={root.tree},upperdir={upper},workdir={work}"
    mount("overlay", str(top), "overlay", data=layers)
    return top


def _devices(top: Path) -> None:
    dev = top / "dev"
    mount("tmpfs", str(dev), "tmpfs", MS_NOSUID, "mode=0755")
    for name in (*_DEVICES, *_OPTIONAL_DEVICES):
        source = Path("/dev", name)
        if not source.exists():
            continue
        (dev / name).parent.mkdir(exist_ok=True)
        os.mknod(dev / name, stat.S_IFCHR | 0o666, source.stat().st_rdev)
        (dev / name).chmod(stat.S_IMODE(source.stat().st_mode))
    for name in ("shm", "pts", "mqueue"):
        (dev / name).mkdir()
    mount("tmpfs", str(dev / "shm"), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    mount("devpts", str(dev / "pts"), "devpts", data="newinstance,ptmxmode=0666,mode=620,gid=5")
    mount("mqueue", str(dev / "mqueue"), "mqueue")
    (dev / "ptmx").symlink_to("pts/ptmx")
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(f"/proc/self/{target}")


def _bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(str(source), str(target), flags=MS_BIND)
    if read_only:
        mount("none", str(target), flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def _tunables(top: Path) -> None:
    folder = top / "run/tunables"
    folder.mkdir()
    for name, value in _TUNABLES.items():
        stand_in = folder / name.replace("/", ".")
        stand_in.write_text(f"{value}\n")
        mount(str(stand_in), str(top / "proc/sys" / name), flags=MS_BIND)


def _pivot(top: Path) -> None:
    old = top / "mnt"
    old.mkdir(exist_ok=True)
    if _libc.syscall(_PIVOT_ROOT, str(top).encode(), str(old).encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"pivot_root: {os.strerror(number)}")
    os.chdir("/")
    if _libc.umount2(b"/mnt", MNT_DETACH):
        number = ctypes.get_errno()
        raise OSError(number, f"umount: {os.strerror(number)}")
