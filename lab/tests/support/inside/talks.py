"""Runs inside a lab: real connections between its pods, by their kernels, and what they carry.

Both ends are sockets of this process, each made in the network namespace of its pod.
"""

from __future__ import annotations

import select
import socket

from lab.tests.support.inside import obedience, prober
from weft_lab.runtime import namespaces

KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


class Talks:
    """`talks` are pairs of client's and server's socket, by their number."""

    def __init__(self) -> None:
        self.talks: list[tuple[socket.socket, socket.socket]] = []

    def do_meet(
        self, protocol: str, client: str, server: str, address: str, port: int, wait: float
    ) -> int | None:
        """A connection from one pod to an address of another; None if it does not come about."""
        inits = dict(prober.find_pods())
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with namespaces.inside(f"/proc/{inits[server]}/ns/net"):
            door = socket.socket(family, KINDS[protocol])
        with namespaces.inside(f"/proc/{inits[client]}/ns/net"):
            link = socket.socket(family, KINDS[protocol])
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((address, port))
        link.settimeout(wait)
        door.settimeout(wait)
        try:
            if protocol == "TCP":
                door.listen()
                link.connect((address, port))
                end, _ = door.accept()
                door.close()
            else:
                link.connect((address, port))
                link.send(b"hello")
                _, (host, number, *_) = door.recvfrom(64)
                door.connect((host, number))
                end = door
        except OSError:
            link.close()
            door.close()
            return None
        self.talks.append((link, end))
        return len(self.talks) - 1

    def do_say(self, talk: int, by: str, wait: float) -> bool:
        """Whether the other end hears something that `by` (client or server) says now."""
        client, server = self.talks[talk]
        sender, received = (client, server) if by == "client" else (server, client)
        try:
            sender.send(b"word")
            return bool(select.select([received], [], [], wait)[0]) and bool(received.recv(1 << 16))
        except OSError:
            return False


if __name__ == "__main__":
    obedience.obey(Talks())
