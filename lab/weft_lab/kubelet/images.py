"""Chooses the programs and the command of a container, in place of its image.

The lab pulls no images: one name stands for a virtual machine's launcher, every other for busybox.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LAUNCHER = "lab.weft/virt-launcher"
IDLE = ("sleep", "infinity")
# Images whose entry point is a plain shell or program loader: their arguments are a command.
_BARE = ("busybox", "alpine", "debian", "ubuntu", "fedora")


def is_native(image: str) -> bool:
    """Whether the image is a virtual machine launcher's, which gets this machine's programs."""
    return image.partition("@")[0].partition(":")[0] == LAUNCHER


def command(container: dict[str, Any]) -> tuple[str, ...]:
    """The argv of a container: its command and args, since the lab knows no image's entry point."""
    given = container.get("command") or ()
    args = container.get("args") or ()
    if given:
        return (*given, *args)
    repository = str(container.get("image", "")).rpartition("/")[2].partition(":")[0]
    return tuple(args) if args and repository in _BARE else IDLE


def explanation(container: dict[str, Any]) -> str:
    """The message of an Event about the stand-in; empty if there is nothing to say."""
    image = container.get("image", "")
    if is_native(image):
        return ""
    message = f'Image "{image}" is stood in for by busybox: the lab pulls no images'
    if not container.get("command") and command(container) == IDLE:
        message += "; without a command the container idles"
    return message


def ensure(folder: Path, busybox: Path) -> Path:
    """Make the busybox root, with each applet in `bin`, once for a node; return its folder."""
    programs = folder / "bin"
    if (programs / "sh").is_symlink():
        return folder
    programs.mkdir(parents=True, exist_ok=True)
    for each in (
        folder,
        programs,
    ):  # so that pods' users, who are no users of this machine, can read them
        each.chmod(0o755)
    (programs / "busybox").write_bytes(busybox.resolve().read_bytes())
    (programs / "busybox").chmod(0o755)
    for applet in sorted(_applets(busybox), key=lambda name: name == "sh"):
        link = programs / applet
        if applet != "busybox" and not link.is_symlink():
            link.symlink_to("busybox")
    return folder


def _applets(busybox: Path) -> Sequence[str]:
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    return listed.stdout.split()
