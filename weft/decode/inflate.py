"""Decompresses untrusted gzip data up to a limit."""

from __future__ import annotations

import zlib

from weft.decode.budget import Exceeded, Malformed

_GZIP = 16 + zlib.MAX_WBITS


def gunzip(data: bytes, limit: int) -> bytes:
    """The contents of a gzip file, of one or more members; at most `limit` bytes.

    Raises Malformed if the data is not gzip, Exceeded if it holds more.
    """
    found: list[bytes] = []
    size = 0
    while data or not found:
        part = zlib.decompressobj(_GZIP)
        try:
            found.append(part.decompress(data, limit - size + 1))
        except zlib.error as error:
            raise Malformed(f"is not gzip: {error}") from None
        size += len(found[-1])
        if size > limit:
            raise Exceeded(f"holds more than {limit} bytes when it is unpacked")
        if not part.eof:
            raise Malformed("is not gzip: it ends too soon")
        data = part.unused_data.lstrip(b"\0")
    return b"".join(found)
