"""A machine's connections: out of Open vSwitch's dump, into the annotation and out of it."""

from __future__ import annotations

from ipaddress import ip_address

from weft.api import connections
from weft.migration import Connection

OWN, PEER, SIX = map(ip_address, ("10.1.0.20", "10.1.0.11", "fd00:1::20"))
OUT = Connection("tcp", True, OWN, 40000, PEER, 80)
IN = Connection("tcp", False, OWN, 22, PEER, 50000)


def line(source: str, to: str, sport: int, dport: int, rest: str, protocol: str = "tcp") -> str:
    ends = f"src={source},dst={to},sport={sport},dport={dport}"
    back = f"src={to},dst={source},sport={dport},dport={sport}"
    return f"{protocol},orig=({ends}),reply=({back}),zone=5{rest}"


ESTABLISHED = ",protoinfo=(state=ESTABLISHED)"


def test_who_began_a_connection_is_known() -> None:
    dump = "\n".join(
        (
            line("10.1.0.20", "10.1.0.11", 40000, 80, ESTABLISHED),
            line("10.1.0.11", "10.1.0.20", 50000, 22, ",mark=2,labels=0x1" + ESTABLISHED),
            line("10.1.0.20", "10.1.0.11", 53000, 53, "", "udp"),
            "icmp,orig=(src=10.1.0.20,dst=10.1.0.11,id=7,type=8,code=0),reply=(…),zone=5",
        )
    )
    dns = Connection("udp", True, OWN, 53000, PEER, 53)
    assert connections.tracked(dump, [OWN]) == {OUT, IN, dns}


def test_what_is_not_established_forbidden_or_anothers_does_not_go_on() -> None:
    dump = "\n".join(
        (
            line("10.1.0.20", "10.1.0.11", 1, 80, ",protoinfo=(state=SYN_SENT)"),
            line("10.1.0.20", "10.1.0.11", 2, 80, ",protoinfo=(state=CLOSED)"),
            line("10.1.0.11", "10.1.0.20", 3, 22, ",mark=1" + ESTABLISHED),
            line("10.1.0.12", "10.1.0.11", 4, 80, ESTABLISHED),
        )
    )
    assert connections.tracked(dump, [OWN]) == frozenset()


def test_what_one_end_has_closed_goes_on() -> None:
    dump = line("10.1.0.20", "10.1.0.11", 40000, 80, ",protoinfo=(state=TIME_WAIT)")
    assert connections.tracked(dump, [OWN]) == {OUT}


def test_the_annotation_gives_back_what_it_was_made_of() -> None:
    six = Connection("udp", True, SIX, 4000, ip_address("fd00:1::11"), 53)
    text = connections.render("uid-b", {"blue:5": {OUT, IN, six}, "red:6": ()})
    assert connections.parse(text, "uid-b", "blue:5", [OWN, SIX]) == {OUT, IN, six}
    assert connections.parse(text, "uid-b", "red:6", [OWN]) == frozenset()
    assert connections.render("uid-b", {"blue:5": ()}) == ""
    assert connections.digest("") == ""
    assert connections.digest(text) not in ("", connections.digest(text + " "))


def test_what_was_written_for_an_earlier_target_does_not_count() -> None:
    text = connections.render("uid-b", {"a": {OUT}})
    assert connections.parse(text, "uid-c", "a", [OWN]) == frozenset()


def test_a_node_admits_to_no_other_address() -> None:
    text = connections.render("uid-b", {"a": {OUT}})
    assert connections.parse(text, "uid-b", "a", [PEER]) == frozenset()


def test_what_no_agent_writes_is_nothing() -> None:
    sound = '["tcp", "out", "10.1.0.20", 1, "10.1.0.11", 80]'
    assert read(f"[{sound}]"), "the control"
    for text in ("", "{", "[]", "7", '{"to": "uid-b"}', '{"to": "uid-b", "ports": 7}'):
        assert connections.parse(text, "uid-b", "a", [OWN]) == frozenset()
    for listed in ("7", "null", '{"b": 1}', '"abcdef"', "[[]]", "[7]", '[["tcp", "out"]]'):
        assert read(listed) == frozenset()
    for entry in (
        '["icmp", "out", "10.1.0.20", 1, "10.1.0.11", 1]',
        '["tcp", "out", "10.1.0.20", 0, "10.1.0.11", 80]',
        '["tcp", "out", "10.1.0.20", 70000, "10.1.0.11", 80]',
        '["tcp", "out", "10.1.0.20", 1, "fd00::1", 80]',
        '["tcp) || ip4 || (tcp", "out", "10.1.0.20", 1, "10.1.0.11", 80]',
        '["tcp", "out", "10.1.0.20", 1.5, "10.1.0.11", 80]',
        '["tcp", "out", "10.1.0.20", 1, 167837707, 80]',
        '["tcp", "out", "fd00:1::20", 1, "fe80::1%x || ip", 80]',
        '["tcp", "out", "fd00:1::20", 1, "fe80::1%x", 80]',
    ):
        assert read(f"[{entry}]") == frozenset()


def read(listed: str) -> frozenset[Connection]:
    text = f'{{"to": "uid-b", "ports": {{"a": {listed}}}}}'
    return connections.parse(text, "uid-b", "a", [OWN, SIX])


def test_a_budget_bounds_them() -> None:
    dump = "\n".join(line("10.1.0.20", "10.1.0.11", 1000 + n, 80, ESTABLISHED) for n in range(2000))
    found = connections.tracked(dump, [OWN])
    assert len(found) == connections.MOST
    text = connections.render("uid-b", {"a": found})
    assert connections.parse(text, "uid-b", "a", [OWN]) == found
