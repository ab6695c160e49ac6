"""Installs the CNI plugin into the folder that a container runtime searches.

The plugin is one Python file without imports beyond the standard library, so an install is a copy
with an interpreter line. It replaces the file atomically: a call meanwhile runs the old or the new.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NAMES = ("weft-cni", "ovn-k8s-cni-overlay")
# -I -S -E as the one argument that a `#!` line may have: no site, user paths or environment.
FLAGS = "-ISE"
# Linux reads at most this many bytes of the first line (execve(2)).
MAX_FIRST_LINE = 255


def render(interpreter: str) -> str:
    """The text of the executable."""
    first = f"#!{interpreter} {FLAGS}"
    if len(first) > MAX_FIRST_LINE or any(space in interpreter for space in " \t\n"):
        raise ValueError(
            f"interpreter {interpreter!r}: cannot be used in a script's first line;"
            " use a path without spaces, shorter than 240 characters"
        )
    source = (Path(__file__).parent / "shim.py").read_text()
    return f"{first}\n{source}"


def install(folder: Path, *, interpreter: str = "", names: tuple[str, ...] = NAMES) -> list[Path]:
    """Write the plugin under each of its names, replacing older ones; returns the paths."""
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
