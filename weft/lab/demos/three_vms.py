"""Does the three-VM demo do what it shows? Every claim is checked from inside the guests.

`client` in one namespace and `web1`, `web2` in another share the network; `outsider` is not on it.
Each check yields one `Verdict` for each guest or pair; how they are shown is the command's affair.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from weft.lab.demos.machines import Machine
from weft.lab.vm.agentclient import Outcome

NAME = "three-vms"
NETWORK = "overlay"  # as the VMs' manifests call it
SUBNET = ip_network("10.100.200.0/24")
MTU = 1300
MEMBERS = ("default/client", "nico-demo-vm/web1", "nico-demo-vm/web2")
OUTSIDER = "default/outsider"
PAGES = {
    "nico-demo-vm/web1": "Welcome to CIC demo - Server 1",
    "nico-demo-vm/web2": "Welcome to CIC demo - Server 2",
}

Run = Callable[..., Awaitable[Outcome]]  # (machine, *argv) in the guest


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the demo's table."""

    claim: str
    where: str
    holds: bool
    seen: str


async def check(vms: Mapping[str, Machine], run: Run) -> AsyncIterator[Verdict]:
    """All claims, in the order in which a newcomer would ask. `vms` by "namespace/name"."""
    members = [vms[key] for key in MEMBERS]
    for machine in members:
        yield await _leased(machine, run)
        yield await _mtu(machine, run)
    for machine, peer in _pairs(members):
        yield await _pings(machine, peer, run)
    for machine in members:
        for key, page in PAGES.items():
            if machine.key != key:
                yield await _serves(machine, vms[key], page, run)
    for peer in members:
        yield await _silent(vms[OUTSIDER], peer, run)
    yield await _unheard(vms[MEMBERS[1]], vms[MEMBERS[0]], vms[MEMBERS[2]], run)


def _pairs(members: Sequence[Machine]) -> list[tuple[Machine, Machine]]:
    return [(one, other) for one in members for other in members if one is not other]


def _device(machine: Machine) -> str:
    nic = machine.nic(NETWORK)
    return nic.device if nic and nic.device else "eth1"


async def _leased(machine: Machine, run: Run) -> Verdict:
    """Ask OVN's DHCP server again, and compare with what the guest uses."""
    address = machine.address(NETWORK)
    device = _device(machine)
    asked = await run(
        machine, "udhcpc", "-f", "-n", "-q", "-t", "5", "-i", device, "-s", "/bin/true"
    )
    said = (asked.output + asked.errors).decode(errors="replace")
    lease = re.search(r"lease of (\S+) obtained", said)
    leased = lease.group(1) if lease else ""
    holds = bool(leased) and leased == address and ip_address(leased) in SUBNET
    seen = f"{leased or 'no lease'}, the guest has {address or 'none'}"
    return Verdict(f"address leased by DHCP from {SUBNET}", machine.key, holds, seen)


async def _mtu(machine: Machine, run: Run) -> Verdict:
    read = await run(machine, "cat", f"/sys/class/net/{_device(machine)}/mtu")
    value = read.text.strip()
    return Verdict(f"MTU {MTU} in the guest", machine.key, value == str(MTU), value)


async def _pings(machine: Machine, peer: Machine, run: Run) -> Verdict:
    """Packets of the full MTU, so that a path which carries less shows."""
    size = str(MTU - 28)  # IPv4 and ICMP headers
    address = peer.address(NETWORK)
    done = await run(machine, "ping", "-c", "3", "-W", "2", "-s", size, address)
    seen = _summary(done)
    return Verdict("ping", f"{machine.key} to {peer.key}", "0% packet loss" in seen, seen)


async def _serves(machine: Machine, peer: Machine, page: str, run: Run) -> Verdict:
    url = f"http://{peer.address(NETWORK)}/"
    done = await run(machine, "curl", "-sS", "-m", "10", url)
    seen = re.sub(r"<[^>]*>", "", (done.output or done.errors).decode(errors="replace")).strip()
    return Verdict("curl", f"{machine.key} to {peer.key}", seen == page, seen)


async def _silent(outsider: Machine, peer: Machine, run: Run) -> Verdict:
    address = peer.address(NETWORK)
    done = await run(outsider, "ping", "-c", "2", "-W", "1", address)
    seen = _summary(done)
    holds = bool(address) and "100% packet loss" in seen
    return Verdict("not on the network: no answer", f"{outsider.key} to {peer.key}", holds, seen)


async def _unheard(liar: Machine, victim: Machine, witness: Machine, run: Run) -> Verdict:
    """`liar` sends with `victim`'s address; `witness` counts the echo requests it hears.

    The honest pings before prove that counting works.
    """
    target, stolen, device = witness.address(NETWORK), victim.address(NETWORK), _device(liar)
    before = await _echoes(witness, run)
    await run(liar, "ping", "-c", "2", "-W", "2", target)
    honest = await _echoes(witness, run)
    await run(liar, "ip", "addr", "add", f"{stolen}/32", "dev", device)
    try:
        await run(liar, "ping", "-c", "3", "-W", "1", "-I", stolen, target)
        after = await _echoes(witness, run)
    finally:
        await run(liar, "ip", "addr", "del", f"{stolen}/32", "dev", device)
    seen = f"{honest - before} of 2 honest requests heard, {after - honest} of 3 forged ones"
    holds = honest - before == 2 and after == honest
    return Verdict(
        "a forged sender address is not heard",
        f"{liar.key} as {victim.name} to {witness.key}",
        holds,
        seen,
    )


async def _echoes(machine: Machine, run: Run) -> int:
    """Echo requests received since boot (the InEchos column of /proc/net/snmp)."""
    text = (await run(machine, "cat", "/proc/net/snmp")).text
    names, values = (line.split() for line in text.splitlines() if line.startswith("Icmp:"))
    return int(values[names.index("InEchos")])


def _summary(done: Outcome) -> str:
    """ping's line of counts."""
    text = (done.output + done.errors).decode(errors="replace")
    found = re.search(r"\d+ packets transmitted.*", text)
    return found.group(0) if found else text.strip().rpartition("\n")[2]
