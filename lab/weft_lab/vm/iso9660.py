"""Writes a few files as a disk image that every system can mount. (ECMA-119)

One flat folder, lower-case names kept as they are: Linux folds nothing away that cloud-init
looks for. Bytes in, bytes out, without times, so the same input gives the same image.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

SECTOR = 2048
ROOT = 20  # sectors: 16 description, 17 end of them, 18 and 19 path tables, 20 the folder
LONGEST_NAME = 30


def image(label: str, files: Mapping[str, bytes]) -> bytes:
    """An ISO 9660 image with `files` at its root."""
    for name in files:
        if not 0 < len(name) <= LONGEST_NAME or "/" in name:
            raise ValueError(f"{name!r}: a file name of 1 to {LONGEST_NAME} characters is needed")
    identifiers = {name: f"{name if '.' in name else name + '.'};1".encode() for name in files}
    ordered = sorted(files, key=lambda name: identifiers[name])
    dots = [_record(dot, ROOT, 0, folder=True) for dot in (b"\0", b"\1")]
    draft = _folder(dots + [_record(identifiers[name], 0, 0) for name in ordered])
    folder_sectors = len(draft) // SECTOR
    place, sectors = ROOT + folder_sectors, {}
    for name in ordered:
        sectors[name] = place
        place += -(-len(files[name]) // SECTOR)
    root = _record(b"\0", ROOT, len(draft), folder=True)
    records = [root, _record(b"\1", ROOT, len(draft), folder=True)]
    records += [_record(identifiers[name], sectors[name], len(files[name])) for name in ordered]
    out = bytearray(16 * SECTOR)
    out += _description(label, place, root)
    out += b"\xffCD001\1".ljust(SECTOR, b"\0")
    out += struct.pack("<BBIH2s", 1, 0, ROOT, 1, b"\0\0").ljust(SECTOR, b"\0")
    out += struct.pack(">BBIH2s", 1, 0, ROOT, 1, b"\0\0").ljust(SECTOR, b"\0")
    out += _folder(records)
    for name in ordered:
        out += files[name] + bytes(-len(files[name]) % SECTOR)
    return bytes(out)


def _both(value: int) -> bytes:
    return struct.pack("<I", value) + struct.pack(">I", value)


def _both16(value: int) -> bytes:
    return struct.pack("<H", value) + struct.pack(">H", value)


def _record(identifier: bytes, sector: int, size: int, *, folder: bool = False) -> bytes:
    body = (
        b"\0" + _both(sector) + _both(size) + bytes(7) + bytes([2 if folder else 0, 0, 0])
        + _both16(1) + bytes([len(identifier)]) + identifier
    )  # fmt: skip
    body += bytes((len(body) + 1) % 2)
    return bytes([len(body) + 1]) + body


def _folder(records: list[bytes]) -> bytes:
    """Records laid into sectors; none crosses from one into the next."""
    out = bytearray()
    for record in records:
        if len(out) % SECTOR + len(record) > SECTOR:
            out += bytes(-len(out) % SECTOR)
        out += record
    return bytes(out) + bytes(-len(out) % SECTOR)


def _description(label: str, sectors: int, root: bytes) -> bytes:
    """The primary volume descriptor."""
    no_time = b"0" * 16 + b"\0"
    out = b"\1CD001\1\0" + b" " * 32 + label.encode().ljust(32) + bytes(8)
    out += _both(sectors) + bytes(32) + _both16(1) + _both16(1) + _both16(SECTOR) + _both(10)
    out += struct.pack("<II", 18, 0) + struct.pack(">II", 19, 0) + root
    out += b" " * (128 * 4 + 37 * 3) + no_time * 4 + b"\1\0"
    return out.ljust(SECTOR, b"\0")
