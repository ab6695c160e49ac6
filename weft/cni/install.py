"""How the plugin gets into the folder that a container runtime looks into.

The question answered here: which files, under which names, started by which interpreter? The
plugin is one file of Python without imports beyond the interpreter's own, so an install is a
copy with a first line, replaced atomically: a call that runs meanwhile meets the old or the new.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NAMES = ("weft-cni", "ovn-k8s-cni-overlay")
# -I -S -E in the one argument that a `#!` line may carry: no site, no user paths, no environment.
FLAGS = "-ISE"
# Linux reads no more than this of a first line.
MAX_FIRST_LINE = 255


def render(interpreter: str) -> str:
    """The text of the executable."""
    first = f"#!{interpreter} {FLAGS}"
    if len(first) > MAX_FIRST_LINE or any(space in interpreter for space in " \t\n"):
        raise ValueError(
            f"interpreter {interpreter!r}: cannot stand in a script's first line;"
            " use a path without spaces, shorter than 240 characters"
        )
    source = (Path(__file__).parent / "shim.py").read_text()
    return f"{first}\n{source}"


def install(folder: Path, *, interpreter: str = "", names: tuple[str, ...] = NAMES) -> list[Path]:
    """Write the plugin under each of its names; what is there already is replaced."""
    text = render(interpreter or os.path.realpath(sys.executable))
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in names:
        target = folder / name
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(target)
        made.append(target)
    return made
