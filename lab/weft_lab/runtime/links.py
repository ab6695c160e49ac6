"""Makes and moves network links by a few rtnetlink requests (rtnetlink(7)).

The supervisor changes network namespaces between sockets, so it needs netlink without threads or
event loops, which netlink libraries start. A `Links` works in the network namespace in which it was
made. This module knows no lab and no node.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWNEIGH = 16, 17, 20, 28
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE, NLM_F_REPLACE = 1, 4, 0x200, 0x400, 0x100
NLM_F_DUMP, RTM_GETLINK = 0x300, 18
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTMGRP_LINK = 1
IFF_UP = 1

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER = 1, 3, 4, 10
IFLA_LINKINFO, IFLA_NET_NS_FD = 18, 28
IFLA_GSO_MAX_SEGS = 40
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFLA_BR_AGEING_TIME, IFLA_BR_FDB_FLUSH = 4, 21
AF_BRIDGE, NUD_NOARP, NTF_MASTER, NDA_LLADDR = 7, 0x40, 4, 2
AGEING = 30_000  # hundredths of a second, the kernel's own default

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + b"\0" * (-size % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))


def _mac(kind: int, mac: str) -> bytes:
    return _attribute(kind, bytes.fromhex(mac.replace(":", "")))


def _linkinfo(kind: str, data: bytes = b"") -> bytes:
    inner = _text(IFLA_INFO_KIND, kind) + (_attribute(IFLA_INFO_DATA, data) if data else b"")
    return _attribute(IFLA_LINKINFO, inner)


@dataclass(frozen=True, slots=True)
class Link:
    """A link's index, and whether it is set up (which says nothing of its carrier)."""

    index: int
    up: bool


class Links:
    """Requests, each answered before the call returns; raises OSError as the kernel names it."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def add_bridge(self, name: str, *, mtu: int) -> None:
        self._new(_text(IFLA_IFNAME, name) + _number(IFLA_MTU, mtu) + _linkinfo("bridge"))

    def set_learning(self, bridge: str, *, learns: bool) -> None:
        """Whether a bridge remembers where it saw a MAC. Else it knows those of `knows` alone, and
        sends frames to others everywhere."""
        data = _number(IFLA_BR_AGEING_TIME, AGEING if learns else 0)
        self._change(bridge, _linkinfo("bridge", data + _attribute(IFLA_BR_FDB_FLUSH, b"")))

    def knows(self, port: str, mac: str) -> None:
        """A bridge's port leads to this MAC, for as long as the port is there."""
        body = _NEIGHBOUR.pack(AF_BRIDGE, self._index(port), NUD_NOARP, NTF_MASTER, 0)
        self._request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body + _mac(NDA_LLADDR, mac))

    def add_veth(
        self, name: str, peer: str, peer_namespace: int, *, mtu: int, mac: str = ""
    ) -> None:
        """`peer_namespace` is an open descriptor of the peer's network namespace, `mac` the
        peer's."""
        far = _LINK.pack(0, 0, 0, 0, 0) + _text(IFLA_IFNAME, peer) + _number(IFLA_MTU, mtu)
        far += _number(IFLA_NET_NS_FD, peer_namespace)
        if mac:
            far += _mac(IFLA_ADDRESS, mac)
        data = _attribute(VETH_INFO_PEER, far)
        self._new(_text(IFLA_IFNAME, name) + _number(IFLA_MTU, mtu) + _linkinfo("veth", data))

    def move(self, name: str, namespace: int) -> None:
        self._change(name, _number(IFLA_NET_NS_FD, namespace))

    def remove(self, name: str) -> None:
        self._request(RTM_DELLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + _text(IFLA_IFNAME, name))

    def enslave(self, name: str, bridge: str) -> None:
        self._change(name, _number(IFLA_MASTER, self._index(bridge)))

    def set_mtu(self, name: str, mtu: int) -> None:
        self._change(name, _number(IFLA_MTU, mtu))

    def send_as_wires_do(self, name: str) -> None:
        """TCP sends by this link no more than one segment at a time. Else many go as one packet,
        which gateways of a userspace switch measure as a whole and take for too large."""
        self._change(name, _number(IFLA_GSO_MAX_SEGS, 1))

    def raise_up(self, name: str) -> None:
        self._change(name, flags=IFF_UP)

    def add_address(
        self, name: str, address: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    ) -> None:
        packed = address.ip.packed
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        body = _ADDRESS.pack(family, address.network.prefixlen, 0, 0, self._index(name))
        body += _attribute(IFA_LOCAL, packed) + _attribute(IFA_ADDRESS, packed)
        self._request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)

    def present(self) -> dict[str, Link]:
        """Every link here, by name."""
        self._send(RTM_GETLINK, NLM_F_DUMP, _LINK.pack(0, 0, 0, 0, 0))
        found: dict[str, Link] = {}
        while True:
            for kind, body in _messages(self._socket.recv(1 << 18)):
                if kind == NLMSG_DONE:
                    return found
                if kind == RTM_NEWLINK:
                    _, _, index, flags, _ = _LINK.unpack_from(body)
                    found[_name(body)] = Link(index, bool(flags & IFF_UP))

    def _index(self, name: str) -> int:
        try:
            return self.present()[name].index
        except KeyError:
            raise OSError(19, f"no link {name} here") from None

    def _new(self, attributes: bytes) -> None:
        body = _LINK.pack(0, 0, 0, 0, 0) + attributes
        self._request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)

    def _change(self, name: str, attributes: bytes = b"", flags: int = 0) -> None:
        """The link is named in the request, so that no index of another namespace is used."""
        body = _LINK.pack(0, 0, 0, flags, flags) + _text(IFLA_IFNAME, name) + attributes
        self._request(RTM_NEWLINK, 0, body)

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        size = _HEADER.size + len(body)
        header = _HEADER.pack(size, kind, NLM_F_REQUEST | flags, self._sequence, 0)
        self._socket.sendto(header + body, (0, 0))

    def _request(self, kind: int, flags: int, body: bytes) -> None:
        self._send(kind, NLM_F_ACK | flags, body)
        for answer, content in _messages(self._socket.recv(1 << 16)):
            if answer == NLMSG_ERROR:
                number = -struct.unpack_from("=i", content)[0]
                if number:
                    raise OSError(number, os.strerror(number))


class Watch:
    """Reports the links that appear in the network namespace in which it was made."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            socket.NETLINK_ROUTE,
        )
        self._socket.bind((0, RTMGRP_LINK))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def appeared(self) -> tuple[str, ...]:
        """Names of links that came or changed since the last call; never waits.

        An overrun of the kernel's buffer gives one empty name: the caller must look at all links.
        """
        found: list[str] = []
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except BlockingIOError:
                return tuple(found)
            except OSError:
                found.append("")
                continue
            found += [_name(body) for kind, body in _messages(data) if kind == RTM_NEWLINK]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        size, kind, *_ = _HEADER.unpack_from(data, offset)
        yield kind, data[offset + _HEADER.size : offset + size]
        offset += (size + 3) & ~3


def _name(body: bytes) -> str:
    offset = _LINK.size
    while offset + 4 <= len(body):
        size, kind = struct.unpack_from("=HH", body, offset)
        if kind == IFLA_IFNAME:
            return body[offset + 4 : offset + size].rstrip(b"\0").decode()
        offset += (size + 3) & ~3
    return ""
