"""Joins a pod's namespaces, and sets the user and capabilities of a container's process.

Every pod has its own user namespace, so that a capability reaches no further than the pod. As root,
the lab maps its users to numbers that own nothing on the machine; an ordinary user can map one
user only: itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any

from weft_lab.kubelet import syscalls

Json = Mapping[str, Any]
FIRST, COUNT = 0x70000000, 65536  # systemd gives these to no user
KINDS = {
    "user": syscalls.NEWUSER,
    "net": syscalls.NEWNET,
    "ipc": syscalls.NEWIPC,
    "uts": syscalls.NEWUTS,
}


def extent(known: str) -> tuple[int, int]:
    """The first outer number of a pod's users, and their count.

    `known` is the text of this process's uid_map or gid_map (user_namespaces(7)).
    """
    for line in known.splitlines():
        first, _outside, count = map(int, line.split())
        if first <= FIRST and first + count >= FIRST + COUNT:
            return FIRST, COUNT
    return 0, 1


def map_users(pid: int) -> None:
    """Write the user and group maps of the user namespace of process `pid`."""
    for kind in ("uid", "gid"):
        with open(f"/proc/self/{kind}_map") as file:
            first, count = extent(file.read())
        with open(f"/proc/{pid}/{kind}_map", "w") as file:
            file.write(f"0 {first} {count}")


def outside(pid: int, request: Json) -> tuple[int, int]:
    """The machine's numbers of a container's user and group, in the pod of process `pid`."""
    found = []
    for kind in ("uid", "gid"):
        with open(f"/proc/{pid}/{kind}_map") as file:
            inner, outer, _count = map(int, file.readline().split())
        found.append(outer + (request.get(kind) or 0) - inner)
    return found[0], found[1]


def open_namespaces(pid: int) -> dict[str, int]:
    """Open the namespaces that containers of a pod join: descriptors by kind."""
    return {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in KINDS}


def join(namespaces: Mapping[str, int]) -> None:
    """Join the namespaces, the user namespace first: it gives the right to join the others."""
    for kind, descriptor in namespaces.items():
        syscalls.setns(descriptor, KINDS[kind])
    become_root()


def become_root() -> None:
    with contextlib.suppress(PermissionError):  # where an ordinary user's namespace forbids it
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def confine(request: Json) -> None:
    """Set the user, groups and capabilities of a container irrevocably.

    Raise OSError with the user and groups where the pod's namespace does not map them.
    """
    kept = request.get("capabilities") or ()
    if request.get("no_new_privs"):
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.bound_capabilities(kept)
    groups = request.get("groups") or []
    uid, gid = request.get("uid") or 0, request.get("gid") or 0
    try:
        if groups:
            os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        what = f"user {uid}, groups {[gid, *groups]}: this lab's pods do not have them"
        raise OSError(error.errno, what) from error
    if uid == 0:
        syscalls.set_capabilities(kept)


def name(hostname: str) -> None:
    socket.sethostname(hostname)
    syscalls.prctl(syscalls.PR_SET_NAME, b"pause\0")
