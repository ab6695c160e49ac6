"""Encodes and decodes weft's own flows in a switch, and frames for it, as OpenFlow 1.5 messages.

It encodes only the fields and actions that `guard` needs. ovn-controller itself requires OpenFlow
1.5, so every `br-int` supports it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

VERSION = 6  # OpenFlow 1.5 on the wire
HEADER = struct.Struct("!BBHI")  # version, type, length, transaction id

# The first bits of every cookie of weft's flows; the rest is a digest of the flow.
COOKIE = 0x7766 << 48

_ANY = 0xFFFFFFFF
_NICIRA = 0x2320
_MULTIPART_AGGREGATE, _MULTIPART_FLOW_MONITOR = 2, 16
_EVERY_TABLE = 0xFF
_OXS_FLOWS, _OXS_PACKETS = 0x80020604, 0x80020808  # class, number and length of a statistic
_MONITOR_FLAGS = 0b1111  # initial flows, and flows added, removed and modified


class MessageType(IntEnum):
    """Types of messages."""

    HELLO = 0
    ERROR = 1
    ECHO_REQUEST = 2
    ECHO_REPLY = 3
    PACKET_OUT = 13
    FLOW_MOD = 14
    MULTIPART_REQUEST = 18
    MULTIPART_REPLY = 19
    BARRIER_REQUEST = 20
    BARRIER_REPLY = 21


class Field(IntEnum):
    """A packet's field: the class, number and length of its OXM header."""

    IN_PORT = 0x80000004
    ETH_DST = 0x80000606
    ETH_SRC = 0x80000806
    ETH_TYPE = 0x80000A02
    IP_PROTO = 0x80001401
    IPV4_DST = 0x80001804
    UDP_SRC = 0x80001E02
    UDP_DST = 0x80002002
    ICMPV4_TYPE = 0x80002601
    IPV6_SRC = 0x80003410
    IPV6_DST = 0x80003610
    ICMPV6_TYPE = 0x80003A01
    ICMPV6_CODE = 0x80003C01
    ND_TARGET = 0x80003E10
    ND_SLL = 0x80004006
    REG14 = 0x00011C04
    IP_FRAG = 0x00013401
    IP_TTL = 0x00013A01
    TUN_IPV4_SRC = 0x00013E04
    TUN_IPV6_SRC = 0x0001DA10

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return self.value & 0xFF


@dataclass(frozen=True, slots=True)
class Masked:
    """A field's value with a mask."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class SetField:
    """Action: set a field to a value."""

    field: Field
    value: int


@dataclass(frozen=True, slots=True)
class CopyField:
    """Action: copy one field to another of the same size."""

    source: Field
    target: Field


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Action: look the packet up in a table, with its changes so far."""

    table: int


Action = SetField | CopyField | Resubmit
Match = Mapping[Field, int | Masked]


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow; without actions it drops the packet."""

    table: int
    priority: int
    match: tuple[tuple[Field, int | Masked], ...]
    actions: tuple[Action, ...] = ()
    cookie: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        encoded = struct.pack("!BH", self.table, self.priority) + self.body
        digest = hashlib.blake2b(encoded, digest_size=6).digest()
        object.__setattr__(self, "cookie", COOKIE | int.from_bytes(digest, "big"))

    @property
    def body(self) -> bytes:
        """The encoded match and instructions."""
        done = b"".join(map(_action, self.actions))
        apply = struct.pack("!HH4x", 4, 8 + len(done)) + done if done else b""
        return match(dict(self.match)) + apply


def flow(table: int, priority: int, match: Match, *actions: Action) -> Flow:
    """A flow with this match and these actions."""
    return Flow(table, priority, tuple(match.items()), actions)


class FlowEvent(IntEnum):
    """What happened to a flow. A switch does not report a monitor's own changes as these."""

    INITIAL = 0
    ADDED = 1
    REMOVED = 2
    MODIFIED = 3


@dataclass(frozen=True, slots=True)
class FlowUpdate:
    """A flow that a switch has, or has removed."""

    event: FlowEvent
    table: int
    cookie: int

    @property
    def is_ours(self) -> bool:
        """Whether the flow's cookie is one of weft's."""
        return self.cookie >> 48 == COOKIE >> 48


def message(kind: MessageType, xid: int, body: bytes = b"") -> bytes:
    """An encoded message; `xid` is its transaction id."""
    return HEADER.pack(VERSION, kind, HEADER.size + len(body), xid) + body


def hello(xid: int) -> bytes:
    """A HELLO for this version only."""
    return message(MessageType.HELLO, xid, struct.pack("!HHI", 1, 8, 1 << VERSION))


def add(flow: Flow, xid: int) -> bytes:
    """A message that adds a flow, or replaces one with the same table, priority and match."""
    return message(
        MessageType.FLOW_MOD, xid, _mod(0, flow.table, flow.priority, flow.cookie) + flow.body
    )


def remove(table: int, cookie: int, xid: int) -> bytes:
    """A message that removes all flows with this cookie from a table."""
    every = _mod(3, table, 0, cookie, 0xFFFFFFFFFFFFFFFF)
    return message(MessageType.FLOW_MOD, xid, every + match({}))


def packet_out(port: int, frame: bytes, xid: int) -> bytes:
    """A message that has a frame looked up in table 0, as if it had come in by this port."""
    done = _action(Resubmit(0))
    head = struct.pack("!IH2x", _ANY, len(done))  # no buffer
    return message(MessageType.PACKET_OUT, xid, head + match({Field.IN_PORT: port}) + done + frame)


def _mod(command: int, table: int, priority: int, cookie: int, mask: int = 0) -> bytes:
    ends = (_ANY, _ANY, _ANY, 0, 0)  # no buffer; any output port, any group
    return struct.pack("!QQBBHHHIIIHH", cookie, mask, table, command, 0, 0, priority, *ends)


def monitor(number: int, table: int, limit: Match, xid: int) -> bytes:
    """A message that requests all flows of a table that match `limit`, and their changes."""
    head = struct.pack("!HH4x", _MULTIPART_FLOW_MONITOR, 0)
    request = struct.pack("!IIIHBB", number, _ANY, _ANY, _MONITOR_FLAGS, table, 0)
    return message(MessageType.MULTIPART_REQUEST, xid, head + request + match(limit))


def aggregate(cookie: int, xid: int) -> bytes:
    """A message that requests how many packets all flows with this cookie have counted."""
    head = struct.pack("!HH4x", _MULTIPART_AGGREGATE, 0)
    limits = struct.pack("!B3xII4xQQ", _EVERY_TABLE, _ANY, _ANY, cookie, 0xFFFFFFFFFFFFFFFF)
    return message(MessageType.MULTIPART_REQUEST, xid, head + limits + match({}))


def counted(body: bytes) -> tuple[int, int] | None:
    """The numbers of flows and packets in a reply to `aggregate`; None for any other reply."""
    if len(body) < 12 or int.from_bytes(body[:2], "big") != _MULTIPART_AGGREGATE:
        return None
    end, place, found = 8 + int.from_bytes(body[10:12], "big"), 12, {}
    if end > len(body):
        raise ValueError("cut off in statistics")
    while place + 4 <= end:
        kind = int.from_bytes(body[place : place + 4], "big")
        size = kind & 0xFF
        found[kind] = int.from_bytes(body[place + 4 : place + 4 + size], "big")
        place += 4 + size
    return found.get(_OXS_FLOWS, 0), found.get(_OXS_PACKETS, 0)


def updates(body: bytes) -> Iterator[FlowUpdate]:
    """The flows in a reply to `monitor`; raises ValueError for any other message."""
    if len(body) < 8:
        raise ValueError("too short for a multipart reply")
    if int.from_bytes(body[:2], "big") != _MULTIPART_FLOW_MONITOR:
        return
    place = 8
    while place < len(body):
        if len(body) < place + 4:
            raise ValueError("cut off in a flow update")
        length, event = struct.unpack_from("!HH", body, place)
        if length < 8 or place + length > len(body):
            raise ValueError(f"a flow update of {length} bytes")
        if event in list(FlowEvent):
            if length < 32:
                raise ValueError(f"a full flow update of {length} bytes")
            (table,) = struct.unpack_from("!B", body, place + 4)
            (cookie,) = struct.unpack_from("!Q", body, place + 16)
            yield FlowUpdate(FlowEvent(event), table, cookie)
        place += length


def match(fields: Match) -> bytes:
    """The encoded match, in the order of `fields`: prerequisites come first."""
    listed = b"".join(_oxm(each, value) for each, value in fields.items())
    return _pad(struct.pack("!HH", 1, 4 + len(listed)) + listed)


def _oxm(each: Field, value: int | Masked) -> bytes:
    if isinstance(value, int):
        return each.to_bytes(4, "big") + value.to_bytes(each.size, "big")
    head = (each & ~0xFF) | 0x100 | each.size * 2
    both = value.value.to_bytes(each.size, "big") + value.mask.to_bytes(each.size, "big")
    return head.to_bytes(4, "big") + both


def _action(action: Action) -> bytes:
    match action:
        case SetField(target, value):
            oxm = _oxm(target, value)
            return struct.pack("!HH", 25, _padded(4 + len(oxm))) + _pad(oxm, 4)
        case CopyField(source, target):
            ids = source.to_bytes(4, "big") + target.to_bytes(4, "big")
            return struct.pack("!HHHHH2x", 28, 24, source.size * 8, 0, 0) + ids + b"\0" * 4
        case Resubmit(table):
            return struct.pack("!HHIHHB3x", 0xFFFF, 16, _NICIRA, 14, 0xFFF8, table)


def _padded(length: int) -> int:
    return (length + 7) // 8 * 8


def _pad(data: bytes, before: int = 0) -> bytes:
    return data + b"\0" * (_padded(before + len(data)) - before - len(data))
