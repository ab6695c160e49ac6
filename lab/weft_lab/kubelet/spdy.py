"""Encodes and decodes frames of SPDY/3.1, of which `kubectl port-forward` uses a part.

Source: draft-mbelshe-httpbis-spdy-00, sections 2.2 and 2.6. Flow control is not used: kubectl and
kubelets do not, either. Pure but for the state of two compressors.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 1
CANCEL, REFUSED = 5, 3  # of RST_STREAM
LONGEST_FRAME = 1 << 20  # bytes of its payload
LONGEST_HEADERS = 1 << 16  # bytes, decompressed
_CONTROL, _VERSION = 0x8000, 3
_NUMBER = 0x7FFFFFFF

# Both ends compress with this dictionary (section 2.6.10.1): words with their lengths, then text.
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base "
    "content-encoding content-language content-length content-location content-md5 "
    "content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location "
    "max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after "
    "server te trailer transfer-encoding upgrade user-agent vary via warning "
    "www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(
        len(word).to_bytes(4, "big") + word.replace("_", " ").encode() for word in _WORDS.split()
    )
    + _TEXT.encode()
)


class Malformed(ConnectionError):
    """The other end does not speak SPDY/3.1, or too much of it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """`kind` 0 is data; others are control frames, whose stream is 0 where they have none."""

    kind: int
    stream: int
    flags: int = 0
    data: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def is_last(self) -> bool:
        return bool(self.flags & FIN)


class Decoder:
    """Turns bytes into frames; raises Malformed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        while len(self._buffer) >= 8:
            length = int.from_bytes(self._buffer[5:8], "big")
            if length > LONGEST_FRAME:
                raise Malformed(f"a frame of {length} bytes, of {LONGEST_FRAME} allowed")
            if len(self._buffer) < 8 + length:
                return
            head, payload = bytes(self._buffer[:8]), bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            yield self._frame(head, payload)

    def _frame(self, head: bytes, payload: bytes) -> Frame:
        first, kind = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
        if not first & _CONTROL:
            return Frame(0, int.from_bytes(head[:4], "big") & _NUMBER, head[4], payload)
        if first != _CONTROL | _VERSION:
            raise Malformed(f"version {first & ~_CONTROL}, not {_VERSION}")
        stream = int.from_bytes(payload[:4], "big") & _NUMBER
        if kind == SYN_STREAM:
            return Frame(kind, stream, head[4], headers=self._headers(payload[10:]))
        if kind in (SYN_REPLY, 8):  # HEADERS has the same form
            return Frame(kind, stream, head[4], headers=self._headers(payload[4:]))
        return Frame(kind, stream if kind == RST_STREAM else 0, head[4], payload)

    def _headers(self, packed: bytes) -> Mapping[str, str]:
        try:
            block = self._inflate.decompress(packed, LONGEST_HEADERS)
        except zlib.error as error:
            raise Malformed(f"headers: {error}") from None
        if self._inflate.unconsumed_tail:
            raise Malformed(f"headers of more than {LONGEST_HEADERS} bytes")
        words: list[str] = []
        place = 4
        for _ in range(2 * int.from_bytes(block[:4], "big")):
            length = int.from_bytes(block[place : place + 4], "big")
            word = block[place + 4 : place + 4 + length]
            if len(word) < length or place + 4 > len(block):
                raise Malformed("headers end early")
            words.append(word.decode(errors="replace"))
            place += 4 + length
        return {name.lower(): value for name, value in zip(words[::2], words[1::2], strict=True)}


class Encoder:
    """Turns frames into bytes."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """Accept a stream, without headers."""
        block = self._deflate.compress(bytes(4)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(SYN_REPLY, stream.to_bytes(4, "big") + block)

    def data(self, stream: int, data: bytes, *, last: bool = False) -> bytes:
        head = stream.to_bytes(4, "big") + bytes([FIN if last else 0])
        return head + len(data).to_bytes(3, "big") + data

    def reset(self, stream: int, why: int = CANCEL) -> bytes:
        return _control(RST_STREAM, stream.to_bytes(4, "big") + why.to_bytes(4, "big"))

    def ping(self, payload: bytes) -> bytes:
        return _control(PING, payload)


def _control(kind: int, payload: bytes) -> bytes:
    head = (_CONTROL | _VERSION).to_bytes(2, "big") + kind.to_bytes(2, "big")
    return head + bytes(1) + len(payload).to_bytes(3, "big") + payload
