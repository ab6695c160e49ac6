"""How does a process send and hear whole Ethernet frames on one device?

A packet socket hears nothing but what its filter lets through, decided in the kernel, so that a
flood on a tenant's network does not wake the process. What a frame means is not known here.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable

ETH_P_IPV6 = 0x86DD
_SO_ATTACH_FILTER = 26

# (code, jump if true, jump if false, operand): classic BPF, as in linux/filter.h.
Instruction = tuple[int, int, int, int]
_LOAD_HALF, _LOAD_BYTE, _EQUAL, _RETURN = 0x28, 0x30, 0x15, 0x06


def icmpv6_of_type(kind: int) -> tuple[Instruction, ...]:
    """Accepts ICMPv6 of one type, directly after an IPv6 header without extensions."""
    return (
        (_LOAD_HALF, 0, 0, 12),
        (_EQUAL, 0, 5, ETH_P_IPV6),
        (_LOAD_BYTE, 0, 0, 20),
        (_EQUAL, 0, 3, socket.IPPROTO_ICMPV6),
        (_LOAD_BYTE, 0, 0, 54),
        (_EQUAL, 0, 1, kind),
        (_RETURN, 0, 0, 0x40000),
        (_RETURN, 0, 0, 0),
    )


def open(device: str, accept: Iterable[Instruction]) -> socket.socket:
    """A non-blocking socket on a device of this thread's network namespace; raises OSError.

    It is bound to the device only once the filter stands, so nothing slips in before.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        program = b"".join(struct.pack("=HBBI", *each) for each in accept)
        buffer = ctypes.create_string_buffer(program, len(program))
        head = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
        sock.bind((device, ETH_P_IPV6))
    except BaseException:
        sock.close()
        raise
    return sock
