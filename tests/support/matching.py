"""What does an ACL's match say of a packet? OVN's grammar, as far as weft writes it.

Slow and plain: a match becomes a function of a packet and of what the groups and sets hold. What
OVN would refuse, as `&&` beside `||`, is an error here too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

Value = str | int
# What a group ("@name") or a set ("$name") holds.
Held = Callable[[str], Collection[str]]
Match = Callable[["Packet", Held], bool]

_TOKEN = re.compile(r"\s*(&&|\|\||==|<=|[(){},]|[@$]?[A-Za-z0-9_.:/]+)")


@dataclass(frozen=True, slots=True)
class Packet:
    """`kinds` are the predicates that it meets: "ip4", "tcp", "arp"."""

    kinds: frozenset[str]
    fields: Mapping[str, Value] = field(default_factory=dict)


@functools.cache
def read(text: str) -> Match:
    tokens = _TOKEN.findall(text)
    assert "".join(tokens) == re.sub(r"\s", "", text), f"not understood: {text}"
    reader = _Reader(tokens)
    made = reader.expression()
    assert not reader.tokens, f"left over in {text}: {reader.tokens}"
    return made


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def expression(self) -> Match:
        parts = [self.term()]
        operators = set()
        while self.tokens and self.tokens[0] in ("&&", "||"):
            operators.add(self.tokens.pop(0))
            parts.append(self.term())
        assert len(operators) < 2, "&& and || need parentheses"
        if len(parts) == 1:
            return parts[0]
        joined = all if operators == {"&&"} else any
        return lambda packet, held: joined(part(packet, held) for part in parts)

    def term(self) -> Match:
        first = self.tokens.pop(0)
        if first == "(":
            inner = self.expression()
            assert self.tokens.pop(0) == ")"
            return inner
        following = self.tokens[0] if self.tokens else ""
        if following == "==":
            self.tokens.pop(0)
            values = self.values()
            return lambda packet, held: any(
                _is(packet.fields.get(first), value, held) for value in values
            )
        if following == "<=":
            _, name, again, last = (self.tokens.pop(0) for _ in range(4))
            assert again == "<="
            least, most = int(first), int(last)
            return lambda packet, held: least <= int(packet.fields.get(name, -1)) <= most
        return lambda packet, held: first in packet.kinds

    def values(self) -> list[str]:
        if self.tokens[0] != "{":
            return [self.tokens.pop(0)]
        found = []
        while self.tokens.pop(0) != "}":
            found.append(self.tokens.pop(0))
        return found


def _is(value: Value | None, meant: str, held: Held) -> bool:
    if value is None:
        return False
    if meant[0] in "@$":
        return value in held(meant)
    if isinstance(value, int):
        return value == int(meant, 0)
    if "/" in meant:
        return ip_address(value) in ip_network(meant)
    return value == meant
