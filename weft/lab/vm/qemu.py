"""With which arguments does QEMU run a machine? Pure: a record in, an argument list out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from weft.lab import layout
from weft.lab.vm import guest

PROGRAM = "qemu-system-x86_64"
SOCKETS = ("qmp", "monitor", "serial", "agent", "power")
AGENT_PORT = "org.qemu.guest_agent.0"
POWER_PORT = "org.weft.power.0"
SEED_SERIAL = "weft-seed"
# Nothing of this changes what a guest can do; each was measured to shorten an emulated boot.
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet loglevel=0 panic=1 tsc=reliable mitigations=off nokaslr no_timer_check"
    " random.trust_cpu=on cryptomgr.notests net.ifnames=0"
    # Self-tests of ciphers that nothing in the guest uses: 0.3 s.
    " initcall_blacklist=crypto_kdf108_init,jent_mod_init"
)
# Under emulation the delay loop's calibration alone takes 0.1 s; the figure is in TSC cycles.
KERNEL_ARGUMENTS_TCG = " lpj=10000000"


@dataclass(frozen=True, slots=True)
class Card:
    """A network card: on a tap, or with `tap` empty on QEMU's own user network."""

    mac: str
    tap: str = ""
    mtu: int = 0
    model: str = "virtio"
    forwards: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk image; `serial` is what the guest reads as the disk's serial number."""

    path: str
    format: str = "raw"
    read_only: bool = False
    serial: str = ""
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """All that decides the arguments. `image` set: direct boot; else firmware boots drive 0.

    `sockets` are (name of SOCKETS, descriptor of a listening socket): they are there before QEMU
    is, so nobody has to wait for them.
    """

    name: str
    folder: Path
    memory: int
    cpus: int
    accelerator: str
    cards: tuple[Card, ...]
    drives: tuple[Drive, ...]
    image: guest.Guest | None = None
    uuid: str = ""
    sockets: tuple[tuple[str, int], ...] = ()


def arguments(launch: Launch) -> list[str]:
    """Everything after the program's name."""
    kvm = launch.accelerator == "kvm"
    args = ["-nodefaults", "-no-user-config", "-display", "none", "-name", launch.name]
    args += ["-machine", "q35,usb=off,vmport=off,hpet=off"]
    args += ["-accel", "kvm" if kvm else "tcg,thread=multi,tb-size=64"]
    args += ["-cpu", "host" if kvm else "max"]
    # One virtual processor where each is emulated: two would fight over the same core.
    args += ["-smp", str(launch.cpus if kvm else 1), "-m", f"{-(-launch.memory // (1 << 20))}M"]
    args += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    if launch.uuid:
        args += ["-uuid", launch.uuid]
    for name in ("qmp", "monitor"):
        args += ["-chardev", _socket(launch, name), "-mon", f"chardev={name},mode=control"]
    log = _escape(launch.folder / layout.CONSOLE_LOG)
    args += ["-chardev", f"{_socket(launch, 'serial')},logfile={log},logappend=off"]
    args += ["-serial", "chardev:serial", "-device", "virtio-serial-pci"]
    for name, port in (("agent", AGENT_PORT), ("power", POWER_PORT)):
        args += ["-chardev", _socket(launch, name)]
        args += ["-device", f"virtserialport,chardev={name},name={port},id={name}-port"]
    for index, card in enumerate(launch.cards):
        args += _card(card, index, ports=launch.image is None)
    for index, drive in enumerate(launch.drives):
        args += _drive(drive, index)
    if launch.image is not None:
        line = KERNEL_ARGUMENTS + ("" if kvm else KERNEL_ARGUMENTS_TCG)
        args += ["-kernel", str(launch.image.kernel), "-initrd", str(launch.image.initrd)]
        args += ["-append", line]
    else:
        args += ["-device", "virtio-rng-pci"]
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


def user_mac(name: str, index: int) -> str:
    """A card's MAC where nobody chose one: derived from the machine's name, KubeVirt's prefix."""
    digest = hashlib.sha256(f"{name}/{index}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (2, 0, 0, *digest[:3]))


def _card(card: Card, index: int, *, ports: bool) -> list[str]:
    if card.tap:
        backend = f"tap,id=net{index},ifname={card.tap},script=no,downscript=no,vhost=off"
    else:
        forwards = "".join(f",hostfwd={kind}::{port}-:{port}" for kind, port in card.forwards)
        backend = (
            f"user,id=net{index},ipv6=off,net=10.0.2.0/24,host=10.0.2.1,dns=10.0.2.3,"
            f"dhcpstart=10.0.2.2{forwards}"
        )
    device = "virtio-net-pci" if card.model == "virtio" else card.model
    front = f"{device},netdev=net{index},id=card{index},mac={card.mac},romfile="
    if card.mtu and device == "virtio-net-pci":
        front += f",host_mtu={card.mtu}"
    args = ["-netdev", backend]
    if ports:
        # One root port for each card, first of all buses: guests call them enp1s0, enp2s0, ...
        # as on KubeVirt.
        args += ["-device", f"pcie-root-port,id=port{index},chassis={index + 1}"]
        front += f",bus=port{index}"
    return [*args, "-device", front]


def _drive(drive: Drive, index: int) -> list[str]:
    node = f"drive{index}"
    backend = f"file={_escape(drive.path)},if=none,id={node},format={drive.format}"
    backend += ",readonly=on" if drive.read_only else ""
    backend += ",snapshot=on" if drive.snapshot else ""
    front = f"virtio-blk-pci,drive={node}"
    front += f",serial={drive.serial}" if drive.serial else ""
    front += ",bootindex=0" if index == 0 and not drive.serial else ""
    return ["-drive", backend, "-device", front]


def _socket(launch: Launch, name: str) -> str:
    return f"socket,id={name},fd={dict(launch.sockets)[name]},server=on,wait=off"


def _escape(path: Path | str) -> str:
    """QEMU's option syntax doubles a comma that is meant."""
    return str(path).replace(",", ",,")
