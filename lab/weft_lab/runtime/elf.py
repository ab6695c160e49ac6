"""Lists the shared libraries that a program names: reads ELF files (elf(5)), runs nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB = 1, 5


def is_program(data: bytes) -> bool:
    """Whether it is a 64-bit little-endian ELF file."""
    return data[:6] == b"\x7fELF\x02\x01"


def needed(data: bytes) -> tuple[str, ...]:
    """DT_NEEDED of a program; () of a static one."""
    segments = list(_segments(data))
    loads = [(address, offset, size) for kind, offset, address, size in segments if kind == PT_LOAD]
    tags = [
        tag
        for kind, offset, _address, size in segments
        if kind == PT_DYNAMIC
        for tag in struct.iter_unpack("<QQ", data[offset : offset + size])
    ]
    strings = next((value for tag, value in tags if tag == DT_STRTAB), None)
    if strings is None:
        return ()
    start = next(
        offset + strings - address
        for address, offset, size in loads
        if address <= strings < address + size
    )
    return tuple(_text(data, start + value) for tag, value in tags if tag == DT_NEEDED)


def interpreter(data: bytes) -> str:
    """The program loader that a file asks for; "" if none."""
    for kind, offset, _address, _size in _segments(data):
        if kind == PT_INTERP:
            return _text(data, offset)
    return ""


def closure(programs: Iterable[bytes], read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Every library that `programs` need, directly or not: name to content, sorted."""
    found: dict[str, bytes] = {}
    waiting = [name for program in programs for name in needed(program)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = read(name)
            waiting += needed(found[name])
    return dict(sorted(found.items()))


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(type, file offset, address, size in the file) of each program header."""
    if not is_program(data):
        return
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _flags, offset, address, _physical, length = struct.unpack_from(
            "<IIQQQQ", data, table + index * size
        )
        yield kind, offset, address, length


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()
