"""Sends and receives whole Ethernet frames on one device.

The kernel filters what a packet socket receives, so a flood on a tenant's network does not wake the
process.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection, Iterable

ETH_P_IPV6 = 0x86DD
ETH_P_ALL = 0x0003
_SO_ATTACH_FILTER = 26

# (code, jump if true, jump if false, operand): classic BPF, as in linux/filter.h.
Instruction = tuple[int, int, int, int]
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x06
_TAKE, _LEAVE = (_RETURN, 0, 0, 0x40000), (_RETURN, 0, 0, 0)
NOTHING = (_LEAVE,)
# Offsets of a frame's type, and of the header after an IPv6 header without extensions.
_TYPE, _NEXT, _ICMPV6_TYPE, _UDP_TARGET, _SOURCE_TAIL = 12, 20, 54, 56, 8
_MAX_INSTRUCTIONS = 4096


def icmpv6_or_udp(
    kind: int, port: int, sources: Collection[str] | None = None
) -> tuple[Instruction, ...]:
    """Accepts ICMPv6 of one type and UDP to one port, directly after an IPv6 header.

    With `sources` (MACs) only frames from those, compared by their last four bytes: the receiver
    must check the whole MAC. If there are more than a program can compare, all sources pass.
    """
    program = [
        (_LOAD_HALF, 0, 0, _TYPE),
        (_EQUAL, 1, 0, ETH_P_IPV6),
        _LEAVE,
        (_LOAD_BYTE, 0, 0, _NEXT),
        (_EQUAL, 0, 3, socket.IPPROTO_ICMPV6),
        (_LOAD_BYTE, 0, 0, _ICMPV6_TYPE),
        (_EQUAL, 6, 0, kind),
        _LEAVE,
        (_EQUAL, 1, 0, socket.IPPROTO_UDP),
        _LEAVE,
        (_LOAD_HALF, 0, 0, _UDP_TARGET),
        (_EQUAL, 1, 0, port),
        _LEAVE,
    ]
    if sources is None or len(program) + 2 * len(sources) + 2 > _MAX_INSTRUCTIONS:
        return (*program, _TAKE)
    program.append((_LOAD_WORD, 0, 0, _SOURCE_TAIL))
    for mac in sorted(sources):
        program += [(_EQUAL, 0, 1, int(mac.replace(":", "")[4:], 16)), _TAKE]
    return (*program, _LEAVE)


def open(device: str, accept: Iterable[Instruction], kind: int = ETH_P_IPV6) -> socket.socket:
    """A non-blocking packet socket on a device of this thread's namespace; raises OSError.

    It is bound to the device after the filter is attached, so no other frame gets in before. With
    `kind` ETH_P_ALL it also receives what this system sends through the device.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        filter(sock, accept)
        sock.bind((device, kind))
    except BaseException:
        sock.close()
        raise
    return sock


def hearing(mac: str) -> socket.socket:
    """A non-blocking packet socket that hears one sender on all devices of this thread's namespace.

    The kernel compares the last four bytes of the MAC; a frame that came before the filter passes.
    The caller closes it. Raises OSError.
    """
    tail = int(mac.replace(":", "")[4:], 16)
    program = ((_LOAD_WORD, 0, 0, _SOURCE_TAIL), (_EQUAL, 0, 1, tail), _TAKE, _LEAVE)
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    sock = socket.socket(socket.AF_PACKET, kind, socket.htons(ETH_P_ALL))
    try:
        filter(sock, program)
    except BaseException:
        sock.close()
        raise
    return sock


def send(device: str, frames: Iterable[bytes]) -> None:
    """Send frames out of a device of this thread's namespace; raises OSError."""
    with sender(device) as sock:
        for each in frames:
            sock.send(each)


def sender(device: str) -> socket.socket:
    """A socket that sends frames out of a device of this thread's namespace, and hears none.

    The caller closes it. Raises OSError.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.bind((device, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def filter(sock: socket.socket, accept: Iterable[Instruction]) -> None:
    """Replace the filter; raises OSError, and then the old filter stays."""
    program = b"".join(struct.pack("=HBBI", *each) for each in accept)
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
