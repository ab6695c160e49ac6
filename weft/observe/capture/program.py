"""Compiles a packet filter to classic BPF, which the kernel runs (linux/filter.h). Pure.

A frame may have one VLAN tag in its bytes: each term is compiled for both places of what follows.
Extension headers of IPv6 are not followed, as in pcap-filter(7); only the first fragment of an IPv4
packet has ports. A frame that ends before what a term looks at is not taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from weft import model
from weft.observe.capture import expression
from weft.observe.capture.expression import Protocol, Side, Term

# (code, jump if true, jump if false, operand)
Instruction = tuple[int, int, int, int]
_WORD, _HALF, _BYTE, _HALF_AT_X, _X_FROM_LENGTH = 0x20, 0x28, 0x30, 0x48, 0xB1
_AND, _JUMP, _EQUAL, _GREATER, _AT_LEAST, _SET, _RETURN = 0x54, 0x05, 0x15, 0x25, 0x35, 0x45, 0x06
MOST = 4096  # instructions (BPF_MAXINSNS)

_TYPE, _VLANS = 12, (0x8100, 0x88A8)
_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_ETHERTYPES = {Protocol.IP: _IPV4, Protocol.ARP: _ARP, Protocol.IP6: _IPV6}
_NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}
# Offsets in an untagged frame, by source and target: of IPv4, ARP and IPv6 addresses, and MACs.
_SIDES = {Side.SOURCE: (0,), Side.TARGET: (1,), Side.EITHER: (0, 1)}
_IPV4_AT, _ARP_AT, _IPV6_AT, _MAC_AT = (26, 30), (28, 38), (22, 38), (6, 0)
_IPV4_START, _IPV4_NEXT, _IPV4_FRAGMENT, _IPV6_NEXT, _IPV6_PORTS = 14, 23, 20, 20, 54


def compile(term: Term | None, length: int) -> tuple[Instruction, ...]:
    """The program that takes `length` bytes of each packet that a filter admits.

    `term` None admits all. A filter that `expression.parse` returns fits in MOST instructions.
    """
    if term is None:
        return ((_RETURN, 0, 0, length),)
    code = _Code()
    take, leave, tagged, plain = (code.label() for _ in range(4))
    code.add(_HALF, _TYPE)
    inner = code.label()
    code.test(_EQUAL, _VLANS[0], tagged, inner)
    code.place(inner)
    code.test(_EQUAL, _VLANS[1], tagged, plain)
    for start, base in ((plain, 0), (tagged, 4)):
        code.place(start)
        _Compiler(code, base).term(term, take, leave)
    code.place(take)
    code.add(_RETURN, length)
    code.place(leave)
    code.add(_RETURN, 0)
    return code.resolved()


@dataclass
class _Code:
    """Instructions with labels in place of distances.

    A conditional jump reaches 255 instructions only, so it jumps to one of two long jumps.
    """

    _listed: list[tuple[int, int] | tuple[int, int, int, int]] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)
    _labels: itertools.count[int] = field(default_factory=itertools.count)
    _size: int = 0

    def label(self) -> int:
        return next(self._labels)

    def place(self, label: int) -> None:
        self._places[label] = self._size

    def add(self, code: int, operand: int) -> None:
        self._listed.append((code, operand))
        self._size += 1

    def test(self, code: int, operand: int, yes: int, no: int) -> None:
        self._listed.append((code, operand, yes, no))
        self._size += 3

    def resolved(self) -> tuple[Instruction, ...]:
        found: list[Instruction] = []
        for each in self._listed:
            if len(each) == 2:
                found.append((each[0], 0, 0, each[1]))
                continue
            code, operand, yes, no = each
            found.append((code, 0, 1, operand))
            for label in (yes, no):
                found.append((_JUMP, 0, 0, self._places[label] - len(found) - 1))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Adds the code of terms that continues at `yes` or `no`; headers are moved by `base` bytes."""

    code: _Code
    base: int

    def term(self, term: Term, yes: int, no: int) -> None:
        match term:
            case expression.Not():
                self.term(term.term, no, yes)
            case expression.All():
                self._each(term.terms, yes, no, stop_at=False)
            case expression.Any():
                self._each(term.terms, yes, no, stop_at=True)
            case Protocol():
                self._protocol(term, yes, no)
            case expression.Subnet():
                self._subnet(term, yes, no)
            case expression.Ports():
                self._ports(term, yes, no)
            case expression.Mac():
                self._mac(term, yes, no)

    def _each(self, terms: Sequence[Term], yes: int, no: int, *, stop_at: bool) -> None:
        for each in terms[:-1]:
            following = self.code.label()
            self.term(each, *((yes, following) if stop_at else (following, no)))
            self.code.place(following)
        self.term(terms[-1], yes, no)

    def _load(self, code: int, offset: int) -> None:
        self.code.add(code, offset + self.base)

    def _is(self, load: int, offset: int, value: int, no: int) -> None:
        """Goes on if the frame has this value there."""
        following = self.code.label()
        self._load(load, offset)
        self.code.test(_EQUAL, value, following, no)
        self.code.place(following)

    def _protocol(self, protocol: Protocol, yes: int, no: int) -> None:
        if protocol in _ETHERTYPES:
            self._load(_HALF, _TYPE)
            self.code.test(_EQUAL, _ETHERTYPES[protocol], yes, no)
        elif protocol is Protocol.ICMP:
            self._is(_HALF, _TYPE, _IPV4, no)
            self._load(_BYTE, _IPV4_NEXT)
            self.code.test(_EQUAL, 1, yes, no)
        elif protocol is Protocol.ICMP6:
            self._is(_HALF, _TYPE, _IPV6, no)
            self._load(_BYTE, _IPV6_NEXT)
            self.code.test(_EQUAL, 58, yes, no)
        else:
            self._transport((_NUMBERS[protocol],), yes, yes, no)

    def _transport(self, numbers: Sequence[int], ipv4: int, ipv6: int, no: int) -> None:
        """Continues at `ipv4` or `ipv6` if one of these protocols follows the header."""
        other = self.code.label()
        self._is(_HALF, _TYPE, _IPV4, other)
        self._load(_BYTE, _IPV4_NEXT)
        self._one_of(numbers, ipv4, no)
        self.code.place(other)
        self._is(_HALF, _TYPE, _IPV6, no)
        self._load(_BYTE, _IPV6_NEXT)
        self._one_of(numbers, ipv6, no)

    def _one_of(self, values: Sequence[int], yes: int, no: int) -> None:
        for value in values[:-1]:
            following = self.code.label()
            self.code.test(_EQUAL, value, yes, following)
            self.code.place(following)
        self.code.test(_EQUAL, values[-1], yes, no)

    def _ports(self, term: expression.Ports, yes: int, no: int) -> None:
        ipv4, ipv6 = self.code.label(), self.code.label()
        self._transport(tuple(_NUMBERS.values()), ipv4, ipv6, no)
        self.code.place(ipv4)
        whole = self.code.label()
        self._load(_HALF, _IPV4_FRAGMENT)
        self.code.test(_SET, 0x1FFF, no, whole)
        self.code.place(whole)
        self._load(_X_FROM_LENGTH, _IPV4_START)
        self._in_range(term, _HALF_AT_X, _IPV4_START, yes, no)
        self.code.place(ipv6)
        self._in_range(term, _HALF, _IPV6_PORTS, yes, no)

    def _in_range(self, term: expression.Ports, load: int, offset: int, yes: int, no: int) -> None:
        sides = _SIDES[term.side]
        for side in sides:
            other = no if side == sides[-1] else self.code.label()
            high = self.code.label()
            self._load(load, offset + 2 * side)
            self.code.test(_AT_LEAST, term.first, high, other)
            self.code.place(high)
            self.code.test(_GREATER, term.last, other, yes)
            if other != no:
                self.code.place(other)

    def _subnet(self, term: expression.Subnet, yes: int, no: int) -> None:
        if term.subnet.version == 6:
            self._is(_HALF, _TYPE, _IPV6, no)
            self._either(term, _IPV6_AT, yes, no)
            return
        other = self.code.label()
        self._is(_HALF, _TYPE, _IPV4, other)
        self._either(term, _IPV4_AT, yes, no)
        self.code.place(other)
        self._is(_HALF, _TYPE, _ARP, no)
        self._either(term, _ARP_AT, yes, no)

    def _either(self, term: expression.Subnet, offsets: tuple[int, int], yes: int, no: int) -> None:
        sides = _SIDES[term.side]
        for side in sides:
            other = no if side == sides[-1] else self.code.label()
            self._inside(term.subnet, offsets[side], yes, other)
            if other != no:
                self.code.place(other)

    def _inside(self, subnet: model.Subnet, offset: int, yes: int, no: int) -> None:
        """Compares word by word, as far as the prefix reaches."""
        words = subnet.max_prefixlen // 32
        for at in range(words):
            shift = 32 * (words - 1 - at)
            mask = int(subnet.netmask) >> shift & 0xFFFFFFFF
            if not mask:
                break
            following = self.code.label()
            self._load(_WORD, offset + 4 * at)
            self.code.add(_AND, mask)
            value = int(subnet.network_address) >> shift & 0xFFFFFFFF
            self.code.test(_EQUAL, value, following, no)
            self.code.place(following)
        # A conditional jump that always jumps: the accumulator is of no interest here.
        self.code.test(_AT_LEAST, 0, yes, yes)

    def _mac(self, term: expression.Mac, yes: int, no: int) -> None:
        value = int(term.mac.replace(":", ""), 16)
        sides = _SIDES[term.side]
        for side in sides:
            other = no if side == sides[-1] else self.code.label()
            following = self.code.label()
            self.code.add(_WORD, _MAC_AT[side])  # before any tag
            self.code.test(_EQUAL, value >> 16, following, other)
            self.code.place(following)
            self.code.add(_HALF, _MAC_AT[side] + 4)
            self.code.test(_EQUAL, value & 0xFFFF, yes, other)
            if other != no:
                self.code.place(other)
