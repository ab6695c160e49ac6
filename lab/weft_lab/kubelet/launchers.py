"""Gives a virt-launcher's container what other containers do not get.

It gets the programs that it runs, read-only; the folder of its virtual machine, which the node
shares; as open files, the disks that it requests and the lab's owner allows; and the right to join
a guest to its pod's network. A manifest's command or environment gives such a container no more.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft import errors
from weft.kube import client, resources
from weft_lab.kubelet import isolation, sandbox, security, syscalls
from weft_lab.runtime import pythonpath
from weft_lab.vm import (
    disks,
    launcher,
    launcherpod,
    machine,
    migration,
    migrationrecord,
    qemu,
    ready,
    schema,
    validation,
)

Object = dict[str, Any]
RECORD_LOOKS, RECORD_PAUSE = 20, 0.25  # until the controller has written which pod it made
DEVICES = ("net/tun", "kvm")
DESCRIPTOR = 200  # of the first disk
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/alternatives", "/etc/ld.so.cache")


Find = Callable[[resources.Resource, str, str], Awaitable[Object | None]]


async def _nothing(kind: resources.Resource, namespace: str, name: str) -> None:
    return None


def finder(api: client.Client) -> Find:
    """A function that reads an object by kind, namespace and name; None if it is gone."""

    async def find(kind: resources.Resource, namespace: str, name: str) -> Object | None:
        try:
            return await api.get(kind, name, namespace)
        except client.NotFound:
            return None

    return find


@dataclass
class Launchers:
    """`folders` are those of disks; `find` gives None where there is no such object."""

    folders: tuple[disks.Folder, ...]
    environment: dict[str, str]
    find: Find = _nothing
    _ready: asyncio.Task[ready.Ready] | None = field(default=None, init=False)

    async def completed(self, pod: Object, container: Object, request: Object) -> Object:
        """`request` with all that a launcher gets. Raise InvalidInput and other WeftErrors."""
        found = await self._prepared()
        vmi = await asyncio.to_thread(instance, pod, request["env"].get("WEFT_VMI", ""))
        namespace = vmi["metadata"]["namespace"]
        known = await self.find(resources.VMIS, namespace, vmi["metadata"]["name"])
        named = (pod["metadata"].get("annotations") or {}).get(launcherpod.MIGRATION_NAME)
        move = await self._move(namespace, named) if named else None
        is_own = is_of(pod, vmi, known, move)
        return await asyncio.to_thread(self._completed, vmi, container, request, found, is_own)

    async def _move(self, namespace: str, name: str) -> Object | None:
        """A migration that names its target pod: its controller has just made one, or none is.

        Raises NotReady where it goes on naming none.
        """
        for _ in range(RECORD_LOOKS):
            move = await self.find(resources.VMIMS, namespace, name)
            if move is None or migration.is_final(move) or migrationrecord.target_uid(move):
                return move
            await asyncio.sleep(RECORD_PAUSE)
        raise errors.NotReady(
            "names no target pod",
            where=f"VirtualMachineInstanceMigration {namespace}/{name}",
            hint="only the pod starts that the controller has made for it",
        )

    async def _prepared(self) -> ready.Ready:
        """Prepare the guest programs once; concurrent callers wait for the same result."""
        if self._ready is None:
            self._ready = asyncio.create_task(asyncio.to_thread(ready.ensure))
        try:
            return await asyncio.shield(self._ready)
        except errors.WeftError:
            self._ready = None
            raise

    def _completed(
        self, vmi: Object, container: Object, request: Object, found: ready.Ready, is_own: bool
    ) -> Object:
        vm = machine.read(vmi)
        own = Path(request["root"]).parent
        place = launcher.folder(vm.namespace, vm.name, own.parent.parent / sandbox.MACHINES)
        _make_folder(own)
        if is_own:
            _lead(place, own)
        read = programs(found)
        _check_readable([*read, sys.executable, found.tools.program(qemu.PROGRAM)])
        opened = [self._disk(number, disk) for number, disk in enumerate(_with_path(vm))]
        added = {security.NAMES.index("NET_ADMIN")}
        return {
            **request,
            "env": {
                **request["env"],
                **self.environment,
                "WEFT_VMI": json.dumps(vmi),
                "WEFT_READY": ready.render(found),
                "WEFT_DISKS": json.dumps({one.name: options for one, _, options in opened}),
            },
            "binds": [
                *([source, source, False] for source in read),
                [str(own / sandbox.MACHINES), str(place), True],
            ],
            "links": {path[1:]: os.readlink(path) for path in _SYSTEM if os.path.islink(path)},
            "devices": list(DEVICES),
            "wires": True,
            "files": [file for _, file, _ in opened],
            "capabilities": sorted({*request["capabilities"]} | added),
        }

    def _disk(self, number: int, disk: machine.Disk) -> tuple[machine.Disk, Object, Object]:
        folder, path = disks.locate(disk.name, disk.path, self.folders)
        write = not (disk.read_only or disk.ephemeral)
        _check(disk, folder, path)
        descriptor = DESCRIPTOR + number
        file = {"folder": folder.path, "path": path, "write": write, "descriptor": descriptor}
        return disk, file, {"descriptor": descriptor, "format": folder.format}


def is_of(pod: Object, vmi: Object, known: Object | None, move: Object | None = None) -> bool:
    """Whether the instance that a pod brings is there, and this is the pod that runs it.

    With `move`, a VirtualMachineInstanceMigration: or, on another node, the pod to which it goes.

    Anybody who may create pods in a namespace can create one that claims to run a machine, also by
    a name that a pod of it had before.
    """
    meta, name = pod["metadata"], pod["metadata"]["name"]
    if known is None or known["metadata"]["uid"] != vmi["metadata"].get("uid"):
        return False
    owners = [one.get("uid") for one in meta.get("ownerReferences") or () if one.get("controller")]
    if owners != [known["metadata"]["uid"]]:
        return False
    node = (known.get("status") or {}).get("nodeName")
    if node in (None, "", pod["spec"]["nodeName"]):
        return bool(name == launcherpod.current(known))
    if move is None or move["spec"].get("vmiName") != known["metadata"]["name"]:
        return False
    goes_on = not migration.is_final(move) and (
        not migration.is_under_way(known)
        or migration.state(known).get("migrationUid") == move["metadata"]["uid"]
    )
    is_target = migrationrecord.target_uid(move) == meta["uid"]
    return goes_on and is_target and bool(name == launcherpod.target_name(known, move))


def _make_folder(sandbox_folder: Path) -> None:
    """Make a folder that only this launcher can write to."""
    own = sandbox_folder / sandbox.MACHINES
    own.mkdir(mode=0o700, exist_ok=True)
    first, _ = isolation.extent(Path("/proc/self/uid_map").read_text())
    os.chown(own, first, first)


def _lead(link: Path, sandbox_folder: Path) -> None:
    """Make the link at which the node finds the machine's folder."""
    link.parent.mkdir(mode=0o755, exist_ok=True)
    fresh = link.with_name(f".{sandbox_folder.name}")
    fresh.symlink_to(sandbox.target(sandbox_folder))
    fresh.replace(link)


def instance(pod: Object, text: str) -> Object:
    """The VirtualMachineInstance in a launcher pod. It is input: the pod's author may forge it."""
    where = "virt-launcher"
    try:
        vmi = json.loads(text)
        meta = vmi["metadata"]
        name, namespace = str(meta["name"]), meta.get("namespace")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        rule = "must hold a VirtualMachineInstance as JSON"
        raise errors.InvalidInput(where, "env.WEFT_VMI", None, rule) from error
    if not schema.fits(name, schema.SUBDOMAIN):
        raise errors.InvalidInput(where, "metadata.name", name, schema.SUBDOMAIN[1])
    if namespace != pod["metadata"]["namespace"]:
        rule = "a machine runs in the namespace of its pod"
        raise errors.InvalidInput(where, "env.WEFT_VMI", namespace, rule)
    vmi = {**vmi, "metadata": {**meta, "name": name}}
    for problem in validation.instance_findings(vmi):
        raise problem
    return vmi


def _with_path(vm: machine.Machine) -> Sequence[machine.Disk]:
    return [disk for disk in vm.disks if disk.path]


def _check(disk: machine.Disk, folder: disks.Folder, path: str) -> None:
    """Raise InvalidInput if a disk's file does not exist."""
    try:
        top = os.open(folder.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
            opened = syscalls.open_beneath(top, path, flags)
        finally:
            os.close(top)
    except OSError as error:
        rule = f"cannot be opened below {folder.path}: {error.strerror}"
        raise errors.InvalidInput("disk", disk.name, disk.path, rule) from error
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise errors.InvalidInput("disk", disk.name, disk.path, "is not a regular file")
    finally:
        os.close(opened)


def _check_readable(paths: Sequence[str]) -> None:
    """Raise unless all may read these paths: a pod's users are no users of this machine."""
    if isolation.extent(Path("/proc/self/uid_map").read_text())[0] == 0:
        return  # they are its user
    for path in paths:
        mode = os.stat(path).st_mode
        needed = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
        if mode & needed != needed:
            raise errors.Unavailable(
                "virtual machines run as users of their own, who may not read this",
                where=path,
                hint=f"chmod -R a+rX {path}",
            )


def programs(found: ready.Ready) -> list[str]:
    """Folders of this machine that a launcher reads; none of them has a user's data."""
    paths = {
        *(path for path in _SYSTEM if os.path.exists(path) and not os.path.islink(path)),
        *(sys.prefix, sys.base_prefix, *map(str, pythonpath.PACKAGES)),
        *(path for path in sys.path if path.endswith(("site-packages", "dist-packages"))),
        *(str(found.tools.bin.parent), str(found.image.kernel.parent)),
    }
    chosen: list[str] = []
    for path in sorted(paths):
        if os.path.exists(path) and not any(Path(one) in Path(path).parents for one in chosen):
            chosen.append(path)
    return chosen


def variables(base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a launcher, taken from the kubelet's."""
    kept = ("PATH", "LANG", "LC_ALL", "WEFT_CACHE", "WEFT_ACCEL", "WEFT_SUITE")
    return {
        **{name: base[name] for name in kept if name in base},
        "PATH": f"{Path(sys.executable).parent}:{base.get('PATH', os.defpath)}",
        "PYTHONPATH": pythonpath.value(),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/root",
    }
