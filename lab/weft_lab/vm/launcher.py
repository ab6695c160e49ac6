"""Runs one virtual machine in a virt-launcher pod, from its NICs to its end.

    python -m weft_lab.vm.launcher      with the VirtualMachineInstance as JSON in $WEFT_VMI

The pod's namespaces and interfaces exist before this starts. Its folder,
/run/weft/vm/<namespace>_<name>/, holds the sockets that others use: serial (console), vnc (where it
has a screen), agent (guest agent), monitor and orders (QMP for the handler); qmp and power are the
launcher's own.

Exit status: 0 the guest was shut down, by itself or by a signal; 1 QEMU failed; 2 the machine
cannot be run as its object wants it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from weft import errors
from weft.host import files
from weft_lab import layout, state
from weft_lab.kubelet import syscalls
from weft_lab.runtime import toolchain
from weft_lab.vm import (
    cloudinit,
    cloudinitdisk,
    consolelog,
    disks,
    guest,
    links,
    machine,
    masquerade,
    nicplaces,
    nics,
    qemu,
    qmp,
    ready,
    validation,
)

RUN = Path("/run/weft/vm")
NAMESPACE_UUID = uuid.UUID("5d307ca9-b3ef-428c-8861-06e72d69f223")
QUIT_SECONDS = 5.0


def folder(namespace: str, name: str, run: Path = RUN) -> Path:
    """Where a virtual machine's sockets are, in its node's /run."""
    return run / layout.machine(namespace, name)


async def run(vmi: Mapping[str, Any], run_folder: Path = RUN) -> int:
    """Run the machine until it ends; the exit status. Its folder goes with it: the seed in there
    holds passwords."""
    for problem in validation.instance_findings(vmi):
        raise problem
    vm = machine.read(vmi)
    place = folder(vm.namespace, vm.name, run_folder)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return await _run(vmi, vm, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _run(vmi: Mapping[str, Any], vm: machine.Machine, place: Path) -> int:
    environment = os.environ.get("WEFT_READY")
    prepared = ready.parse(environment) if environment else await asyncio.to_thread(ready.ensure)
    places = _places(vmi, vm)
    vm = replace(vm, nics=tuple(nic for nic in vm.nics if nic.name in places.buses))
    cards, served = _cards(vm, places, prepared.tools)
    macs = {nic.name: card.mac for nic, card in zip(vm.nics, cards, strict=True)}
    seeded = nicplaces.macs_at_start(places, macs)
    (place / "seed.iso").write_bytes(cloudinitdisk.image(vm, vmi.get("spec") or {}, seeded))
    drives = _drives(vm, place, prepared.tools)
    async with contextlib.AsyncExitStack() as around:
        for each in served:
            serving = masquerade.leases(each, vm.hostname, place, prepared.tools)
            await around.enter_async_context(serving)
        return await _boot(vm, place, prepared, cards, drives, places)


async def _boot(
    vm: machine.Machine,
    place: Path,
    prepared: ready.Ready,
    cards: tuple[qemu.Card, ...],
    drives: tuple[qemu.Drive, ...],
    places: nicplaces.Places,
) -> int:
    with consolelog.ConsoleLog(place / layout.CONSOLE_LOG) as console:
        start = _start(vm, place, prepared, cards, drives, places, console.descriptor)
        process = await start
        await _unplug(cards, place, starts=not (_incoming() or vm.starts_paused))
        _say(f"runs under {prepared.accelerator} as process {process.pid}")
        async with nics.Nics(vm, cards, place, places.ports).served():
            return await _attend(process, vm, place)


async def _start(
    vm: machine.Machine,
    place: Path,
    prepared: ready.Ready,
    cards: tuple[qemu.Card, ...],
    drives: tuple[qemu.Drive, ...],
    places: nicplaces.Places,
    console: int,
) -> asyncio.subprocess.Process:
    """QEMU, with `console` to write a copy of what the guest prints to."""
    with listening(place) as sockets:
        # After the sockets: who reads it may connect.
        _describe(place, vm, prepared.accelerator, cards, drives)
        launch = qemu.Launch(
            name=layout.machine(vm.namespace, vm.name),
            memory=vm.memory,
            cpus=vm.cpus,
            accelerator=prepared.accelerator,
            cards=cards,
            drives=drives,
            console=console,
            image=None if vm.boot_disk else _image(vm, prepared),
            uuid=str(uuid.uuid5(NAMESPACE_UUID, vm.uid or f"{vm.namespace}/{vm.name}")),
            sockets=tuple((name, handle.fileno()) for name, handle in sockets.items()),
            incoming=bool(_incoming()),
            ports=places.ports,
            has_screen=vm.has_screen,
            paused=vm.starts_paused,
        )
        return await asyncio.create_subprocess_exec(
            prepared.tools.program(qemu.PROGRAM),
            *qemu.arguments(launch),
            stdin=subprocess.DEVNULL,
            pass_fds=[
                *(each.fileno() for each in sockets.values()),
                console,
                *_descriptors(drives),
            ],
            preexec_fn=_give_up_rights,
            cwd=place,
        )


def _image(vm: machine.Machine, prepared: ready.Ready) -> guest.Guest:
    """What boots without a disk. A kernel finds a VGA card's text mode by the code that unpacks it:
    one that is unpacked already starts sooner, and has no screen."""
    image = prepared.image
    return guest.Guest(prepared.tools.kernel, image.initrd) if vm.has_screen else image


def _incoming() -> str:
    """The uid of the migration by which the guest comes; "" if it boots here."""
    return os.environ.get("WEFT_MIGRATION", "")


async def _unplug(cards: tuple[qemu.Card, ...], place: Path, *, starts: bool) -> None:
    """Set the link of cards that are `down`, before the guest's processor starts."""
    down = [index for index, card in enumerate(cards) if card.is_down]
    if down:
        async with qmp.Monitor(place / "qmp.sock") as monitor:
            for index in down:
                await monitor.execute("set_link", name=qemu.netdev(index), up=False)
            if starts:
                await monitor.execute("cont")


async def _attend(process: asyncio.subprocess.Process, vm: machine.Machine, place: Path) -> int:
    """Wait for the end of QEMU; a signal asks the guest to shut down first."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # The built-in guest has no ACPI daemon: its init reads a word from a port instead, and finds
    # that port closed unless somebody holds this end from the beginning.
    with state.door(place / "power.sock") as path:
        _reader, button = await asyncio.open_unix_connection(path)
    ended = asyncio.ensure_future(process.wait())
    waiting = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not ended.done():
        await _shut_down(ended, process, vm.grace_seconds, place, button)
    status = await ended
    _say(f"ended with status {status}")
    return 0 if status == 0 or stopping.is_set() else 1


async def _shut_down(
    ended: asyncio.Future[int],
    process: asyncio.subprocess.Process,
    grace: int,
    place: Path,
    button: asyncio.StreamWriter,
) -> None:
    """Press the power button; after the grace period have QEMU quit, and at last kill it."""
    try:
        patience = grace + QUIT_SECONDS
        async with asyncio.timeout(patience), qmp.Monitor(place / "qmp.sock") as monitor:
            state = (await monitor.execute("query-status"))["status"]
            # A guest that has not come yet, or has left, is not here to be shut down.
            if grace > 0 and state not in ("inmigrate", "postmigrate"):
                _say(f"shutting down, at most {grace} s")
                await monitor.execute("system_powerdown")
                button.write(b"off\n")
                await asyncio.wait({ended}, timeout=grace)
            if not ended.done():
                await monitor.execute("quit")
                await asyncio.wait({ended}, timeout=QUIT_SECONDS)
    except (errors.Unavailable, TimeoutError, OSError):
        pass  # it is ending already, or does not listen: the signal below ends it
    if not ended.done():
        process.kill()


def _describe(
    place: Path,
    vm: machine.Machine,
    chosen: str,
    cards: tuple[qemu.Card, ...],
    drives: tuple[qemu.Drive, ...],
) -> None:
    """What the node's handler cannot see from outside; `uid` says whose sockets these are."""
    facts = {
        "uid": vm.uid,
        "accelerator": chosen,
        "macs": {nic.name: card.mac for nic, card in zip(vm.nics, cards, strict=True)},
        "migration": _incoming(),
        "copied": qemu.copied(drives),
    }
    files.replace(place / "vm.json", json.dumps(facts).encode())


def _places(vmi: Mapping[str, Any], vm: machine.Machine) -> nicplaces.Places:
    """Where the NICs sit: a guest that comes from another node has its own there."""
    if not _incoming():
        return nicplaces.at_start(vm.nics)
    annotations = vmi["metadata"].get("annotations") or {}
    try:
        places = nicplaces.of_annotations(annotations, vm.nics)
    except ValueError as error:
        given = str(annotations.get(nicplaces.ANNOTATION))[:200]
        raise errors.InvalidInput(
            *(f"VirtualMachineInstance {vm.namespace}/{vm.name}", nicplaces.ANNOTATION),
            *(given, str(error)),
            hint="it is the node's handler's to write: restart the machine",
        ) from error
    return places


def _cards(
    vm: machine.Machine, places: nicplaces.Places, tools: toolchain.Toolchain
) -> tuple[tuple[qemu.Card, ...], list[masquerade.Served]]:
    """Join the guest to the pod's interfaces: its cards, and those that need a DHCP server."""
    cards, served = [], []
    for index, nic in enumerate(vm.nics):
        if nic.binding == "bridge":
            interface = _pod_interface(nic)
            taken = links.take_over(interface, nic.bridge, nic.tap, plugged=not nic.is_down)
            mac, mtu = nic.mac or taken.mac, taken.mtu
        else:
            mac = nic.mac or qemu.user_mac(f"{vm.namespace}/{vm.name}", index)
            behind = masquerade.set_up(nic, mac, tools)
            served.append(behind)
            mtu = behind.mtu
        model = machine.model(vm, nic)
        bus = places.buses[nic.name]
        cards.append(qemu.Card(mac, nic.tap, mtu, model, nic.is_down, bus))
    return tuple(cards), served


def _pod_interface(nic: machine.Nic) -> str:
    """KubeVirt's name for it, or the meta-plugin's default name."""
    for name in (nic.pod_interface, f"net{nic.position}"):
        if links.exists(name):
            return name
    raise errors.NotReady(
        f"the pod has no interface {nic.pod_interface} for network {nic.network}",
        where=f"interface {nic.name}",
        hint="see the pod's annotation k8s.v1.cni.cncf.io/network-status",
    )


def _drives(vm: machine.Machine, place: Path, tools: toolchain.Toolchain) -> tuple[qemu.Drive, ...]:
    """The disks that are on this machine, then the seed."""
    opened = json.loads(os.environ.get("WEFT_DISKS") or "{}")
    drives = []
    for index, disk in enumerate(vm.disks):
        if disk.kind == "empty":
            path = place / f"disk{index}.raw"
            with open(path, "wb") as handle:
                handle.truncate(disk.size)
            drives.append(qemu.Drive(str(path), serial=disk.serial))
        elif disk.path:
            if disk.name not in opened:
                raise errors.InvalidInput(
                    "disk", disk.name, disk.path, "is not open", hint=disks.HINT
                )
            given = opened[disk.name]
            drives.append(
                _local(disk, int(given["descriptor"]), str(given["format"]), place, tools)
            )
    drives.append(qemu.Drive(str(place / "seed.iso"), read_only=True, serial=qemu.SEED_SERIAL))
    return tuple(drives)


def _local(
    disk: machine.Disk, descriptor: int, form: str, place: Path, tools: toolchain.Toolchain
) -> qemu.Drive:
    """A disk out of an open file; below a layer of its own, if what is written is to be dropped."""
    size = os.fstat(descriptor).st_size
    if form == "qcow2":
        header = os.pread(descriptor, 112, 0)
        disks.stands_alone(disk.path, header)
        size = disks.size(header)
    read_only = disk.read_only or disk.ephemeral
    image = qemu.Drive(descriptor=descriptor, format=form, read_only=read_only)
    if not disk.ephemeral:
        return image
    layer = place / f"layer{descriptor}.qcow2"
    argv = ["create", "-q", "-f", "qcow2", str(layer), str(-(-size // 512) * 512)]
    subprocess.run([tools.program("qemu-img"), *argv], check=True, stdin=subprocess.DEVNULL)
    return qemu.Drive(str(layer), format="qcow2", base=image)


def _descriptors(drives: tuple[qemu.Drive, ...]) -> list[int]:
    every = [each for drive in drives for each in (drive, drive.base) if each is not None]
    return [each.descriptor for each in every if each.descriptor >= 0]


@contextlib.contextmanager
def listening(place: Path) -> Iterator[dict[str, socket.socket]]:
    """Sockets for QEMU to serve; only their owner may connect."""
    before = os.umask(0o177)
    try:
        sockets = {}
        for name in qemu.SOCKETS:
            path = place / f"{name}.sock"
            path.unlink(missing_ok=True)
            sockets[name] = handle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with state.short(path) as called:
                handle.bind(called)
            handle.listen(8)
    finally:
        os.umask(before)
    try:
        yield sockets
    finally:
        for handle in sockets.values():
            handle.close()


def _give_up_rights() -> None:
    """In QEMU's process: it has no capability and gets none, and ends with its launcher.

    Sockets that it makes are its user's alone.
    """
    os.umask(0o077)
    syscalls.set_capabilities(())
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _say(text: str) -> None:
    print(f"virt-launcher: {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="virt-launcher", description="Run one virtual machine.")
    parser.add_argument("--run-folder", type=Path, default=RUN, help="where its sockets are")
    options = parser.parse_args()
    try:
        status = asyncio.run(run(json.loads(os.environ["WEFT_VMI"]), options.run_folder))
    except KeyError:
        sys.exit("virt-launcher: $WEFT_VMI must hold the VirtualMachineInstance as JSON")
    except (errors.WeftError, cloudinit.Unreadable, OSError) as error:
        _say(f"cannot run: {error}")
        sys.exit(2)
    sys.exit(status)


if __name__ == "__main__":
    main()
