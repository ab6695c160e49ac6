"""A disk image with Debian, systemd and cloud-init, made of Debian's packages by an ordinary user.

The packages are unpacked and not installed: none of their scripts runs. What those would have done
and a boot needs is done here: users, links of units, caches, a small initramfs, a boot loader. The
image has nothing of weft in it; who it is and how it reaches a network cloud-init tells it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from weft_lab.runtime import cache, debian, toolchain
from weft_lab.vm import cpio, guest, kernel

PACKAGES = (
    *("base-files", "base-passwd", "bash", "coreutils", "dash", "debianutils", "findutils"),
    *("grep", "gzip", "hostname", "libc-bin", "login", "mount", "ncurses-base", "passwd"),
    *("libpam-modules", "libpam-runtime", "sed", "tar", "util-linux", "procps"),
    *("systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "iputils-ping"),
    *("cloud-init", "qemu-guest-agent", "e2fsprogs", "busybox-static"),
    *("ca-certificates", "netcat-openbsd"),
    *(toolchain.KERNEL, "grub-pc-bin", "grub-common"),
)
# Wanted by others, and without a part in a boot.
WITHOUT = re.compile(
    r"^(initramfs-|klibc|linux-base|perl|libperl|dracut|grub2-common|debconf|ucf$|gettext-base"
    r"|locales$|sensible-utils|openssh|openssl$|libicu|eatmydata)"
)
MODULES = ("virtio_blk", "ext4", "virtio_net", "isofs", "virtio_console", "virtio_rng")
SIZE = 512 << 20  # bytes of the disk
START = 1 << 20  # bytes before its one partition
COMMAND_LINE = "root=/dev/vda1 ro console=ttyS0 audit=0 quiet mitigations=off systemd.firstboot=off"
_SECTOR = 512
_INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /sys /dev /new
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for each in $($b cat /order); do $b insmod /modules/$each; done
until [ -b /dev/vda1 ]; do $b sleep 0.1; done
$b mount -t ext4 /dev/vda1 /new
for each in proc sys dev; do $b umount /$each; done
exec $b switch_root /new /sbin/init
"""
_BOOT = f"""serial --unit=0 --speed=115200
terminal_output serial
set root=(hd0,msdos1)
linux /boot/vmlinuz {COMMAND_LINE}
initrd /boot/initrd
boot
"""
_FILES = {
    "etc/fstab": "/dev/vda1 / ext4 defaults 0 0\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/machine-id": "",  # not a first boot, which asks questions
    # No SSH server and no locales are in it.
    "etc/cloud/cloud.cfg.d/90-image.cfg": "datasource_list: [NoCloud, ConfigDrive, None]\n"
    "ssh_genkeytypes: []\nlocale: false\n",
    "etc/pam.d/other": "".join(
        f"{kind} required pam_unix.so\n" for kind in ("auth", "account", "password", "session")
    ),
}


def ensure() -> Path:
    """The raw image, from the cache if it is there. Raises Unavailable as the toolchain does."""
    identity = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    image = cache.folder() / f"debian-{identity}" / "debian.raw"
    if not image.exists():
        with cache.lock(cache.folder() / "debian.lock"):
            if not image.exists():
                _build(image)
    return image


def _build(image: Path) -> None:
    work = image.parent / "work"
    shutil.rmtree(image.parent, ignore_errors=True)
    work.mkdir(parents=True)
    suite = os.environ.get("WEFT_SUITE", toolchain.SUITE)
    apt = debian.Apt(work / "apt", suite)
    apt.prepare()
    archives = apt.resolve(PACKAGES, without=WITHOUT)
    root = work / "root"
    debian.unpack(apt.fetch(archives), root)
    _configure(root)
    made = work / "debian.raw"
    _write_disk(made, root, work)
    made.rename(image)
    shutil.rmtree(work)


def _configure(root: Path) -> None:
    """What the packages' scripts would have done."""
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / f"etc/{name}")
    with (root / "etc/passwd").open("a") as users, (root / "etc/group").open("a") as groups:
        for number, name in ((997, "messagebus"), (998, "systemd-network")):
            users.write(f"{name}:x:{number}:{number}::/:/usr/sbin/nologin\n")
            groups.write(f"{name}:x:{number}:\n")
    lines = (root / "etc/passwd").read_text().splitlines()
    (root / "etc/shadow").write_text("".join(f"{line.split(':')[0]}:*:1::::::\n" for line in lines))
    (root / "etc/shadow").chmod(0o640)
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("login", "systemd-user", "su"):
        path = root / "etc/pam.d" / name
        if path.exists():
            path.write_text((root / "etc/pam.d/other").read_text())
    for name in ("common-auth", "common-account", "common-password", "common-session"):
        (root / "etc/pam.d" / name).write_text(f"{name.partition('-')[2]} required pam_unix.so\n")
    # cloud-init's HTTP client does not start without certificates, and its units speak through nc.
    bundle = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(b"".join(map(Path.read_bytes, bundle)))
    (root / "usr/bin/nc").symlink_to("nc.openbsd")
    _boot_files(root)
    for name in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/modules"):
        shutil.rmtree(root / name, ignore_errors=True)
    inside(root, "ldconfig")
    # An emulated guest would take half a minute to compile what cloud-init imports.
    folders = [f"/{each.relative_to(root)}" for each in (root / "usr/lib").glob("python3*")]
    compiling = ("python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
    inside(root, *compiling, *folders)
    inside(root, "systemctl", "preset-all")
    inside(root, "systemctl", "enable", "systemd-networkd.service", "serial-getty@ttyS0.service")
    slow = ("networkd-wait-online", "hwdb-update", "journal-catalog-update", "firstboot")
    inside(root, "systemctl", "mask", *(f"systemd-{name}.service" for name in slow))
    inside(root, "systemctl", "mask", "ldconfig.service", "fstrim.timer", "e2scrub_all.timer")
    inside(root, "systemctl", "mask", "e2scrub_reap.service", "getty@tty1.service")


def _boot_files(root: Path) -> None:
    """The kernel, and an initramfs with the modules that lead to the disk and the network."""
    (image,) = (root / "boot").glob("vmlinuz-*")
    image.rename(root / "boot/vmlinuz")
    known = {path.name.split(".ko")[0].replace("-", "_"): path
             for path in (root / "usr/lib/modules").rglob("*.ko*")}  # fmt: skip
    modules: dict[str, bytes] = {}
    waiting = list(MODULES)
    while waiting:
        name = waiting.pop(0)
        if name in known and name not in modules:
            modules[name] = kernel.module(known[name].read_bytes())
            waiting += guest.dependencies(modules[name])
    order = guest.load_order(modules)
    entries = [cpio.folder(name) for name in ("bin", "modules", "dev")]
    entries.append(cpio.device("dev/console", 5, 1))
    entries.append(cpio.file("bin/busybox", (root / "usr/bin/busybox").read_bytes(), 0o755))
    entries.append(cpio.file("init", _INIT.encode(), 0o755))
    entries.append(cpio.file("order", "".join(f"{name}.ko\n" for name in order).encode()))
    entries += [cpio.file(f"modules/{name}.ko", modules[name]) for name in order]
    (root / "boot/initrd").write_bytes(cpio.pack(entries))


def inside(root: Path, *argv: str) -> None:
    """Run a program of the tree there, as its root: of a namespace, for an ordinary user."""
    run([*_as_root(), "chroot", str(root), "/usr/bin/env", "PATH=/usr/sbin:/usr/bin", *argv])


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]


def _write_disk(disk: Path, root: Path, work: Path) -> None:
    """A boot loader, and one partition with the tree."""
    loader = str(root / "usr/lib64/ld-linux-x86-64.so.2")
    program = [loader, "--library-path", f"{root}/usr/lib/x86_64-linux-gnu"]
    with disk.open("wb") as file:
        file.truncate(SIZE)
    blocks = (SIZE - START) // 1024
    offset = f"offset={START},root_owner=0:0"
    mkfs = [
        *program,
        str(root / "usr/sbin/mke2fs"),
        "-q",
        "-F",
        "-t",
        "ext4",
        "-L",
        "root",
        "-O",
        "^64bit",
    ]
    run([*_as_root(), *mkfs, "-E", offset, "-d", str(root), str(disk), f"{blocks}k"])
    modules = root / "usr/lib/grub/i386-pc"
    (work / "early.cfg").write_text(_BOOT)
    core = work / "core.img"
    named = ["biosdisk", "part_msdos", "ext2", "linux", "serial", "terminal"]
    run(
        [
            *(*program, str(root / "usr/bin/grub-mkimage"), "-d", str(modules), "-O", "i386-pc"),
            *("-o", str(core), "-c", str(work / "early.cfg"), "-p", "(hd0,msdos1)/boot/grub"),
            *named,
        ]
    )
    sector = bytearray((modules / "boot.img").read_bytes())
    entry = struct.pack(
        "<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff",
        START // _SECTOR, (SIZE - START) // _SECTOR,
    )  # fmt: skip
    sector[446:510] = entry.ljust(64, b"\0")  # in place of what reads floppy disks
    assert core.stat().st_size <= START - _SECTOR
    with disk.open("r+b") as file:
        file.write(sector + core.read_bytes())


def run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}: {done.stderr}{done.stdout}"


if __name__ == "__main__":
    began = time.monotonic()
    print(ensure(), f"{time.monotonic() - began:.0f} s")
