"""Makes the commands by which a guest probes, and reads their outcomes. Pure.

Guests have ping and curl; curl sends UDP by TFTP. No common program sends SCTP.
"""

from __future__ import annotations

import math

from weft.observe.reach import ProbeResult
from weft.policy import netpolicy
from weft_lab.vm.agentclient import Outcome

REFUSED = "Connection refused"


def command(
    question: netpolicy.Connection, patience: float, device: str, *, size: int = 0
) -> tuple[str, ...]:
    """What to run for a connection to `question.target`; empty where a guest cannot.

    `size`: bytes of a ping's packet with its IP header, 0 for ping's own.
    """
    address = str(question.target)
    is_six = ":" in address
    seconds = str(math.ceil(patience))
    is_local = address.startswith("fe80:")
    if question.protocol is None:
        scoped = f"{address}%{device}" if is_local else address
        data = ("-s", str(size - (48 if is_six else 28))) if size else ()
        return ("timeout", seconds, "ping", "-6" if is_six else "-4", "-c", "1", *data, scoped)
    scoped = f"{address}%25{device}" if is_local else address
    url = f"[{scoped}]:{question.port}" if is_six else f"{scoped}:{question.port}"
    curl = ("curl", "-sv", "-g", "--noproxy", "*", "-m", seconds, "-o", "/dev/null")
    if question.protocol is netpolicy.Protocol.TCP:
        return (*curl, "-w", "%{time_connect}", f"http://{url}/")
    if question.protocol is netpolicy.Protocol.UDP:
        return (*curl, f"tftp://{url}/weft")
    return ()


def seen(question: netpolicy.Connection, done: Outcome) -> ProbeResult:
    """What the command's outcome says; what only arrived is for the target to tell."""
    if question.protocol is None:
        return ProbeResult.ANSWERED if done.status == 0 else ProbeResult.SILENT
    if question.protocol is netpolicy.Protocol.TCP:
        connected = done.text.strip().strip("0.,") != ""
        refused = REFUSED.encode() in done.errors
        return ProbeResult.ANSWERED if connected or refused else ProbeResult.SILENT
    return ProbeResult.SILENT
