"""A connection of a kubelet to the owner of a pod's processes, which never waits for its reader.

What the kernel does not take is kept and sent later. Of reports of states only the newest is kept:
that is all that a reader needs when it reads again. The standard library alone.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

LONGEST = 1 << 22  # bytes that wait for a reader
MOST_GIVEN = 16  # files that wait for one


@dataclass(eq=False)
class Link:
    """`received` is the begin of a line; `files` came with an order, for its command.

    One that `is_exec` hears of its command alone, for all its life: its reader waits for no more.
    """

    connection: socket.socket
    received: bytes = b""
    files: list[int] = field(default_factory=list)
    is_exec: bool = False
    _begun: bytes = b""
    _newest: bytes = b""
    _given: list[tuple[bytes, int]] = field(default_factory=list)

    def receive(self, size: int) -> bytes:
        """What is there, nothing at the end. Raise OSError: BlockingIOError for nothing yet."""
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        data, files, _, _ = socket.recv_fds(self.connection, size, 3, flags)
        self.files += files
        return data

    def lines(self, data: bytes) -> list[bytes]:
        """The lines that these bytes end."""
        *found, self.received = (self.received + data).split(b"\n")
        return found

    def put(self, line: bytes, *, is_state: bool, given: int = -1) -> None:
        """Have a line sent by `flush`, with a file if one is given; that is closed then."""
        if given >= 0:
            self._given.append((line, given))
        elif is_state:
            self._newest = line
        else:
            self._begun += line

    def flush(self) -> bool:
        """Send what the kernel takes now; whether anything is left.

        Raise OSError for a reader that has gone, or left too much.
        """
        while self._begun or self._given or self._newest:
            try:
                if self._begun:
                    sent = self.connection.send(self._begun, socket.MSG_DONTWAIT)
                    self._begun = self._begun[sent:]
                elif self._given:
                    self._give()
                else:
                    self._begun, self._newest = self._newest, b""
            except BlockingIOError:
                if len(self._begun) > LONGEST or len(self._given) > MOST_GIVEN:
                    raise ConnectionError("nobody reads") from None
                return True
        return False

    def _give(self) -> None:
        """Send a file with its line; what is left of the line goes next."""
        line, file = self._given[0]
        sent = socket.send_fds(self.connection, [line], [file], socket.MSG_DONTWAIT)
        del self._given[0]
        os.close(file)
        self._begun = line[sent:]

    def close(self) -> None:
        """Close it, and the files that nobody took."""
        self.connection.close()
        while self._given:
            os.close(self._given.pop()[1])
        while self.files:
            os.close(self.files.pop())
