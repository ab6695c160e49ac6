"""What the kernel lets through, beside what the filter means of frames whose facts are known."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import frames, packets
from weft.host import rawsocket
from weft.observe.capture import expression, program
from weft.observe.capture.expression import All, Any, Mac, Not, Ports, Protocol, Side, Subnet, Term
from weft.policy import netpolicy

MACS = ("0a:58:0a:01:00:05", "02:00:00:00:00:07")
V4, V6 = ("10.9.0.5", "10.9.0.7", "172.16.3.1"), ("fd00::5", "fd00::1:0:7", "fe80::1")
PORTS = (53, 67, 443, 8080)
LENGTH = 50
TRANSPORT = {"tcp": netpolicy.Protocol.TCP, "udp": netpolicy.Protocol.UDP}
TRANSPORT["sctp"] = netpolicy.Protocol.SCTP

macs, ports = st.sampled_from(MACS), st.sampled_from(PORTS)


@dataclass(frozen=True)
class Sent:
    """A frame, and what is true of it."""

    frame: bytes
    protocols: frozenset[str]
    macs: tuple[str, str]
    addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


@st.composite
def sent(draw: st.DrawFn) -> Sent:
    """Frames of all kinds, with and without a tag, options of IPv4, or an offset of a fragment."""
    ends = (draw(macs), draw(macs))
    family = draw(st.sampled_from([V4, V6]))
    addresses = (draw(st.sampled_from(family)), draw(st.sampled_from(family)))
    kind = draw(st.sampled_from(["arp", "other", "tcp", "udp", "sctp", "ping", "fragment"]))
    head = bytes.fromhex((ends[1] + ends[0]).replace(":", ""))
    if kind == "other":
        made = Sent(head + b"\x88\xcc" + bytes(60), frozenset(), ends)
    elif kind == "arp":
        pair = (draw(st.sampled_from(V4)), draw(st.sampled_from(V4)))
        packed = [ip_address(each).packed for each in pair]
        body = bytes.fromhex("0001080006040001") + bytes(6) + packed[0] + bytes(6) + packed[1]
        made = Sent(head + b"\x08\x06" + body, frozenset({"arp"}), ends, pair)
    else:
        made = _over_ip(draw, kind, ends, addresses)
    if draw(st.booleans()):
        tag = draw(st.integers(1, 4094))
        made = Sent(frames.tagged(made.frame, tag), *_rest(made))
    return made


def _rest(made: Sent) -> tuple[frozenset[str], tuple[str, str], tuple[str, ...], tuple[int, ...]]:
    return made.protocols, made.macs, made.addresses, made.ports


def _over_ip(draw: st.DrawFn, kind: str, ends: tuple[str, str], addresses: tuple[str, str]) -> Sent:
    version = ip_address(addresses[0]).version
    pair = (draw(ports), draw(ports))
    top = "udp" if kind == "fragment" else kind
    frame = packets.first(
        packets.Ends(*ends, *addresses),
        TRANSPORT.get(top),
        bytes(24),
        port=pair[1],
        source_port=pair[0],
    )
    if version == 4 and draw(st.booleans()):  # four bytes of options
        frame = frame[:14] + b"\x46" + frame[15:34] + b"\x01\x01\x01\x00" + frame[34:]
    protocols = {"ip" if version == 4 else "ip6"}
    protocols.add({4: "icmp", 6: "icmp6"}[version] if kind == "ping" else top)
    if kind == "fragment" and version == 4:
        frame, pair = frame[:20] + b"\x00\x08" + frame[22:], ()  # type: ignore[assignment]
    found = () if kind == "ping" else pair
    return Sent(frame, frozenset(protocols), ends, addresses, found)


def terms() -> st.SearchStrategy[Term]:
    sides = st.sampled_from(Side)
    subnets = st.sampled_from(
        [
            ip_network(each, strict=False)
            for host in V4
            for each in (host, f"{host}/24", f"{host}/9")
        ]
        + [ip_network(each, strict=False) for host in V6 for each in (host, f"{host}/64", "::/0")]
    )
    ranges = st.tuples(ports, ports).map(sorted)
    leaves = (
        st.sampled_from(Protocol)
        | st.builds(Subnet, sides, subnets)
        | st.builds(lambda side, ends: Ports(side, *ends), sides, ranges)
        | st.builds(Mac, sides, macs)
    )
    several = st.lists
    return st.recursive(
        leaves,
        lambda inner: (
            inner.map(Not)
            | several(inner, min_size=2, max_size=4).map(lambda found: All(tuple(found)))
            | several(inner, min_size=2, max_size=4).map(lambda found: Any(tuple(found)))
        ),
        max_leaves=20,
    )


def means(term: Term, made: Sent) -> bool:
    """Whether the filter holds for what is true of the frame."""

    def one(side: Side, ends: tuple[object, ...], holds: Callable[[object], bool]) -> bool:
        chosen = {Side.SOURCE: ends[:1], Side.TARGET: ends[1:], Side.EITHER: ends}[side]
        return any(holds(each) for each in chosen)

    match term:
        case Not():
            return not means(term.term, made)
        case All():
            return all(means(each, made) for each in term.terms)
        case Any():
            return any(means(each, made) for each in term.terms)
        case Mac():
            return one(term.side, made.macs, lambda each: each == term.mac)
        case Subnet():
            subnet = term.subnet
            return one(term.side, made.addresses, lambda each: ip_address(str(each)) in subnet)
        case Ports():
            inside = range(term.first, term.last + 1)
            return one(term.side, made.ports, lambda each: each in inside)
    return str(term) in made.protocols


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The kernel filters a pair of datagram sockets as it filters packet sockets."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        there.setblocking(False)
        yield here, there


def taken(pair: tuple[socket.socket, socket.socket], term: Term | None, frame: bytes) -> int:
    here, there = pair
    rawsocket.filter(there, program.compile(term, LENGTH))
    here.send(frame)
    try:
        return len(there.recv(65536))
    except BlockingIOError:
        return 0


@given(terms(), sent())
def test_the_kernel_takes_what_the_filter_means(
    pair: tuple[socket.socket, socket.socket], term: Term, made: Sent
) -> None:
    expected = min(len(made.frame), LENGTH) if means(term, made) else 0
    assert taken(pair, term, made.frame) == expected


def test_no_filter_takes_all_and_a_short_frame_is_not_taken(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    assert taken(pair, None, bytes(200)) == LENGTH
    assert taken(pair, Ports(Side.EITHER, 0, 65535), bytes(12) + b"\x08\x00") == 0


def test_ports_are_not_looked_for_behind_an_extension_header(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ends = packets.Ends(*MACS, *V6[:2])
    frame = packets.first(ends, netpolicy.Protocol.UDP, b"", port=53)
    behind = frame[:20] + b"\x2c" + frame[21:54] + b"\x11" + bytes(7) + frame[54:]
    assert taken(pair, Ports(Side.EITHER, 53, 53), frame)
    assert not taken(pair, Ports(Side.EITHER, 53, 53), behind)


@pytest.mark.parametrize("one", ["net 2001:db8:1:2:3:4:5:0/112", "portrange 1-2", "host ::1"])
def test_the_longest_filter_fits(one: str) -> None:
    most = min(expression.MOST, expression.LONGEST // len(f"{one} or "))
    term = expression.parse(" or ".join([one] * most))
    assert len(program.compile(term, 1)) <= program.MOST
