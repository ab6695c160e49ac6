"""Picks from a distribution's kernel and modules what QEMU boots fastest.

An emulated guest spends a quarter of its boot on unpacking its kernel and checking the modules'
signatures. This does both once: it unpacks the kernel to the ELF file inside (booted through its
PVH entry), unpacks modules and drops their signatures.
"""

from __future__ import annotations

import ctypes
import gzip
import lzma
import struct

SETUP_SECTORS, PAYLOAD = 0x1F1, 0x248
SIGNED = b"~Module signature appended~\n"
SIGNATURE_INFO = 12


def unpack(image: bytes) -> bytes | None:
    """The ELF kernel inside a bzImage; None when its compression is not known here."""
    if image[:4] == b"\x7fELF":
        return image
    if image[0x202:0x206] != b"HdrS":
        return None
    start = (image[SETUP_SECTORS] or 4) * 512 + 512
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    payload = image[start + offset : start + offset + length]
    try:
        kernel = _decompress(payload)
    except (OSError, EOFError, lzma.LZMAError, ValueError):
        return None
    return kernel if kernel is not None and kernel[:4] == b"\x7fELF" else None


def module(data: bytes) -> bytes:
    """A module ready for insmod: unpacked (.xz, .gz, .zst) and without its signature."""
    plain = _decompress(data) or data
    if not plain.endswith(SIGNED):
        return plain
    end = len(plain) - len(SIGNED)
    (length,) = struct.unpack_from(">I", plain, end - 4)
    return plain[: end - SIGNATURE_INFO - length]


def _decompress(data: bytes) -> bytes | None:
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return _zstd(data)
    return None


def _zstd(data: bytes) -> bytes | None:
    """By the system's libzstd, which dpkg itself needs; None where it is missing."""
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        return None
    size_t = ctypes.c_size_t
    library.ZSTD_findFrameCompressedSize.restype = size_t
    library.ZSTD_decompress.restype = size_t
    library.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    frame = library.ZSTD_findFrameCompressedSize(data, size_t(len(data)))
    if library.ZSTD_isError(size_t(frame)):
        return None
    room = library.ZSTD_getFrameContentSize(data, size_t(frame))
    if room > 1 << 40:
        # The frame does not say; a kernel's own length follows it (the build appends four bytes).
        room = int.from_bytes(data[frame : frame + 4], "little")
    target = ctypes.create_string_buffer(room)
    done = library.ZSTD_decompress(target, size_t(room), data, size_t(frame))
    return None if library.ZSTD_isError(size_t(done)) else target.raw[:done]
