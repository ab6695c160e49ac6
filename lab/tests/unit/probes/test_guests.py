from ipaddress import ip_address

import pytest

from weft.observe.reach import ProbeResult
from weft.policy import netpolicy
from weft_lab.probes import guests
from weft_lab.vm.agentclient import Outcome

TCP, UDP, SCTP = netpolicy.Protocol.TCP, netpolicy.Protocol.UDP, netpolicy.Protocol.SCTP


def asked(protocol: netpolicy.Protocol | None, address: str, port: int = 0) -> netpolicy.Connection:
    return netpolicy.Connection(protocol, port, target=ip_address(address))


@pytest.mark.parametrize(
    ("question", "end"),
    [
        (asked(None, "10.9.0.2"), "timeout 3 ping -4 -c 1 10.9.0.2"),
        (asked(None, "fd09::2"), "timeout 3 ping -6 -c 1 fd09::2"),
        (asked(None, "fe80::2"), "timeout 3 ping -6 -c 1 fe80::2%eth0"),
        (asked(TCP, "10.9.0.2", 80), "http://10.9.0.2:80/"),
        (asked(TCP, "fd09::2", 80), "http://[fd09::2]:80/"),
        (asked(TCP, "fe80::2", 80), "http://[fe80::2%25eth0]:80/"),
        (asked(UDP, "10.9.0.2", 53), "tftp://10.9.0.2:53/weft"),
    ],
)
def test_commands(question: netpolicy.Connection, end: str) -> None:
    assert " ".join(guests.command(question, 2.5, "eth0")).endswith(end)


def test_no_common_command_sends_sctp() -> None:
    assert guests.command(asked(SCTP, "10.9.0.2", 9), 2.0, "eth0") == ()


@pytest.mark.parametrize(
    ("protocol", "outcome", "seen"),
    [
        (None, Outcome(0, b""), ProbeResult.ANSWERED),
        (None, Outcome(143, b""), ProbeResult.SILENT),
        (TCP, Outcome(0, b"0.001931"), ProbeResult.ANSWERED),
        (TCP, Outcome(28, b"0.5"), ProbeResult.ANSWERED),  # connected, and then silence
        (
            TCP,
            Outcome(7, b"0.000000", b"* connect failed: Connection refused"),
            ProbeResult.ANSWERED,
        ),
        (TCP, Outcome(28, b"0.000000", b"* Connection timed out"), ProbeResult.SILENT),
        (
            TCP,
            Outcome(7, b"0.000000", b"* connect failed: Host is unreachable"),
            ProbeResult.SILENT,
        ),
        (UDP, Outcome(28, b""), ProbeResult.SILENT),
    ],
)
def test_what_an_outcome_says(
    protocol: netpolicy.Protocol | None, outcome: Outcome, seen: ProbeResult
) -> None:
    assert guests.seen(asked(protocol, "10.9.0.2", 80), outcome) is seen
