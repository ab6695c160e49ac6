"""Makes a pod's namespaces, and the user as which a container's process runs in them.

A pod has a user namespace of its own, whoever runs the lab: what a capability allows in it ends at
the pod's own namespaces. The lab's root maps it to users that own nothing on the machine; an
ordinary user has one number to give, its own.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any

from weft_lab.kubelet import syscalls

Json = Mapping[str, Any]
FIRST, COUNT = 0x70000000, 65536  # systemd leaves these to nobody
KINDS = {
    "user": syscalls.NEWUSER,
    "net": syscalls.NEWNET,
    "ipc": syscalls.NEWIPC,
    "uts": syscalls.NEWUTS,
}


def extent(known: str) -> tuple[int, int]:
    """The first number outside and how many, for a pod's users from 0; `known` is our own map."""
    for line in known.splitlines():
        first, _outside, count = map(int, line.split())
        if first <= FIRST and first + count >= FIRST + COUNT:
            return FIRST, COUNT
    return 0, 1


def map_users(pid: int) -> None:
    """Give the user namespace of process `pid` its users and groups."""
    for kind in ("uid", "gid"):
        with open(f"/proc/self/{kind}_map") as file:
            first, count = extent(file.read())
        with open(f"/proc/{pid}/{kind}_map", "w") as file:
            file.write(f"0 {first} {count}")


def outside(pid: int, request: Json) -> tuple[int, int]:
    """A container's user and group, as the machine calls those of process `pid`'s pod."""
    found = []
    for kind in ("uid", "gid"):
        with open(f"/proc/{pid}/{kind}_map") as file:
            inner, outer, _count = map(int, file.readline().split())
        found.append(outer + (request.get(kind) or 0) - inner)
    return found[0], found[1]


def open_namespaces(pid: int) -> dict[str, int]:
    """Descriptors of the namespaces that containers of the pod join."""
    return {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in KINDS}


def join(namespaces: Mapping[str, int]) -> None:
    """The user namespace first, for the right to join the others; then as its root."""
    for kind, descriptor in namespaces.items():
        syscalls.setns(descriptor, KINDS[kind])
    become_root()


def become_root() -> None:
    with contextlib.suppress(PermissionError):  # where an ordinary user's namespace forbids it
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def confine(request: Json) -> None:
    """The user, groups and capabilities of a container, for good."""
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
