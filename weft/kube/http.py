"""What do a request and its response look like on the wire, in HTTP/1.1?

Pure: bytes in, bytes out. A response is read as it comes, in whatever pieces; who connects, waits
or tries again is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

_LONGEST_HEAD = 1 << 16
_LONGEST_LINE = 1 << 10


class Malformed(ConnectionError):
    """What came is not HTTP/1.1: the connection is of no more use."""


def request(
    method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")


class Response:
    """One response: `status` and `headers` (in lower case) once its head is in, then its body."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_done = False
        self._data, self._at = b"", 0  # what is not read yet begins at `_at`
        self._left = 0  # bytes of the body, or of one chunk of it, that are still to come
        self._read: Callable[[], bytes | None] = self._head
        self._keeps = False

    @property
    def is_last(self) -> bool:
        """Whether no other response can follow on its connection."""
        return not self.is_done or not self._keeps or bool(self._data)

    def feed(self, data: bytes) -> bytes:
        """What of the body is in the next piece."""
        self._data += data
        found = []
        while (piece := self._read()) is not None:
            found.append(piece)
        self._data, self._at = self._data[self._at :], 0
        return b"".join(found)

    def end(self) -> None:
        """The connection has ended, which some bodies' end is told by."""
        if self._read == self._until_the_end:
            self._finish()

    # One step each: what it found of the body, None if there is nothing more to read yet.

    def _head(self) -> bytes | None:
        head = self._up_to(b"\r\n\r\n", _LONGEST_HEAD)
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, code = first.partition(" ")
        if not version.startswith("HTTP/1.") or not code[:3].isdecimal():
            raise Malformed(f"not an answer in HTTP/1.1: {first[:80]!r}")
        if int(code[:3]) < 200:
            return b""  # what announces the response
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.status = int(code[:3])
        told = self.headers.get("connection", "").lower()
        self._keeps = version == "HTTP/1.1" and told != "close"
        self._frame()
        return b""

    def _frame(self) -> None:
        """How the body's end is told."""
        length = self.headers.get("content-length")
        if self.status in (204, 304):
            self._finish()
        elif self.headers.get("transfer-encoding", "").lower() == "chunked":
            self._read = self._chunk_size
        elif length is None:
            self._keeps, self._read = False, self._until_the_end
        elif not length.isdecimal():
            raise Malformed(f"a length that is no number: {length[:80]!r}")
        else:
            self._left, self._read = int(length), self._body

    def _body(self) -> bytes | None:
        if self._left:
            return self._some()
        self._finish()
        return None

    def _chunk_size(self) -> bytes | None:
        line = self._line()
        if line is None:
            return None
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError:
            self._left = -1
        if self._left < 0:
            raise Malformed(f"a chunk without its length: {line[:80]!r}")
        self._read = self._chunk if self._left else self._trailer
        return b""

    def _chunk(self) -> bytes | None:
        if self._left:
            return self._some()
        line = self._line()
        if line:
            raise Malformed(f"a chunk longer than it said: {line[:80]!r}")
        if line is not None:
            self._read = self._chunk_size
        return line

    def _trailer(self) -> bytes | None:
        line = self._line()
        if line:
            return b""  # what it says is not asked for
        if line is not None:
            self._finish()
        return None

    def _until_the_end(self) -> bytes | None:
        self._left = len(self._data)
        return self._some()

    def _finish(self) -> None:
        self.is_done, self._read = True, _nothing

    def _some(self) -> bytes | None:
        piece = self._data[self._at : self._at + self._left]
        self._at += len(piece)
        self._left -= len(piece)
        return piece or None

    def _line(self) -> bytes | None:
        return self._up_to(b"\r\n", _LONGEST_LINE)

    def _up_to(self, mark: bytes, longest: int) -> bytes | None:
        end = self._data.find(mark, self._at)
        if end < 0:
            if len(self._data) - self._at > longest:
                raise Malformed(f"no end of {self._data[self._at : self._at + 80]!r}")
            return None
        found, self._at = self._data[self._at : end], end + len(mark)
        return found


def _nothing() -> None:
    """What follows a response is not its own."""
