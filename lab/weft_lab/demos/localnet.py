"""The demo of a physical network: machines in a VLAN use a database outside of the cluster.

The VLAN's host is no part of the cluster, and has a DHCP server of its own. `till` has its address
from that, `stock` from weft. The control: `stray` has an address of the same subnet in another
VLAN, and reaches nobody.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from ipaddress import ip_address, ip_network

from weft_lab import spec
from weft_lab.demos.guestcommands import Run, lease, printed, summary
from weft_lab.demos.machines import Machine
from weft_lab.demos.verdict import Verdict
from weft_lab.runtime import rack

NAME = "localnet"
VLAN = spec.Vlan(20)
NIC = "rack"  # as the machines' manifests call it
LEASING, ASSIGNED, STRAY = "default/till", "default/stock", "default/stray"
HOST, HOST_6 = (str(each.ip) for each in VLAN.addresses)
OVN = "169.254.1.1"  # what OVN's DHCP calls itself
ASSIGNABLE = ip_network("192.168.20.128/25")

Outside = Callable[..., Awaitable[str]]  # (*argv): what it says on the VLAN's host


async def check(vms: Mapping[str, Machine], run: Run, outside: Outside) -> AsyncIterator[Verdict]:
    """All claims, in the order in which a newcomer would ask. `vms` by "namespace/name"."""
    till, stock, stray = vms[LEASING], vms[ASSIGNED], vms[STRAY]
    yield await _leased(till, HOST, run)
    yield await _leased(stock, OVN, run)
    for machine, other in ((till, stock), (stock, till)):
        yield await _writes(machine, run)
        yield await known_by_its_own_address(machine, run)
        if other is till:
            yield await _reads(machine, other, run)
    yield await _pings(till, VLAN.host, HOST_6, run)
    yield await _pings(till, stock.name, stock.address(NIC), run)
    for machine in (till, stock):
        yield await _reached(machine, outside)
    yield await silent(stray, till, run)
    yield await unreached(stray, till, outside)


def _device(machine: Machine) -> str:
    nic = machine.nic(NIC)
    return nic.device if nic and nic.device else "eth0"


def is_right(address: str, server: str, expected: str) -> bool:
    """Whether this address is one that the `expected` server leases, and came from there."""
    if not address or server != expected:
        return False
    if expected == OVN:
        return ip_address(address) in ASSIGNABLE
    first, last = VLAN.leases[0]
    return int(ip_address(first)) <= int(ip_address(address)) <= int(ip_address(last))


async def _leased(machine: Machine, server: str, run: Run) -> Verdict:
    found = await lease(machine, _device(machine), run)
    whose = {HOST: f"{VLAN.host}'s server", OVN: "weft"}
    seen = f"{found.address} from {whose.get(found.server, found.server)}"
    holds = is_right(found.address, found.server, server)
    if found.address != machine.address(NIC):
        holds, seen = False, f"{seen}, but the guest has {machine.address(NIC) or 'none'}"
    claim = "leased by the VLAN's server" if server == HOST else "leased by weft"
    return Verdict(claim, machine.name, holds, seen if found.address else "no lease")


async def _ask(machine: Machine, run: Run, *commands: str) -> str:
    """What the database answers, line by line; nothing if it does not answer."""
    asked = "".join(f"{command}\\r\\n" for command in (*commands, "QUIT"))
    line = f"printf '{asked}' | timeout 8 nc -w 4 {HOST} {rack.DATABASE_PORT}"
    return printed(await run(machine, "sh", "-c", line)).replace("\r", "")


async def _writes(machine: Machine, run: Run) -> Verdict:
    answer = await _ask(machine, run, f"SET {machine.name} here")
    seen = answer.partition("\n")[0] or "no answer"
    return Verdict("writes to the database", f"{machine.name} > {HOST}", seen == "+OK", seen)


async def known_by_its_own_address(machine: Machine, run: Run) -> Verdict:
    """The database names who is connected: nothing between translates addresses."""
    found = re.search(r"\baddr=(\S+):\d+ ", await _ask(machine, run, "CLIENT LIST"))
    seen = found[1] if found else "no answer"
    own = machine.address(NIC)
    where = f"{machine.name} > {HOST}"
    return Verdict("known by its own address", where, bool(own) and seen == own, seen)


async def _reads(machine: Machine, other: Machine, run: Run) -> Verdict:
    answer = await _ask(machine, run, f"GET {other.name}")
    lines = answer.split("\n")
    seen = lines[1] if lines[0].startswith("$4") else lines[0] or "no answer"
    where = f"{machine.name} > {HOST}"
    return Verdict(f"reads what {other.name} wrote", where, seen == "here", seen)


async def _pings(machine: Machine, name: str, address: str, run: Run) -> Verdict:
    """With packets of the physical network's full MTU."""
    headers = 48 if ":" in address else 28
    size = str(1500 - headers)
    done = await run(machine, "ping", "-c", "3", "-W", "2", "-s", size, address)
    seen = summary(printed(done))
    where = f"{machine.name} > {name}"
    claim = "ping, IPv6" if ":" in address else "ping"
    return Verdict(claim, where, seen.endswith(", 0% lost"), seen)


async def _reached(machine: Machine, outside: Outside) -> Verdict:
    text = await outside("busybox", "ping", "-c", "3", "-W", "2", machine.address(NIC))
    seen = summary(text)
    return Verdict("ping", f"{VLAN.host} > {machine.name}", seen.endswith(", 0% lost"), seen)


async def silent(stray: Machine, control: Machine, run: Run) -> Verdict:
    answer = await _ask(stray, run, "PING")
    works = "+PONG" in await _ask(control, run, "PING")
    response = "an answer" if "+PONG" in answer else "no answer"
    seen = f"{response}; {control.name} has {'one' if works else 'none'}"
    holds = works and "+PONG" not in answer and bool(stray.address(NIC))
    return Verdict("no database in another VLAN", f"{stray.name} > {HOST}", holds, seen)


async def unreached(stray: Machine, control: Machine, outside: Outside) -> Verdict:
    async def answers(machine: Machine) -> bool:
        address = machine.address(NIC)
        text = await outside("busybox", "ping", "-c", "2", "-W", "1", address)
        return " bytes from " in text

    reached, works = await answers(stray), await answers(control)
    response = "an answer" if reached else "no answer"
    seen = f"{response}; {control.name} {'answers' if works else 'is silent'}"
    where = f"{VLAN.host} > {stray.name}"
    holds = works and not reached and bool(stray.address(NIC))
    return Verdict("no answer from another VLAN", where, holds, seen)
