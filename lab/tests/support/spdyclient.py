"""The other end of the kubelet's SPDY: writes frames by the rules of its text."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from weft_lab.kubelet import spdy


class Client:
    """The other end: writes control frames with a compressor of its own."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=spdy.DICTIONARY)

    def stream(self, number: int, headers: Mapping[str, str]) -> bytes:
        block = len(headers).to_bytes(4, "big")
        for each in (part for pair in headers.items() for part in pair):
            block += len(each.encode()).to_bytes(4, "big") + each.encode()
        packed = self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = number.to_bytes(4, "big") + bytes(6) + packed
        return b"\x80\x03\x00\x01\x00" + len(payload).to_bytes(3, "big") + payload
