"""Checks which files of this machine a virtual machine may have as disks. Pure.

The lab's owner names folders, and for each the format of all images in it; a manifest names a file
below one of them. The format is never read from an image, because a guest may have written it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from weft.errors import InvalidInput

FORMATS = ("raw", "qcow2")
HINT = "the lab's owner names folders: weft lab up --disks [FORMAT:]FOLDER"
_QCOW2 = b"QFI\xfb"
_DATA_FILE = 1 << 2  # incompatible features: the data are in another file


@dataclass(frozen=True, slots=True)
class Folder:
    """Images of one format."""

    path: str
    format: str = "raw"

    def __str__(self) -> str:
        return f"{self.format}:{self.path}"


def parse(text: str) -> Folder:
    """`[FORMAT:]FOLDER`. Raises InvalidInput."""
    form, colon, path = text.partition(":")
    if not colon or form.startswith("/"):
        form, path = FORMATS[0], text
    if form not in FORMATS:
        rule = f"the format must be one of {', '.join(FORMATS)}"
        raise InvalidInput(
            "lab", "disks", text, rule, hint="write FORMAT:FOLDER, or FOLDER for raw"
        )
    if not is_plain(path) or path == "/":
        raise InvalidInput("lab", "disks", text, "must be the absolute path of a folder, below /")
    return Folder(path, form)


def is_plain(path: object) -> bool:
    """Whether a path is absolute, without `.`, `..` or control characters."""
    if not isinstance(path, str):
        return False
    parts = path.split("/")
    return path.startswith("/") and path.isprintable() and not {".", ".."} & {*parts}


def locate(field: str, path: str, folders: Iterable[Folder]) -> tuple[Folder, str]:
    """The innermost folder that holds `path`, and the way from there. Raises InvalidInput.

    This compares text only: whoever opens the file must not follow links out of the folder.
    """
    if not is_plain(path):
        raise InvalidInput("disk", field, path, "must be an absolute path without . and ..")
    image = PurePosixPath(path)
    fitting = [one for one in folders if PurePosixPath(one.path) in image.parents]
    if not fitting:
        rule = "is outside the folders that the lab's owner allows"
        raise InvalidInput("disk", field, path, rule, hint=HINT)
    chosen = max(fitting, key=lambda one: len(PurePosixPath(one.path).parts))
    return chosen, str(image.relative_to(chosen.path))


def size(header: bytes) -> int:
    """Bytes that a guest sees of a qcow2 image."""
    return int(struct.unpack_from(">Q", header, 24)[0])


def stands_alone(path: str, header: bytes) -> None:
    """Raises InvalidInput for a qcow2 image that is none, or that leads to other files."""
    if header[:4] != _QCOW2 or len(header) < 104:
        hint = "convert it with qemu-img, or name its folder without qcow2:"
        raise InvalidInput("disk", "path", path, "is not a qcow2 image", hint=hint)
    version, backing = struct.unpack_from(">IQ", header, 4)
    (features,) = struct.unpack_from(">Q", header, 72) if version > 2 else (0,)
    if backing or features & _DATA_FILE:
        rule = "needs another file beside it, which a virtual machine may not open"
        hint = "make one image of it: qemu-img convert -O qcow2"
        raise InvalidInput("disk", "path", path, rule, hint=hint)
