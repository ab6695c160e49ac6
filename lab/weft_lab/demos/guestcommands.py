"""Runs in a guest what demos check by, and reads what it says."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from weft_lab.demos.machines import Machine
from weft_lab.vm.agentclient import Outcome

Run = Callable[..., Awaitable[Outcome]]  # (machine, *argv) in the guest


@dataclass(frozen=True, slots=True)
class Lease:
    """An address that a DHCP server gave; both are empty without one."""

    address: str = ""
    server: str = ""


async def lease(machine: Machine, device: str, run: Run) -> Lease:
    """Ask for a lease once more; the guest goes on with the one that it has."""
    done = await run(
        machine, "udhcpc", "-f", "-n", "-q", "-t", "5", "-i", device, "-s", "/bin/true"
    )
    found = re.search(r"lease of (\S+) obtained from ([^\s,]+)", printed(done))
    return Lease(found[1], found[2]) if found else Lease()


def printed(done: Outcome) -> str:
    return (done.output + done.errors).decode(errors="replace")


def summary(text: str) -> str:
    """ping's line of counts."""
    found = re.search(
        r"(\d+) packets transmitted, (\d+) packets received, (\d+%) packet loss", text
    )
    if found is None:
        return text.strip().rpartition("\n")[2]
    return f"{found[2]} of {found[1]} answered, {found[3]} lost"
