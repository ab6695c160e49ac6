"""What the demo of live migration makes of a ping."""

from __future__ import annotations

from weft_lab.demos.migrate import Pings, pings

TEXT = """PING 10.77.0.4 (10.77.0.4): 56 data bytes
64 bytes from 10.77.0.4: seq=0 ttl=64 time=1.0 ms
64 bytes from 10.77.0.4: seq=3 ttl=64 time=1.0 ms
64 bytes from 10.77.0.4: seq=4 ttl=64 time=1.0 ms
64 bytes from 10.77.0.4: seq=4 ttl=64 time=1.0 ms (DUP!)

--- 10.77.0.4 ping statistics ---
7 packets transmitted, 3 packets received, 57% packet loss
"""


def test_losses_are_counted_and_the_longest_run_of_them() -> None:
    assert pings(TEXT) == Pings(sent=7, lost=4, longest=2)
    assert str(pings(TEXT)) == "4 of 7 lost, 100 ms in a row"


def test_without_losses_there_is_no_run() -> None:
    assert str(pings("seq=0 \nseq=1 \n2 packets transmitted")) == "0 of 2 lost"


def test_a_ping_that_did_not_run_sent_nothing() -> None:
    assert pings("") == Pings(0, 0, 0)
