"""A client of VNC for tests: RFB 3.8 without security, raw pixels.

The protocol is RFC 6143. It works on bytes that come in any pieces, as from a WebSocket.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

VERSION = b"RFB 003.008\n"
_NONE = 1  # the security type
_RAW = 0  # the encoding


@dataclass(frozen=True)
class Screen:
    """A picture, four bytes a pixel, line by line."""

    name: str
    width: int
    height: int
    pixels: bytes

    @property
    def colours(self) -> int:
        """How many different pixels there are."""
        return len({self.pixels[at : at + 4] for at in range(0, len(self.pixels), 4)})


class Client:
    """`receive` returns the next bytes, empty at the end; `send` sends some."""

    def __init__(
        self, receive: Callable[[], Awaitable[bytes]], send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._receive, self._send = receive, send
        self._held = b""

    async def _read(self, size: int) -> bytes:
        parts, held = [self._held], len(self._held)
        while held < size:
            part = await self._receive()
            if not part:
                raise EOFError("the screen's server is gone")
            parts.append(part)
            held += len(part)
        whole = b"".join(parts)
        self._held = whole[size:]
        return whole[:size]

    async def version(self) -> bytes:
        """What the server says first."""
        return await self._read(12)

    async def screen(self) -> Screen:
        """The whole screen as it is; `version` has been read."""
        await self._send(VERSION)
        types = await self._read((await self._read(1))[0])
        assert _NONE in types, f"no security type None: {list(types)}"
        await self._send(bytes([_NONE]))
        assert await self._read(4) == bytes(4)
        await self._send(b"\x01")  # others may stay
        width, height = struct.unpack(">HH", await self._read(4))
        await self._read(16)  # its pixel format
        (length,) = struct.unpack(">I", await self._read(4))
        name = (await self._read(length)).decode()
        # 32 bits, depth 24, little endian, true colour.
        await self._send(struct.pack(">B3x4B3H3B3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        await self._send(struct.pack(">BxHi", 2, 1, _RAW))
        await self._send(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        return await self._update(name, width, height)

    async def _update(self, name: str, width: int, height: int) -> Screen:
        kind, count = struct.unpack(">BxH", await self._read(4))
        assert kind == 0, f"message {kind}"
        picture = bytearray(width * height * 4)
        for _ in range(count):
            left, top, wide, high, form = struct.unpack(">HHHHi", await self._read(12))
            assert form == _RAW, f"encoding {form}"
            for line in range(high):
                at = ((top + line) * width + left) * 4
                picture[at : at + wide * 4] = await self._read(wide * 4)
        return Screen(name, width, height, bytes(picture))
