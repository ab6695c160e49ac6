"""Receives all frames of a device, both ways, through a ring that the kernel writes (packet(7)).

The ring is TPACKET_V3 (linux/if_packet.h, Documentation/networking/packet_mmap.rst): it is the same
size for every user, where a socket's own buffer is small for whoever is not root outside of a user
namespace; and a burst costs no call for each frame.
"""

from __future__ import annotations

import mmap
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from weft.host import rawsocket

BLOCK, BLOCKS = 1 << 20, 16  # bytes, and how many
_ALL = 0x0003  # ETH_P_ALL
_SOL_PACKET = 263
_RX_RING, _STATISTICS, _VERSION, _V3 = 5, 6, 10, 2
_FRAME = 2048  # bytes; only BLOCK counts with this version
_RETIRE = 50  # ms after which the kernel hands over a block that is not full
_KERNELS, _USERS = 0, 1  # block_status
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6
_VLAN = 0x8100
_OUTGOING = 4  # PACKET_OUTGOING

_BLOCK_HEAD = struct.Struct("=8xIII")  # version, offset_to_priv; status, packets, first
_STATUS = struct.Struct("=I")
_STATUS_AT = 8
# next, seconds, nanoseconds, snaplen, length, status; mac, net; hash, tci, tpid
_HEAD = struct.Struct("=IIIIIIHHIIH")
_ADDRESS = struct.Struct("=HHiHBB")  # sockaddr_ll
_ADDRESS_AT = 48  # TPACKET_ALIGN(sizeof(struct tpacket3_hdr))


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it was on the device, with its VLAN tag.

    `time` is in nanoseconds since 1970, `data` its first bytes, `length` that of all of it.
    `outgoing`: the node sent it to the device.
    """

    time: int
    data: bytes
    length: int
    outgoing: bool


class Ring:
    """The frames of one device of this thread's namespace; raises OSError.

    `accept` is a program of classic BPF that says how many bytes of each frame are kept. Nothing
    that it does not admit gets in, from the first frame on.
    """

    def __init__(self, device: str, accept: Iterable[rawsocket.Instruction]) -> None:
        self._device, self._block = socket.if_nametoindex(device), 0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            rawsocket.filter(self._socket, accept)
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _V3)
            sizes = (BLOCK, BLOCKS, _FRAME, BLOCK // _FRAME * BLOCKS, _RETIRE, 0, 0)
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, struct.pack("=7I", *sizes))
            self._memory = mmap.mmap(self._socket.fileno(), BLOCK * BLOCKS)
            try:
                self._socket.bind((device, _ALL))
            except BaseException:
                self._memory.close()
                raise
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Readable when frames are there, or when the device is gone."""
        return self._socket.fileno()

    def close(self) -> None:
        self._memory.close()
        self._socket.close()

    def failure(self) -> int:
        """The socket's error: ENETDOWN after its device was taken down or removed; 0 for none."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def has_device(self) -> bool:
        """Whether the device is still in this thread's namespace."""
        return any(index == self._device for index, _ in socket.if_nameindex())

    def stop(self) -> None:
        """Admit nothing more; what was admitted is still to be read."""
        rawsocket.filter(self._socket, rawsocket.NOTHING)

    def statistics(self) -> tuple[int, int]:
        """How many frames were admitted, and how many of them did not fit, since the last call."""
        found = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12)
        packets, drops, _ = struct.unpack("=III", found)
        return packets, drops

    def frames(self) -> Iterator[Frame]:
        """The frames of at most one block; none if there is none."""
        start = self._block * BLOCK
        status, packets, first = _BLOCK_HEAD.unpack_from(self._memory, start)
        if not status & _USERS:
            return
        try:
            at = start + first
            for _ in range(packets):
                following, frame = self._frame(at)
                yield frame
                at += following
        finally:
            _STATUS.pack_into(self._memory, start + _STATUS_AT, _KERNELS)
            self._block = (self._block + 1) % BLOCKS

    def _frame(self, at: int) -> tuple[int, Frame]:
        following, seconds, nanoseconds, kept, length, status, mac, _, _, tag, protocol = (
            _HEAD.unpack_from(self._memory, at)
        )
        kind = _ADDRESS.unpack_from(self._memory, at + _ADDRESS_AT)[4]
        data = self._memory[at + mac : at + mac + kept]
        if status & _VLAN_VALID and len(data) >= 12:
            protocol = protocol if status & _VLAN_TPID_VALID else _VLAN
            data = data[:12] + struct.pack("!HH", protocol, tag & 0xFFFF) + data[12:]
            length += 4
        time = seconds * 1_000_000_000 + nanoseconds
        return following, Frame(time, data, length, kind == _OUTGOING)
