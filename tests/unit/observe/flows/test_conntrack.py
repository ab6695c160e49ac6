"""Open vSwitch's dump of its connection tracker, as guests may have filled it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.observe.flows import bounds, conntrack
from weft.observe.flows.sighting import Side, Sighting, ZonePort

WEB = ZonePort("web", "blue", "team/web", "0a:58:0a:01:00:06", ("10.1.0.6", "fd01::6"), True)
DB = ZonePort("db", "blue", "team/db", "0a:58:0a:01:00:07", ("10.1.0.7",), True)
OPEN = ZonePort("open", "flat", "team/open", "0a:58:00:00:00:08", (), True)
ZONES = {5: WEB, 6: DB, 7: OPEN}


def entry(
    protocol: str = "tcp",
    source: str = "10.1.0.7",
    to: str = "10.1.0.6",
    sport: int = 40000,
    port: int = 443,
    zone: int = 5,
    rest: str = ",protoinfo=(state=ESTABLISHED)",
    counts: str = "",
) -> str:
    return (
        f"{protocol},orig=(src={source},dst={to},sport={sport},dport={port}{counts}),"
        f"reply=(src={to},dst={source},sport={port},dport={sport}{counts}),zone={zone}{rest}"
    )


def read(*lines: str) -> list[Sighting]:
    return list(conntrack.sightings("\n".join(lines), ZONES, 7.0))


def test_connections_from_many_client_ports_are_one_sighting() -> None:
    (found,) = read(*(entry(sport=40000 + number) for number in range(30)))
    assert (found.source, found.target) == (Side("", "10.1.0.7"), Side("web", "10.1.0.6"))
    assert (found.protocol, found.port, found.connections) == ("TCP", 443, 30)
    assert (found.passes, found.at, found.network, found.last) == (True, "web", "blue", 7.0)


@pytest.mark.parametrize(
    ("zone", "rest", "passes"),
    [
        (5, ",protoinfo=(state=SYN_SENT)", True),  # let in at the target
        (6, ",protoinfo=(state=SYN_SENT)", None),  # left the source, and nothing more is known
        (6, ",protoinfo=(state=ESTABLISHED)", True),  # the target has answered
        (5, ",mark=1,protoinfo=(state=ESTABLISHED)", False),  # an ACL has forbidden it since
        (5, ",mark=2,protoinfo=(state=ESTABLISHED)", True),
    ],
)
def test_whether_it_arrives_is_seen_at_the_target_or_by_an_answer(
    zone: int, rest: str, passes: bool | None
) -> None:
    (found,) = read(entry(zone=zone, rest=rest))
    assert found.passes is passes


def test_other_zones_and_other_lines_are_skipped() -> None:
    assert read(entry(zone=9), "", "nonsense", "tcp,orig=(src=10.1.0.7", entry(source="zone")) == []
    assert read(entry().replace(",zone=5", "")) == []


def test_icmp_and_ipv6_are_read() -> None:
    four, six = read(
        "icmp,orig=(src=10.1.0.7,dst=10.1.0.6,id=1,type=8,code=0),"
        "reply=(src=10.1.0.6,dst=10.1.0.7,id=1,type=0,code=0),zone=5",
        "icmpv6,orig=(src=fd01::7,dst=fd01::6,id=1,type=128,code=0),"
        "reply=(src=fd01::6,dst=fd01::7,id=1,type=129,code=0),zone=5",
    )
    assert (four.protocol, four.port, four.family) == ("ICMP", None, 4)
    assert (six.protocol, six.target, six.family) == ("ICMP", Side("web", "fd01::6"), 6)


def test_packets_of_both_directions_are_summed_where_they_are_counted() -> None:
    (found,) = read(*(entry(sport=n, counts=",packets=3,bytes=300") for n in (1, 2)))
    assert (found.packets, found.bytes) == (12, 1200)
    assert read(entry())[0].packets is None


def test_an_address_that_weft_gave_nobody_stays_one() -> None:
    (found,) = read(entry(source="10.9.9.9", to="10.9.9.8", zone=7))
    assert (found.source.port, found.target.port, found.at) == ("", "", "open")


def test_a_scan_is_summed_up_and_crowds_nobody_out() -> None:
    scan = [entry(port=number, rest=",protoinfo=(state=SYN_SENT)") for number in range(1, 60_000)]
    other = entry(source="10.1.0.6", to="10.1.0.7", port=80, zone=6)
    kept, left_off = bounds.bounded(read(*scan, other))
    assert left_off == 0
    assert len(kept) == bounds.PORTS + 2
    assert sum(each.connections or 0 for each in kept) == 60_000
    (summed,) = (each for each in kept if each.more)
    assert (summed.more, summed.port) == (59_999 - bounds.PORTS, None)
    assert [each.port for each in kept if each.at == "db"] == [80]


def test_a_flood_from_made_up_addresses_is_summed_up() -> None:
    flood = [
        entry(source=f"10.{n >> 8 & 255}.{n & 255}.1", sport=n % 60_000, port=80)
        for n in range(30_000)
    ]
    kept, left_off = bounds.bounded(read(*flood))
    assert (len(kept), left_off) == (bounds.SOURCES + 1, 0)
    assert sum(each.connections or 0 for each in kept) == 30_000


ALPHABET = st.sampled_from(
    [*"(),=:./0123456789abcdef\n", "tcp", ",orig=(src=", ",dst=", ",reply=(", ",zone=5", "state="]
)


@given(st.lists(ALPHABET, max_size=60).map("".join))
def test_any_text_is_read(text: str) -> None:
    for each in conntrack.sightings(text, ZONES, 0.0):
        assert each.network in ("blue", "flat")


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 90)), max_size=400), st.integers(1, 9))
def test_bounds_lose_nothing_that_they_do_not_count(
    asked: list[tuple[int, int]], most: int
) -> None:
    found = read(*(entry(source=f"10.2.0.{source}", port=port) for source, port in asked))
    kept, left_off = bounds.bounded(found, most)
    assert len(kept) <= most
    if not left_off:
        assert sum(each.connections or 0 for each in kept) == len(asked)
        assert sum(each.more or 1 for each in kept) == len(found)


def test_a_long_line_takes_no_long_time() -> None:
    """Each line is read in one way only: what does not match is given up at once."""
    text = "tcp,orig=(src=" + "1" * 200_000
    assert read(text, entry()) == read(entry())
