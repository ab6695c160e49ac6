"""Makes the arguments with which QEMU runs a machine. Pure.

What a manifest says becomes a value in JSON, never a part of an option's text.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft_lab.vm import guest, nicplaces

Json = dict[str, Any]
PROGRAM = "qemu-system-x86_64"
SOCKETS = ("qmp", "monitor", "migration", "orders", "serial", "agent", "power")
AGENT_PORT = "org.qemu.guest_agent.0"
POWER_PORT = "org.weft.power.0"
SEED_SERIAL = "weft-seed"
SCREEN = "vnc.sock"
FIRST_SPARE = 100  # chassis number of the first root port without a card
# Nothing of this changes what a guest can do; each was measured to shorten an emulated boot.
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet loglevel=0 panic=1 tsc=reliable mitigations=off nokaslr no_timer_check"
    " random.trust_cpu=on cryptomgr.notests net.ifnames=0"
    # Self-tests of ciphers that nothing in the guest uses: 0.3 s.
    " initcall_blacklist=crypto_kdf108_init,jent_mod_init"
)
# Under emulation the delay loop's calibration alone takes 0.1 s; the figure is in TSC cycles.
KERNEL_ARGUMENTS_TCG = " lpj=10000000"
KERNEL_ARGUMENTS_SCREEN = "console=tty0"  # etc/rc of the guest looks for it


@dataclass(frozen=True, slots=True)
class Card:
    """A network card, and the tap that it is on. `is_down`: it has no cable from the beginning.

    `bus`: the root port that it sits in.
    """

    mac: str
    tap: str
    mtu: int = 0
    model: str = "virtio"
    is_down: bool = False
    bus: str = ""


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk image: a file of our own at `path`, or an open one.

    `serial` is what the guest reads as the disk's serial number. With `base`, what the guest writes
    goes to this image, and the rest is read from that one.
    """

    path: str = ""
    descriptor: int = -1
    format: str = "raw"
    read_only: bool = False
    serial: str = ""
    base: Drive | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """All that decides the arguments. `image` set: direct boot; else firmware boots drive 0.

    `sockets` are (name of SOCKETS, descriptor of a listening socket): they exist before QEMU
    does, so clients need not wait for them. `console` is the descriptor of a pipe that takes a copy
    of what the guest prints. `incoming`: the guest comes from another node. `ports`: root ports
    made for cards, some of which may be free. `has_screen`: QEMU makes the socket SCREEN in its
    working folder, where VNC clients connect. `paused`: the guest begins when it is told to.
    """

    name: str
    memory: int
    cpus: int
    accelerator: str
    cards: tuple[Card, ...]
    drives: tuple[Drive, ...]
    console: int
    image: guest.Guest | None = None
    uuid: str = ""
    sockets: tuple[tuple[str, int], ...] = ()
    incoming: bool = False
    ports: int = 0
    has_screen: bool = False
    paused: bool = False


def arguments(launch: Launch) -> list[str]:
    """Everything after the program's name."""
    kvm = launch.accelerator == "kvm"
    args = ["-nodefaults", "-no-user-config", "-display", "none", "-name", _escape(launch.name)]
    args += ["-machine", "q35,usb=off,vmport=off,hpet=off"]
    args += ["-accel", "kvm" if kvm else "tcg,thread=multi,tb-size=64"]
    args += ["-cpu", "host" if kvm else "max"]
    # One virtual processor where each is emulated: two would fight over the same core.
    args += ["-smp", str(launch.cpus if kvm else 1), "-m", f"{-(-launch.memory // (1 << 20))}M"]
    args += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    if launch.uuid:
        args += ["-uuid", launch.uuid]
    for name in ("qmp", "monitor", "migration", "orders"):
        args += ["-chardev", _socket(launch, name), "-mon", f"chardev={name},mode=control"]
    log = launch.console
    args += ["-add-fd", f"fd={log},set={log}"]
    # Appending, as a pipe cannot be truncated.
    args += ["-chardev", f"{_socket(launch, 'serial')},logfile=/dev/fdset/{log},logappend=on"]
    args += ["-serial", "chardev:serial", *_device(driver="virtio-serial-pci")]
    for name, port in (("agent", AGENT_PORT), ("power", POWER_PORT)):
        args += ["-chardev", _socket(launch, name)]
        args += _device(driver="virtserialport", chardev=name, name=port, id=f"{name}-port")
    if launch.incoming:
        args += ["-incoming", "defer"]
    elif launch.paused or any(card.is_down for card in launch.cards):
        args += ["-S"]  # cables can be taken off a machine only after its cards were made
    # One root port for each card, first of all buses: guests call them enp1s0, enp2s0, ... as on
    # KubeVirt, and release them while they run.
    for index in range(launch.ports):
        args += _port(launch, f"{nicplaces.OWN}{index}", index + 1)
    for index, drive in enumerate(launch.drives):
        args += _drive(drive, index, boots=launch.image is None and index == 0)
    # After all others, whose places must not move.
    for index in range(nicplaces.spare_ports(launch.ports)):
        args += _port(launch, f"{nicplaces.SPARE}{index}", FIRST_SPARE + index)
    if launch.image is not None:
        line = KERNEL_ARGUMENTS + ("" if kvm else KERNEL_ARGUMENTS_TCG)
        # Before the serial console, which stays the one that programs mean by /dev/console.
        line = f"{KERNEL_ARGUMENTS_SCREEN} {line}" if launch.has_screen else line
        args += ["-kernel", str(launch.image.kernel), "-initrd", str(launch.image.initrd)]
        args += ["-append", line]
    else:
        args += _device(driver="virtio-rng-pci")
    if launch.has_screen:
        # A relative name: a socket's path takes 107 bytes at most. KubeVirt's card on x86 is VGA.
        args += ["-vnc", f"unix:{SCREEN}", *_device(driver="VGA", id="video")]
    return args


def probe(image: guest.Guest, accelerator: str, console: Path) -> list[str]:
    """A guest that only says that it came up, and ends."""
    kvm = accelerator == "kvm"
    return [
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"),
        *("-accel", accelerator, "-cpu", "host" if kvm else "max", "-m", "192M", "-smp", "1"),
        *("-chardev", f"file,id=console,path={_escape(console)}", "-serial", "chardev:console"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", f"{KERNEL_ARGUMENTS} weft.probe"),
    ]


def copied(drives: tuple[Drive, ...]) -> list[tuple[str, bool]]:
    """Node name of each drive that this pod alone has, and whether it lies on a shared base.

    An open image is of this machine, which all nodes see.
    """
    return [
        (f"drive{index}", drive.base is not None)
        for index, drive in enumerate(drives)
        if drive.path and not drive.read_only
    ]


def backend(card: Card, index: int) -> Json:
    """A card's end on the pod's side."""
    return {
        "type": "tap",
        "id": netdev(index),
        "ifname": card.tap,
        "vhost": False,
        "script": "no",
        "downscript": "no",
    }


def front(card: Card, index: int) -> Json:
    """The device that the guest sees."""
    driver = "virtio-net-pci" if card.model == "virtio" else card.model
    made: Json = {"driver": driver, "netdev": netdev(index), "id": f"card{index}"}
    made |= {"mac": card.mac, "romfile": "", "bus": card.bus}
    if card.mtu and card.model == "virtio":
        made["host_mtu"] = card.mtu
    return made


def netdev(index: int) -> str:
    """The id of a card's backend, by the place of the card."""
    return f"net{index}"


def user_mac(name: str, index: int) -> str:
    """A card's MAC where the manifest has none: from the machine's name, KubeVirt's prefix."""
    digest = hashlib.sha256(f"{name}/{index}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (2, 0, 0, *digest[:3]))


def _port(launch: Launch, bus: str, chassis: int) -> list[str]:
    """A root port, and the card that sits in it."""
    args = _device(driver="pcie-root-port", id=bus, chassis=chassis)
    for index, card in enumerate(launch.cards):
        if card.bus == bus:
            args += ["-netdev", json.dumps(backend(card, index))]
            args += _device(**front(card, index))
    return args


def _drive(drive: Drive, index: int, *, boots: bool) -> list[str]:
    name = f"drive{index}"
    front: Json = {"driver": "virtio-blk-pci", "drive": name}
    if drive.serial:
        front["serial"] = drive.serial
    if boots:
        front["bootindex"] = 0
    image = {"node-name": name, **_image(drive)}
    return [*_opened(drive), "-blockdev", json.dumps(image), *_device(**front)]


def _image(drive: Drive) -> Json:
    """A format that is fixed, and no other file than these."""
    name = drive.path or f"/dev/fdset/{drive.descriptor}"
    file: Json = {"driver": "file", "filename": name, "read-only": drive.read_only}
    image: Json = {"driver": drive.format, "read-only": drive.read_only, "file": file}
    if drive.format == "qcow2":
        image["backing"] = _image(drive.base) if drive.base else None
    return image


def _opened(drive: Drive) -> list[str]:
    found = [each.descriptor for each in (drive, drive.base) if each and each.descriptor >= 0]
    return [word for number in found for word in ("-add-fd", f"fd={number},set={number}")]


def _device(**properties: object) -> list[str]:
    return ["-device", json.dumps(properties)]


def _socket(launch: Launch, name: str) -> str:
    return f"socket,id={name},fd={dict(launch.sockets)[name]},server=on,wait=off"


def _escape(path: Path | str) -> str:
    """QEMU's option syntax doubles a comma that is meant."""
    return str(path).replace(",", ",,")
