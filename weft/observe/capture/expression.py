"""Parses the packet filter of `weft capture`: a part of pcap-filter(7)'s language. Pure.

    tcp and port 443 and not host 10.9.0.7
    arp or icmp or (udp and portrange 67-68)
    src net 10.9.0.0/24 and dst host fd00::7

`and` and `or` are never mixed without parentheses: pcap-filter gives them one precedence, most
other languages two, and a packet that is missing says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network

from weft import errors, model

COMMAND, FIELD = "weft capture", "--filter"
LONGEST = 2000  # characters
MOST = 32  # terms
DEEPEST = 16  # parentheses and nots
_TOKEN = re.compile(r"\s*(\(|\)|!|&&|\|\||[^\s()!&|]+)")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_WORDS = {"!": "not", "&&": "and", "||": "or"}


class Side(StrEnum):
    SOURCE = "src"
    TARGET = "dst"
    EITHER = "src or dst"


class Protocol(StrEnum):
    """`ip` is IPv4, as in pcap-filter(7)."""

    ARP = "arp"
    IP = "ip"
    IP6 = "ip6"
    ICMP = "icmp"
    ICMP6 = "icmp6"
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


_PROTOCOLS = frozenset(map(str, Protocol))


@dataclass(frozen=True, slots=True)
class Subnet:
    """IPv4 and IPv6 packets from or to addresses of a subnet; for IPv4 ARP packets, too."""

    side: Side
    subnet: model.Subnet


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP, UDP and SCTP packets from or to ports `first` to `last`."""

    side: Side
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Mac:
    side: Side
    mac: str


@dataclass(frozen=True, slots=True)
class Not:
    term: Term


@dataclass(frozen=True, slots=True)
class All:
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Any:
    terms: tuple[Term, ...]


Term = Protocol | Subnet | Ports | Mac | Not | All | Any


def parse(text: str) -> Term | None:
    """The filter that `text` writes; None if it is empty. Raise InvalidInput."""
    if len(text) > LONGEST:
        raise _refused(text, f"has {len(text)} characters, at most {LONGEST} are read")
    tokens, at = [], 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _refused(text, f"cannot be read from {text[at : at + 20]!r} on")
        tokens.append(_WORDS.get(found[1], found[1]))
        at = found.end()
    if not tokens:
        return None
    reader = _Reader(text, tokens)
    term = reader.combined(0)
    if reader.next:
        raise _refused(text, f"cannot be read from {reader.next!r} on")
    return term


def _refused(text: str, rule: str) -> errors.InvalidInput:
    hint = "as in: tcp and port 443 and not host 10.9.0.7"
    return errors.InvalidInput(COMMAND, FIELD, text, rule, hint=hint)


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, text: str, tokens: list[str]) -> None:
        self._text, self._tokens, self._terms = text, tokens[::-1], 0

    @property
    def next(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _take(self, what: str) -> str:
        if not self._tokens:
            raise self._refused(f"ends where {what} is expected")
        return self._tokens.pop()

    def _refused(self, rule: str) -> errors.InvalidInput:
        return _refused(self._text, rule)

    def combined(self, depth: int) -> Term:
        """Terms with `and` between them, or with `or`."""
        terms, word = [self._term(depth)], ""
        while self.next in ("and", "or"):
            if word and self.next != word:
                raise self._refused("has and beside or: write parentheses around one of them")
            word = self._tokens.pop()
            terms.append(self._term(depth))
        if len(terms) == 1:
            return terms[0]
        return All(tuple(terms)) if word == "and" else Any(tuple(terms))

    def _term(self, depth: int) -> Term:
        if depth > DEEPEST:
            raise self._refused(f"is nested more than {DEEPEST} deep")
        token = self._take("a term")
        if token == "not":
            return Not(self._term(depth + 1))
        if token == "(":
            inner = self.combined(depth + 1)
            if self._take(")") != ")":
                raise self._refused("lacks a )")
            return inner
        self._terms += 1
        if self._terms > MOST:
            raise self._refused(f"has more than {MOST} terms")
        if token in _PROTOCOLS:
            return self._of_protocol(Protocol(token))
        return self._primitive(token)

    def _of_protocol(self, protocol: Protocol) -> Term:
        """`tcp port 443` is `tcp and port 443`."""
        if self.next in (*_PRIMITIVES, "src", "dst"):
            return All((protocol, self._primitive(self._tokens.pop())))
        return protocol

    def _primitive(self, token: str) -> Term:
        side = Side.EITHER
        if token in ("src", "dst"):
            side, token = Side(token), self._take("host, net, port or ether")
        if token not in _PRIMITIVES:
            known = ", ".join((*Protocol, *_PRIMITIVES))
            raise self._refused(f"has {token!r}, which is none of {known}, src, dst, not")
        what, read = _PRIMITIVES[token]
        value = self._take(what)
        if token == "ether" and value in ("src", "dst"):
            side, value = Side(value), self._take(what)
        if token == "ether" and value == "host":
            value = self._take(what)
        try:
            return read(side, value)
        except ValueError:
            raise self._refused(f"has {value!r} after {token}, which is not {what}") from None


def _host(side: Side, value: str) -> Term:
    if "%" in value:
        raise ValueError(value)
    return Subnet(side, ip_network(ip_address(value)))


def _net(side: Side, value: str) -> Term:
    if "%" in value:
        raise ValueError(value)
    return Subnet(side, ip_network(value))


def _port(side: Side, value: str) -> Term:
    return Ports(side, _number(value), _number(value))


def _range(side: Side, value: str) -> Term:
    first, _, last = value.partition("-")
    if _number(first) > _number(last):
        raise ValueError(value)
    return Ports(side, _number(first), _number(last))


def _number(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 0xFFFF:
        raise ValueError(value)
    return int(value)


def _mac(side: Side, value: str) -> Term:
    if not _MAC.fullmatch(value):
        raise ValueError(value)
    return Mac(side, value.lower())


_PRIMITIVES: dict[str, tuple[str, Callable[[Side, str], Term]]] = {
    "host": ("an IPv4 or IPv6 address", _host),
    "net": ("a CIDR without host bits, as 10.9.0.0/24", _net),
    "port": ("a number up to 65535", _port),
    "portrange": ("a range, as 8000-8080", _range),
    "ether": ("a MAC", _mac),
}
