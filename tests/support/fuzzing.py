"""What a hostile guest sends of each protocol that is answered for guests. Also a program.

python fuzzing.py DEVICE MAC IPV4 IPV6 SEED COUNT     sends COUNT frames, the same for one seed

Frames are right ones with one to three things wrong: a length that lies, a part cut off, doubled,
repeated or overwritten. Sums are made right again, mostly, so that frames are looked into. Between
batches it asks OVN's DHCPv4 server for a lease and waits for the offer: what was sent is read then.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

BATCH = 100
PATIENCE = 60.0
_AGAIN = 0.5  # seconds until a lost question is asked again
_ALL = 0x0003
_ODD = (0, 1, 2, 3, 4, 7, 8, 11, 12, 15, 16, 127, 128, 255, 256, 511, 1500, 32767, 65534, 65535)


@dataclass(frozen=True)
class Who:
    """The guest: its own addresses, as port security has them."""

    mac: bytes
    ipv4: IPv4Address
    ipv6: IPv6Address

    @property
    def link_local(self) -> IPv6Address:
        half = bytes((self.mac[0] ^ 2,)) + self.mac[1:3] + b"\xff\xfe" + self.mac[3:]
        return IPv6Address(b"\xfe\x80" + bytes(6) + half)


class Fuzzer:
    """Frames of one guest, one after another, all from one seed."""

    def __init__(self, who: Who, seed: int) -> None:
        self.who = who
        self.chance = random.Random(seed)
        self._kinds: tuple[Callable[[], bytes], ...] = (
            self.dhcpv6,
            self.dhcpv6,  # what OVN died of
            self.dhcpv4,
            self.dhcpv4,
            self.neighbour,
            self.arp,
            self.dns,
            self.igmp,
            self.mld,
            self.hops,
        )

    def frame(self) -> bytes:
        return self.chance.choice(self._kinds)()

    # Protocols

    def dhcpv6(self) -> bytes:
        kind = self.chance.choice((1, 3, 4, 5, 6, 8, 9, 11, 12, self.chance.randrange(256)))
        client = self._option6(1, b"\0\3\0\1" + self.who.mac)
        server = self._option6(2, b"\0\3\0\1\x0a\x58\xa9\xfe\x01\x01")
        address = self._option6(5, self.who.ipv6.packed + bytes(8))
        options = [client, self._option6(3, self._bytes(4) + bytes(8) + address)]
        if kind in (3, 5, 8, 9) or self.chance.random() < 0.1:
            options.append(server)
        for _ in range(self.chance.randrange(4)):
            # Requested options, user class, vendor, domain name, prefixes, relayed messages.
            code = self.chance.choice((6, 8, 9, 14, 15, 16, 25, 39, self.chance.randrange(65536)))
            options.append(self._option6(code, self._bytes(self.chance.choice((0, 1, 2, 6, 40)))))
        self.chance.shuffle(options)
        body = bytes((kind,)) + self._bytes(3) + b"".join(options)
        return self._udp6(self._spoilt(body), 546, 547, "ff02::1:2", b"\x33\x33\0\1\0\2")

    def dhcpv4(self) -> bytes:
        kind = self.chance.choice((1, 3, 4, 7, 8, self.chance.randrange(256)))
        body = struct.pack("!BBBB4sHH", 1, 1, 6, 0, self._bytes(4), 0, 0x8000)
        held = self.who.ipv4.packed if self.chance.random() < 0.5 else bytes(4)
        body += held + bytes(12) + self.who.mac + bytes(202) + b"\x63\x82\x53\x63"
        body += bytes((53, 1, kind))
        for _ in range(self.chance.randrange(6)):
            code = self.chance.choice((0, 12, 50, 54, 55, 57, 60, 61, 77, 93, 175, 255))
            value = self._bytes(self.chance.choice((0, 1, 2, 4, 40)))
            length = len(value) if self.chance.random() < 0.7 else self.chance.randrange(256)
            body += bytes((code,)) + (bytes((length,)) + value if code not in (0, 255) else b"")
        body += b"\xff"
        return self._udp4(self._spoilt(body), 68, 67, "255.255.255.255", b"\xff" * 6)

    def neighbour(self) -> bytes:
        """Solicitations and advertisements of neighbours and routers, and redirects."""
        kind = self.chance.choice((133, 134, 135, 136, 137))
        target = self.chance.choice((self.who.ipv6, self.who.ipv6 + 1, self.who.link_local)).packed
        inside = {133: b"", 134: bytes(8), 135: target, 136: target, 137: target * 2}[kind]
        options = b""
        for _ in range(self.chance.randrange(4)):
            code = self.chance.choice((1, 2, 3, 5, 14, 24, 25, self.chance.randrange(256)))
            size = self.chance.choice((1, 1, 1, 2, 4, 0, 255))
            options += bytes((code, size)) + self._bytes(min(size, 4) * 8 or 8)[2:]
        body = bytes((kind, 0, 0, 0)) + self._bytes(4) + inside + options
        return self._icmpv6(self._spoilt(body, kept=1), self.chance.choice(("ff02::1", "ff02::2")))

    def arp(self) -> bytes:
        operation = self.chance.choice((1, 2, 3, 8, 9, self.chance.randrange(65536)))
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + self.who.mac
        body += self.who.ipv4.packed + bytes(6) + (self.who.ipv4 + 1).packed
        return b"\xff" * 6 + self.who.mac + b"\x08\x06" + self._spoilt(body)

    def dns(self) -> bytes:
        name = b"".join(
            bytes((self.chance.choice((len(part), 63, 192, 255)),)) + part
            for part in (b"a", b"web", b"example", self._bytes(20))
        )
        questions = self.chance.choice((1, 0, 65535))
        body = self._bytes(2) + struct.pack("!HHHHH", 0x0100, questions, 0, 0, 0) + name + b"\0"
        body += struct.pack("!HH", self.chance.choice((1, 28, 12, 255)), 1)
        to = str(self.who.ipv4 + 1)
        return self._udp4(self._spoilt(body), 5353, 53, to, b"\xff" * 6)

    def igmp(self) -> bytes:
        kind = self.chance.choice((0x11, 0x12, 0x16, 0x17, 0x22))
        body = bytes((kind, 0, 0, 0)) + bytes((239, 1, 2, 3))
        if kind == 0x22:
            count = self.chance.choice((1, 2, 65535))
            body = bytes((kind, 0, 0, 0, 0, 0)) + count.to_bytes(2, "big")
            body += bytes((4, self.chance.choice((0, 255)))) + self.chance.choice((0, 9)).to_bytes(
                2, "big"
            )
            body += bytes((239, 1, 2, 3)) + self._bytes(8)
        body = self._spoilt(body, kept=1)
        body = body[:2] + _checksum(body).to_bytes(2, "big") + body[4:]
        return self._ip4(body, 2, "224.0.0.22", b"\x01\0\x5e\0\0\x16", ttl=1, options=b"\x94\4\0\0")

    def mld(self) -> bytes:
        kind = self.chance.choice((130, 131, 132, 143))
        group = IPv6Address("ff15::1234").packed
        body = bytes((kind, 0, 0, 0)) + bytes(4) + group
        if kind == 143:
            count = self.chance.choice((1, 2, 65535))
            body = bytes((kind, 0, 0, 0, 0, 0)) + count.to_bytes(2, "big")
            body += bytes((4, self.chance.choice((0, 255)))) + bytes(2) + group + self._bytes(16)
        return self._icmpv6(self._spoilt(body, kept=1), "ff02::16", hops=1, alert=True)

    def hops(self) -> bytes:
        """What a router answers with an error, and what is for the router itself."""
        to = str(self.chance.choice((IPv4Address("198.51.100.9"), self.who.ipv4 + 1)))
        body = self._spoilt(self._bytes(self.chance.choice((0, 8, 64, 1200))))
        if self.chance.random() < 0.5:
            return self._udp4(body, 9, 33434, to, ROUTER, ttl=self.chance.choice((0, 1, 2)))
        far = "2001:db8::9"
        return self._udp6(body, 9, 33434, far, ROUTER, hops=self.chance.choice((0, 1, 2)))

    # What is wrong with it

    def _spoilt(self, body: bytes, kept: int = 0) -> bytes:
        """One to three things; the first `kept` bytes stay."""
        made = bytearray(body)
        for _ in range(self.chance.choice((0, 1, 1, 2, 3))):
            if len(made) <= kept:
                break
            at = self.chance.randrange(kept, len(made))
            match self.chance.randrange(6):
                case 0:
                    del made[at:]
                case 1:
                    made[at : at + 2] = self.chance.choice(_ODD).to_bytes(2, "big")
                case 2:
                    made[at] = self.chance.choice((0, 1, 127, 128, 254, 255))
                case 3:
                    made[at:at] = made[at : at + 32]
                case 4:
                    made += self._bytes(self.chance.choice((1, 3, 60, 500)))
                case 5:
                    made[at:] = self._bytes(len(made) - at)
        return bytes(made[:1400])

    def _bytes(self, count: int) -> bytes:
        return self.chance.randbytes(count)

    def _option6(self, code: int, value: bytes) -> bytes:
        length = len(value) if self.chance.random() < 0.85 else self.chance.choice(_ODD)
        return struct.pack("!HH", code, length) + value

    # Headers, which now and then lie about what follows

    def _length(self, length: int) -> int:
        return length if self.chance.random() < 0.9 else self.chance.choice(_ODD)

    def _udp4(
        self, body: bytes, source: int, port: int, to: str, mac: bytes, ttl: int = 64
    ) -> bytes:
        head = struct.pack("!HHHH", source, port, self._length(8 + len(body)), 0)
        return self._ip4(head + body, 17, to, mac, ttl=ttl)

    def _ip4(
        self, body: bytes, protocol: int, to: str, mac: bytes, *, ttl: int, options: bytes = b""
    ) -> bytes:
        source = IPv4Address(0) if to == "255.255.255.255" else self.who.ipv4
        length = self._length(20 + len(options) + len(body))
        words = 5 + len(options) // 4
        head = struct.pack("!BBHHHBBH", 0x40 | words, 0, length, 0, 0, ttl, protocol, 0)
        head += source.packed + IPv4Address(to).packed + options
        head = head[:10] + _checksum(head).to_bytes(2, "big") + head[12:]
        return mac + self.who.mac + b"\x08\x00" + head + body

    def _udp6(
        self, body: bytes, source: int, port: int, to: str, mac: bytes, hops: int = 64
    ) -> bytes:
        head = struct.pack("!HHHH", source, port, self._length(8 + len(body)), 0)
        own = self.who.link_local if to.startswith("ff02") else self.who.ipv6
        ends = own.packed + IPv6Address(to).packed
        total = _checksum(ends + struct.pack("!II", 8 + len(body), 17) + head + body) or 0xFFFF
        return self._ip6(head[:6] + total.to_bytes(2, "big") + body, 17, ends, mac, hops)

    def _icmpv6(self, body: bytes, to: str, *, hops: int = 255, alert: bool = False) -> bytes:
        group = IPv6Address(to).packed
        ends = self.who.link_local.packed + group
        body = body.ljust(4, b"\0")
        total = _checksum(ends + struct.pack("!II", len(body), 58) + body[:2] + b"\0\0" + body[4:])
        body = body[:2] + total.to_bytes(2, "big") + body[4:]
        if alert:
            body, protocol = b"\x3a\0\5\2\0\0\1\0" + body, 0
        else:
            protocol = 58
        return self._ip6(body, protocol, ends, b"\x33\x33" + group[-4:], hops)

    def _ip6(self, body: bytes, following: int, ends: bytes, mac: bytes, hops: int) -> bytes:
        head = struct.pack("!IHBB", 6 << 28, self._length(len(body)), following, hops) + ends
        return mac + self.who.mac + b"\x86\xdd" + head + body


# A node's router on the routed networks of tests; elsewhere nobody's, so that it is flooded.
ROUTER = bytes.fromhex("0a580a800001")


def _checksum(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def discover(who: Who, transaction: bytes) -> bytes:
    """A right DHCPDISCOVER."""
    body = struct.pack("!BBBB4sHH", 1, 1, 6, 0, transaction, 0, 0x8000) + bytes(16) + who.mac
    body += bytes(202) + b"\x63\x82\x53\x63" + bytes((53, 1, 1, 255))
    udp = struct.pack("!HHHH", 68, 67, 8 + len(body), 0) + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
    head += bytes(4) + b"\xff" * 4
    head = head[:10] + _checksum(head).to_bytes(2, "big") + head[12:]
    return b"\xff" * 6 + who.mac + b"\x08\x00" + head + udp


def _offered(sock: socket.socket, who: Who, number: int) -> None:
    """Asks until it is answered, and ends the process where it is not."""
    transaction = number.to_bytes(4, "big")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        sock.send(discover(who, transaction))
        again = time.monotonic() + _AGAIN
        while (left := again - time.monotonic()) > 0:
            if not select.select([sock], [], [], left)[0]:
                break
            received = sock.recv(2048)
            if (
                received[23:24] == b"\x11"
                and received[34:36] == b"\0\x43"
                and transaction in received
            ):
                return
    raise SystemExit(f"no offer after batch {number}")


def main(device: str, mac: str, ipv4: str, ipv6: str, seed: str, count: str) -> None:
    who = Who(bytes.fromhex(mac.replace(":", "")), IPv4Address(ipv4), IPv6Address(ipv6))
    made = Fuzzer(who, int(seed))
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    sock.bind((device, _ALL))
    for number in range(0, int(count), BATCH):
        for _ in range(min(BATCH, int(count) - number)):
            sock.send(made.frame())
        _offered(sock, who, number)


if __name__ == "__main__":
    main(*sys.argv[1:])
