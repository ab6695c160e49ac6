"""Makes programs run out of a folder of unpacked packages.

Its own loader starts it with the folder's libraries, so that the host's C library and versions
do not matter. A wrapper is a two-line script; programs that look for their data beside
themselves are told where it is.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from weft import errors
from weft_lab.runtime import elf

PLACES = ("usr/sbin", "usr/bin", "sbin", "bin", "usr/lib/openvswitch-switch")
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd")


def locate(root: Path, program: str) -> Path:
    """The real file of `program` below `root`."""
    for place in PLACES:
        path = root / place / program
        if path.is_symlink():
            # Absolute links (alternatives) point out of the folder; the target lies elsewhere.
            if os.path.isabs(os.readlink(path)):
                continue
            path = path.resolve()
        if path.is_file() and path.suffix not in (".sh",):
            return path
    raise errors.Unavailable(
        f"{program} is not in the packages that should hold it",
        where=str(root),
        hint="choose another suite with WEFT_SUITE",
    )


def write(root: Path, program: str, target: Path) -> None:
    """Make `target` an executable that runs `program` of `root`."""
    real = locate(root, program)
    lines = ["#!/bin/sh"]
    if _is_static(real):
        target.symlink_to(real)
        return
    extra: list[str] = []
    if program.startswith("qemu-system"):
        modules = root / "usr/lib/x86_64-linux-gnu/qemu"
        lines.append(f"export QEMU_MODULE_DIR={shlex.quote(str(modules))}")
        for data in ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"):
            extra += ["-L", str(root / data)]
    libraries = ":".join(str(root / place) for place in LIBRARIES)
    argv = [str(_loader(root)), "--argv0", program, "--library-path", libraries, str(real), *extra]
    lines.append(f'exec {shlex.join(argv)} "$@"')
    target.write_text("\n".join(lines) + "\n")
    target.chmod(0o755)


def _loader(root: Path) -> Path:
    for place in ("usr/lib64", "lib64", "usr/lib/x86_64-linux-gnu"):
        path = root / place / "ld-linux-x86-64.so.2"
        if path.exists():
            return path
    raise errors.Unavailable("the packages hold no program loader", where=str(root))


def _is_static(path: Path) -> bool:
    """Whether it is a program that asks for no loader."""
    data = path.read_bytes()
    return elf.is_program(data) and not elf.interpreter(data)
