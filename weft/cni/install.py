"""Installs the CNI plugin into the folder that a container runtime searches.

Two programs do the same: one Python file that imports only the standard library, installed as a
copy with an interpreter line, and a static program for hosts without Python (`deploy/plugin`). A
file is replaced atomically: a call meanwhile runs the old or the new one.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

NAMES = ("weft-cni", "ovn-k8s-cni-overlay")
# -I -S -E as the one argument that a `#!` line may have: no site, user paths or environment.
FLAGS = "-ISE"
# Linux reads at most this many bytes of the first line (execve(2)).
MAX_FIRST_LINE = 255
# The start of a request to the agent: weft's plugins contain it, and no other plugin does.
MARK = b"weft-cni 1 "
_MODE = 0o755


class Foreign(Exception):
    """A file of this name is no plugin of weft."""


def render(interpreter: str = "") -> bytes:
    """Returns the Python plugin; `interpreter` is by default the one that runs this.

    Raises ValueError if a script's first line cannot name the interpreter.
    """
    interpreter = interpreter or os.path.realpath(sys.executable)
    first = f"#!{interpreter} {FLAGS}"
    if len(first) > MAX_FIRST_LINE or any(space in interpreter for space in " \t\n"):
        raise ValueError(
            f"interpreter {interpreter!r}: cannot be used in a script's first line;"
            " use a path without spaces, shorter than 240 characters"
        )
    source = (Path(__file__).parent / "shim.py").read_bytes()
    return first.encode() + b"\n" + source


def install(folder: Path, program: bytes = b"", *, names: Iterable[str] = NAMES) -> list[Path]:
    """Writes `program`, by default the Python plugin, under each name; returns the paths.

    Replaces older plugins of weft. Raises Foreign, and writes nothing, if another file has a name;
    OSError if the folder cannot be written.
    """
    program = program or render()
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / name for name in names]
    for target in made:
        if is_foreign(target):
            raise Foreign(str(target))
    for target in made:
        _put(target, program)
    return made


def is_foreign(path: Path) -> bool:
    """Whether `path` exists and is no plugin of weft."""
    try:
        return MARK not in path.read_bytes()
    except FileNotFoundError:
        return path.is_symlink()
    except OSError:
        return True


def is_installed(path: Path, program: bytes) -> bool:
    """Whether `path` is exactly this program, with mode 0755."""
    try:
        mode = path.lstat().st_mode
        whole = stat.S_ISREG(mode) and stat.S_IMODE(mode) == _MODE
        return whole and path.read_bytes() == program
    except OSError:
        return False


def remove(folder: Path, names: Iterable[str] = NAMES) -> list[Path]:
    """Removes the plugins of weft from the folder; returns the paths."""
    there = [folder / name for name in names]
    found = [path for path in there if path.exists() and not is_foreign(path)]
    for path in found:
        path.unlink(missing_ok=True)
    return found


def _put(target: Path, program: bytes) -> None:
    """Writes and syncs a temporary file, then renames it: no crash leaves half a plugin."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(program)
            file.flush()
            os.fchmod(file.fileno(), _MODE)
            os.fsync(file.fileno())
        fresh.replace(target)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
