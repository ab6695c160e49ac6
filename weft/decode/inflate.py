"""How is compressed data from outside unpacked, up to a limit?"""

from __future__ import annotations

import zlib

from weft.decode.budget import Exceeded, Malformed

_GZIP = 16 + zlib.MAX_WBITS


def gunzip(data: bytes, limit: int) -> bytes:
    """The contents of a gzip file, of any number of parts, and at most `limit` bytes of them.

    Raises Malformed or Exceeded.
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
