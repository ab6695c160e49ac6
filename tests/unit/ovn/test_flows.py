"""Flows as OpenFlow bytes; what real switches make of them is tests/real/test_guard.py's."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from weft.ovn import flows, guard
from weft.ovn.flows import CopyField, Field, FlowEvent, FlowUpdate, Masked, Resubmit, SetField


def test_a_flow_is_said_as_openflow_has_it() -> None:
    flow = flows.flow(
        250,
        10,
        {Field.IN_PORT: 7, Field.ETH_DST: Masked(1 << 40, 1 << 40)},
        SetField(Field.REG14, 1),
    )
    message = flows.add(flow, 5)
    version, kind, length, xid = flows.HEADER.unpack_from(message)
    assert (version, kind, length, xid) == (6, 14, len(message), 5)
    cookie, mask, table, command = struct.unpack_from("!QQBB", message, 8)
    assert (cookie, mask, table, command) == (flow.cookie, 0, 250, 0)
    assert message[48:72].hex() == "0001001c" + "8000000400000007" + "8000070c" + "0100000000000100"
    assert message[72:80] == bytes(8)
    assert message[80:].hex() == "0004001800000000" + "00190010" + "00011c0400000001" + "00000000"


def test_the_cookie_tells_one_flow_from_another_and_ours_from_others() -> None:
    one = flows.flow(250, 10, {Field.IN_PORT: 7})
    assert one.cookie == flows.flow(250, 10, {Field.IN_PORT: 7}).cookie
    others = (
        flows.flow(251, 10, {Field.IN_PORT: 7}),
        flows.flow(250, 11, {Field.IN_PORT: 7}),
        flows.flow(250, 10, {Field.IN_PORT: 8}),
        flows.flow(250, 10, {Field.IN_PORT: 7}, Resubmit(0)),
        flows.flow(250, 10, {Field.IN_PORT: 7}, CopyField(Field.ETH_SRC, Field.ND_SLL)),
    )
    assert len({one.cookie, *(each.cookie for each in others)}) == 1 + len(others)
    assert FlowUpdate(FlowEvent.ADDED, 250, one.cookie).is_ours
    assert not FlowUpdate(FlowEvent.ADDED, 250, 0x9535B238).is_ours


def test_a_frame_is_put_into_a_port_as_openflow_has_it() -> None:
    message = flows.packet_out(7, b"frame", 5)
    assert flows.HEADER.unpack_from(message) == (6, 13, len(message), 5)
    assert message[8:16].hex() == "ffffffff" + "0010" + "0000"
    assert message[16:32].hex() == "0001000c" + "8000000400000007" + "00000000"
    assert message[32:].hex() == "ffff0010" + "00002320" + "000efff8" + "00000000" + b"frame".hex()


def test_updates_are_read_and_what_is_abbreviated_is_passed_over() -> None:
    full = struct.pack("!HHBBHHHIQ", 32, 2, 250, 0, 0, 0, 10, 0, 0x7766 << 48) + flows.match({})
    own = struct.pack("!HHI", 8, 4, 77)
    body = struct.pack("!HH4x", 16, 0) + own + full + own
    assert list(flows.updates(body)) == [FlowUpdate(FlowEvent.REMOVED, 250, 0x7766 << 48)]
    assert list(flows.updates(struct.pack("!HH4x", 1, 0) + b"other")) == []


def test_counters_are_read_whatever_else_a_switch_counts() -> None:
    octets, number = struct.pack("!IQ", 0x80020A08, 700), struct.pack("!II", 0x80020604, 2)
    fields = octets + struct.pack("!IQ", 0x80020808, 7) + number
    body = struct.pack("!HH4xHH", 2, 0, 0, 4 + len(fields)) + fields
    assert flows.counted(body) == (2, 7)
    assert list(flows.updates(body)) == []
    assert flows.counted(struct.pack("!HH4xHH", 2, 0, 0, 4)) == (0, 0)
    assert flows.counted(struct.pack("!HH4xI", 16, 0, 0)) is None


@given(st.binary(max_size=200))
def test_no_answer_of_a_switch_breaks_the_reading(rest: bytes) -> None:
    for body in (rest, *(struct.pack("!HH4x", kind, 0) + rest for kind in (2, 16))):
        with contextlib.suppress(ValueError):
            list(flows.updates(body))
        with contextlib.suppress(ValueError):
            flows.counted(body)


def test_what_is_standing_is_the_same_each_time_and_the_rest_is_by_guest() -> None:
    standing = guard.common_flows()
    assert standing == guard.common_flows()
    assert len({each.cookie for each in standing}) == len(standing) < 40
    assert {each.table for each in standing} == {guard.ENTRY, *guard.TABLES}
    assert len(guard.mac_flows("0a:58:0a:01:00:01")) == 2
    assert len(guard.role_flows(3, guard.PortRole)) == 3


def test_only_what_enters_from_a_guest_and_is_not_judged_yet_is_looked_at() -> None:
    for each in guard.common_flows():
        if each.table == guard.ENTRY:
            match = dict(each.match)
            assert match[Field.REG14] == match[Field.TUN_IPV4_SRC] == 0
            assert match[Field.TUN_IPV6_SRC] == 0
