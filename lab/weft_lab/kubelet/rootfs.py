"""Makes a container's root file system, from which no other file of the machine can be reached.

`stage` runs with the node's mounts and rights: it binds what the container gets, and unmounts the
rest. `build` then runs in the pod's user namespace, which can neither change nor uncover these
mounts, and arranges them as container runtimes do.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from weft_lab.kubelet import syscalls
from weft_lab.kubelet.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC

Json = Mapping[str, Any]
FOLDERS = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "home")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
# The defaults of container runtimes.
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
    *("/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"),
    *("/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"),
)
ROOM = "512m"  # limit of a container's files; they are in the machine's memory
_NEW, _KEPT = "/new", "/kept"
_NETWORK = "/proc/sys/net"
_QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC


def private() -> None:
    """Enter a new mount namespace, whose mounts do not propagate."""
    syscalls.unshare(syscalls.NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)


def empty() -> None:
    """Make an empty root: it has /proc of the PID namespace and nothing else."""
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", "/run", "tmpfs", _QUIET, "mode=0755,size=64k")
    os.mkdir("/run/proc")
    syscalls.mount("proc", "/run/proc", "proc", _QUIET)
    syscalls.take_root("/run")
    syscalls.restrict("/", syscalls.ATTR_RDONLY)


def stage(request: Json) -> None:
    """Bind everything that `request` names into an otherwise empty root.

    `binds` are lists [source, target, is writable]. `devices` are paths below /dev. `wires`: the
    container may set up the pod's network.
    """
    private()
    place = request["root"]
    os.makedirs(place, exist_ok=True)
    syscalls.mount("tmpfs", place, "tmpfs", MS_NOSUID, "mode=0755")
    for number, (source, _target, write) in enumerate(request.get("binds") or ()):
        here = f"{place}/bind{number}"
        _bind(source, here)
        if not write:
            syscalls.restrict(here, syscalls.ATTR_RDONLY)
        syscalls.restrict(here, syscalls.ATTR_NOSUID | syscalls.ATTR_NODEV)
    os.mkdir(f"{place}/dev")
    for name in DEVICES:
        _bind(f"/dev/{name}", f"{place}/dev/{name}")
    for name in request.get("devices") or ():
        _device(f"/dev/{name}", f"{place}/dev/{name.replace('/', '-')}")
    for name in ("proc", "sys"):
        # A user namespace may mount these anew only where it sees them unmasked.
        os.mkdir(f"{place}/{name}")
        with contextlib.suppress(OSError):
            syscalls.mount(f"/{name}", f"{place}/{name}", "", MS_BIND)
    for name in (_NEW, _KEPT):
        os.mkdir(place + name)
    syscalls.take_root(place)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    syscalls.mount(source, target, "", MS_BIND | MS_REC)


def _device(source: str, target: str) -> None:
    """Make a device that every user may open, or bind the node's where mknod is not allowed."""
    try:
        os.mknod(target, stat.S_IFCHR | 0o666, os.stat(source).st_rdev)
        os.chmod(target, 0o666)
    except PermissionError:
        _bind(source, target)
    except FileNotFoundError:
        return  # the machine has no such device


def build(request: Json) -> None:
    """Lay out what `stage` has bound, and make it this process's root."""
    private()
    syscalls.mount("tmpfs", _NEW, "tmpfs", MS_NODEV, f"mode=0755,size={ROOM}")
    for name in FOLDERS:
        os.mkdir(f"{_NEW}/{name}")
    os.chmod(f"{_NEW}/tmp", 0o1777)
    for name, target in (request.get("links") or {}).items():
        os.symlink(target, f"{_NEW}/{name}")
    for number, (_source, target, _write) in enumerate(request.get("binds") or ()):
        there = _NEW + target
        os.makedirs(os.path.dirname(there), exist_ok=True)
        _bind(f"/bind{number}", there)
    for name, text in (request.get("etc") or {}).items():
        with open(f"{_NEW}/etc/{name}", "w") as file:
            file.write(text)
    _devices(request.get("devices") or ())
    syscalls.mount("proc", f"{_NEW}/proc", "proc", _QUIET)
    wires = bool(request.get("wires"))
    _system(wires)
    _mask(wires)
    syscalls.take_root(_NEW)
    if request.get("read_only"):
        os.umask(0o022)
        syscalls.mount("none", "/", "", syscalls.MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV)


def _devices(more: Sequence[str]) -> None:
    dev = f"{_NEW}/dev"
    syscalls.mount("tmpfs", dev, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k")
    for name in DEVICES:
        _bind(f"/dev/{name}", f"{dev}/{name}")
    for name in more:
        staged = f"/dev/{name.replace('/', '-')}"
        if os.path.exists(staged):
            os.makedirs(os.path.dirname(f"{dev}/{name}"), exist_ok=True)
            _bind(staged, f"{dev}/{name}")
    for name, target in LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{dev}/{name}")
    syscalls.mount(
        "devpts",
        f"{dev}/pts",
        "devpts",
        MS_NOSUID | MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=620",
    )
    os.symlink("pts/ptmx", f"{dev}/ptmx")
    syscalls.mount("shm", f"{dev}/shm", "tmpfs", _QUIET, "mode=1777,size=64m")
    syscalls.mount("mqueue", f"{dev}/mqueue", "mqueue", _QUIET)


def _system(write: bool) -> None:
    """Mount /sys of the pod's network namespace; leave it empty where the kernel refuses that."""
    with contextlib.suppress(OSError):
        syscalls.mount("sysfs", f"{_NEW}/sys", "sysfs", _QUIET | (0 if write else MS_RDONLY))


def _mask(wires: bool) -> None:
    """Hide or protect kernel files; with `wires`, /proc/sys/net stays writable."""
    if wires:
        syscalls.mount(_NEW + _NETWORK, _KEPT, "", MS_BIND)
    for path in READ_ONLY:
        if os.path.exists(_NEW + path):
            syscalls.mount(_NEW + path, _NEW + path, "", MS_BIND | MS_REC)
            syscalls.restrict(_NEW + path, syscalls.ATTR_RDONLY)
    if wires:
        syscalls.mount(_KEPT, _NEW + _NETWORK, "", MS_BIND)
    for path in MASKED:
        if os.path.isdir(_NEW + path):
            syscalls.mount("tmpfs", _NEW + path, "tmpfs", _QUIET | MS_RDONLY, "mode=0555")
        elif os.path.exists(_NEW + path):
            syscalls.mount(f"{_NEW}/dev/null", _NEW + path, "", MS_BIND)
