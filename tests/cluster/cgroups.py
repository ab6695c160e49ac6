"""Makes a subtree of control groups for each machine, and removes it.

Version 1: below this process' own group in each hierarchy, so that limits of ours hold for it.
Version 2: at the top, for a group with processes can have no children with controllers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from weft_lab.runtime import namespaces

CLONE_NEWCGROUP = 0x02000000
_PATIENCE = 30.0  # seconds
_CPUSET = ("cpuset.cpus", "cpuset.mems")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted tree of groups; `options` mount it again, `own` is this process' place in it."""

    mounted: Path
    options: str
    own: Path
    is_unified: bool = False


def hierarchies(mounts: str, groups: str) -> tuple[Hierarchy, ...]:
    """From the texts of /proc/self/mountinfo and /proc/self/cgroup; those with controllers."""
    places = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        places[controllers] = path
    found = []
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        mounted = Path(left.split()[4])
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2" and mounted == Path("/sys/fs/cgroup"):
            return (Hierarchy(mounted, "", mounted, is_unified=True),)
        names = set(options.split(","))
        for controllers, path in places.items():
            known = set(controllers.split(","))
            if kind == "cgroup" and controllers and "=" not in controllers and known <= names:
                found.append(Hierarchy(mounted, controllers, mounted / path.lstrip("/")))
    return tuple(found)


def here() -> tuple[Hierarchy, ...]:
    return hierarchies(
        Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()
    )


def make(tree: str, machine: str) -> tuple[Path, ...]:
    """The groups `tree`/`machine`, one for each hierarchy."""
    made = []
    for hierarchy in here():
        path = hierarchy.own
        for name in (tree, machine):
            _delegate(path, hierarchy)
            path = path / name
            path.mkdir(exist_ok=True)
            for setting in _CPUSET:  # an empty one admits no process
                with contextlib.suppress(FileNotFoundError):
                    if not hierarchy.is_unified and not (path / setting).read_text().strip():
                        (path / setting).write_text((path.parent / setting).read_text())
        made.append(path)
    return tuple(made)


def _delegate(path: Path, hierarchy: Hierarchy) -> None:
    if hierarchy.is_unified:
        wanted = (path / "cgroup.controllers").read_text().split()
        given = (path / "cgroup.subtree_control").read_text().split()
        for name in set(wanted) - set(given):
            (path / "cgroup.subtree_control").write_text(f"+{name}")


def trees(name: str) -> tuple[Path, ...]:
    return tuple(hierarchy.own / name for hierarchy in here())


def enter(paths: Iterable[Path]) -> None:
    """Move this process into the groups, and make them the roots of a namespace."""
    for path in paths:
        (path / "cgroup.procs").write_text(str(os.getpid()))
    namespaces.unshare(CLONE_NEWCGROUP)


def mount(root: Path) -> None:
    """The hierarchies below `root`/sys/fs/cgroup, with this namespace's groups as their tops."""
    top = root / "sys/fs/cgroup"
    known = here()
    if any(hierarchy.is_unified for hierarchy in known):
        namespaces.mount("cgroup2", str(top), "cgroup2")
        (top / "init").mkdir(exist_ok=True)
        (top / "init/cgroup.procs").write_text("0")
        _delegate(top, known[0])
        return
    namespaces.mount("tmpfs", str(top), "tmpfs", data="mode=755")
    for hierarchy in known:
        target = top / hierarchy.mounted.name
        target.mkdir()
        namespaces.mount("cgroup", str(target), "cgroup", data=hierarchy.options)
        for controller in hierarchy.options.split(","):
            if not (top / controller).exists():
                (top / controller).symlink_to(target.name)


def remove(tops: Iterable[Path]) -> list[Path]:
    """End what still runs in the groups, remove them and all below; those that stay are returned.

    A group can be removed a moment after its last process has ended, which nothing tells.
    """
    left = [path for top in tops for path in _remove(top)]
    end = time.monotonic() + _PATIENCE
    while left and time.monotonic() < end:
        for path in left:
            _kill(path)
        time.sleep(0.05)
        left = [path for path in left if list(_remove(path))]
    return left


def _kill(group: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for number in (group / "cgroup.procs").read_text().split():
            os.kill(int(number), signal.SIGKILL)


def _remove(top: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            yield Path(folder)
