"""Makes the built-in guest: its kernel, programs and scripts.

A kernel and an initramfs out of the toolchain's files: busybox, curl, the QEMU guest agent, the
modules a virtual machine needs and the scripts of `guest/`. It is made once for each content, and
cached. `guest/rc` has what a guest does with a seed disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from weft import errors
from weft_lab.runtime import cache, elf, toolchain
from weft_lab.vm import cpio, kernel

SCRIPTS = Path(__file__).with_name("guest")
MODULES = ("virtio_net", "virtio_blk", "isofs", "8021q", "macvlan")
PROGRAMS = (("bin/curl", "curl"), ("sbin/qemu-ga", "qemu-ga"))
LIBRARIES = "usr/lib/x86_64-linux-gnu"
KEPT = 3
LAYOUT = 1  # raise when the same files would be put together in another way
FOLDERS = (
    *("bin", "dev", "etc", "home", "lib", "lib/modules", "lib64", "mnt", "proc", "root", "run"),
    *("sbin", "srv", "sys", "tmp", "usr", "usr/lib", LIBRARIES, "usr/share", "var", "var/www"),
)
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/shadow": "root::::::::\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/hostname": "guest\n",
    "etc/issue": "weft guest \\n \\l\n\n",
    "etc/profile": "export PATH=/sbin:/bin PS1='\\u@\\h:\\w\\$ '\n",
    "etc/os-release": 'ID=weft\nNAME="weft guest"\nPRETTY_NAME="weft guest"\nVERSION_ID=1\n',
}


@dataclass(frozen=True, slots=True)
class Guest:
    """What QEMU boots. `kernel` is an ELF file where it could be unpacked, else as packaged."""

    kernel: Path
    initrd: Path


@dataclass(frozen=True, slots=True)
class Contents:
    """Contents that the image is made of; everything that `plan` needs to know."""

    busybox: bytes
    applets: tuple[str, ...]
    programs: Mapping[str, bytes]
    libraries: Mapping[str, bytes]
    modules: Mapping[str, bytes]
    scripts: Mapping[str, bytes]


def plan(contents: Contents) -> list[cpio.Entry]:
    """The initramfs, in an order in which folders precede what is in them."""
    entries = [cpio.folder(path) for path in FOLDERS]
    entries += [
        cpio.device("dev/console", 5, 1),
        # Set-user-ID, so that ping, su and passwd work for everybody; it gives up the right for
        # all applets that do not need it.
        cpio.file("bin/busybox", contents.busybox, 0o4755),
        cpio.link("init", "bin/busybox"),
        cpio.link("usr/bin", "../bin"),
        cpio.link("usr/sbin", "../sbin"),
        cpio.link("var/run", "../run"),
    ]
    entries += [cpio.file(path, text.encode()) for path, text in sorted(TEXTS.items())]
    taken = {path.rpartition("/")[2] for path in contents.programs} | {"busybox", "shutdown"}
    entries += [
        cpio.link(f"bin/{name}", "busybox") for name in sorted({*contents.applets} - taken - {""})
    ]
    entries += [cpio.file(path, data, 0o755) for path, data in sorted(contents.programs.items())]
    for name, data in contents.libraries.items():
        entries.append(cpio.file(f"{LIBRARIES}/{name}", data, 0o755))
    loaders = {elf.interpreter(data) for data in contents.programs.values()} - {""}
    for loader in sorted(loaders):
        name = loader.rpartition("/")[2]
        entries.append(cpio.link(loader.lstrip("/"), f"/{LIBRARIES}/{name}"))
    order = load_order(contents.modules)
    entries += [cpio.file(f"lib/modules/{name}.ko", contents.modules[name]) for name in order]
    entries.append(
        cpio.file("lib/modules/order", "".join(f"{name}.ko\n" for name in order).encode())
    )
    for name, data in sorted(contents.scripts.items()):
        place = "sbin/shutdown" if name == "shutdown" else f"etc/{name}"
        entries.append(cpio.file(place, data, 0o755))
    return entries


def load_order(modules: Mapping[str, bytes]) -> list[str]:
    """Every module after those it depends on."""
    order: list[str] = []

    def add(name: str) -> None:
        if name in order or name not in modules:
            return
        for other in dependencies(modules[name]):
            add(other)
        order.append(name)

    for name in modules:
        add(name)
    return order


def dependencies(module: bytes) -> tuple[str, ...]:
    """What a module says in its `depends` field."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    names = found.group(1).decode().split(",") if found else []
    return tuple(name.replace("-", "_") for name in names if name)


def ensure(tools: toolchain.Toolchain) -> Guest:
    """The guest made from `tools`; a second call finds it in the cache.

    Raises Unavailable when the toolchain's files do not hold what a guest needs.
    """
    folder = cache.folder() / f"guest-{_identity(tools)}"
    if not _complete(folder):
        with cache.lock(cache.folder() / "guest.lock"):
            if not _complete(folder):
                _build(folder, tools)
    return Guest(kernel=folder / "kernel", initrd=folder / "initrd")


def _complete(folder: Path) -> bool:
    """Whether the build got as far as its stamp and both files still have their sizes."""
    try:
        sizes = [int(word) for word in (folder / "complete").read_text().split()]
        return sizes == [(folder / name).stat().st_size for name in ("kernel", "initrd")]
    except (OSError, ValueError):
        return False


def _identity(tools: toolchain.Toolchain) -> str:
    """Names what the guest is made of, without reading the large files."""
    digest = hashlib.sha256(repr(LAYOUT).encode())
    sources = [tools.kernel, _find(tools, "busybox")]
    sources += [_find(tools, program) for _, program in PROGRAMS]
    for source in sources:
        status = os.stat(source)
        digest.update(f"{source}:{status.st_size}:{status.st_mtime_ns}\n".encode())
    digest.update(Path(__file__).read_bytes())
    for script in sorted(SCRIPTS.iterdir()):
        digest.update(script.name.encode() + b"\0" + script.read_bytes())
    return digest.hexdigest()[:12]


def _build(folder: Path, tools: toolchain.Toolchain) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        image = tools.kernel.read_bytes()
        (folder / "kernel").write_bytes(kernel.unpack(image) or image)
        (folder / "initrd").write_bytes(cpio.pack(plan(_gather(tools))))
        sizes = [(folder / name).stat().st_size for name in ("kernel", "initrd")]
        # Last, and at once, so that half a build is no build.
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as stamp:
            stamp.write(" ".join(map(str, sizes)))
            os.fchmod(stamp.fileno(), 0o644)
        os.replace(stamp.name, folder / "complete")
        _prune(folder.parent)
    except OSError as error:
        raise errors.Unavailable(
            f"the guest image cannot be made ({error.strerror}: {error.filename})",
            where=str(folder),
            hint="free some space, or remove the cache folder and run it again",
        ) from error


def _prune(parent: Path) -> None:
    """Remove images of earlier content, but for the latest few, which running labs may use."""
    folders = sorted(parent.glob("guest-*/"), key=lambda path: path.stat().st_mtime)
    for folder in folders[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _gather(tools: toolchain.Toolchain) -> Contents:
    busybox = _find(tools, "busybox")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    programs = {place: _find(tools, name).read_bytes() for place, name in PROGRAMS}
    folders = [tools.guest_files / LIBRARIES, tools.guest_files / "lib/x86_64-linux-gnu"]

    def library(name: str) -> bytes:
        return _first(folders, name).read_bytes()

    return Contents(
        busybox=busybox.read_bytes(),
        applets=tuple(listed.stdout.split()),
        programs=programs,
        libraries=elf.closure(programs.values(), library),
        modules=_modules(tools.kernel_modules, MODULES),
        scripts={path.name: path.read_bytes() for path in SCRIPTS.iterdir()},
    )


def _modules(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """`names` and all they depend on; what is not there as a file is built into the kernel."""
    known = {path.name.split(".ko")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    found: dict[str, bytes] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in found and name in known:
            found[name] = kernel.module(known[name].read_bytes())
            waiting += dependencies(found[name])
    return found


def _find(tools: toolchain.Toolchain, program: str) -> Path:
    places = ("usr/bin", "usr/sbin", "bin", "sbin")
    return _first([tools.guest_files / place for place in places], program)


def _first(folders: list[Path], name: str) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise errors.Unavailable(
        f"{name} is not among the guest's files",
        where=str(folders[0]),
        hint="remove the cache folder and run it again",
    )
