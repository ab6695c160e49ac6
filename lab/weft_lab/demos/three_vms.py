"""The three-VM demo: each claim is checked from inside the guests.

`client` in one namespace and `web1`, `web2` in another share the network; `outsider` is not on it.
Each check yields one `Verdict` for each guest or pair; the command prints them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from ipaddress import ip_address, ip_network

from weft_lab import externalhost, spec
from weft_lab.demos.guestcommands import Run, lease, printed, summary
from weft_lab.demos.machines import Machine
from weft_lab.demos.verdict import Verdict

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

GATEWAY = "10.0.2.1"  # what masquerade shows a guest as its way out
MASQUERADED = "10.0.2.2/24"  # and as its own address
OUTSIDE = f"http://{spec.on_underlay(spec.OUTSIDE_HOST)[0].ip}/"


def _pair(machine: Machine, peer: Machine) -> str:
    return f"{machine.name} > {peer.name}"


async def check(
    vms: Mapping[str, Machine], run: Run, gateways: Mapping[str, str]
) -> AsyncIterator[Verdict]:
    """All claims, in the order in which a newcomer would ask. `vms` by "namespace/name".

    `gateways` are the nodes' addresses towards the outside; none where pods have no way there.
    """
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
    for machine in members if gateways else ():
        yield await _leaves(machine, gateways[machine.node], run)
    for peer in members:
        yield await _silent(vms[OUTSIDER], peer, run)
    yield await _forged_sender(vms[MEMBERS[1]], vms[MEMBERS[0]], vms[MEMBERS[2]], run)


def _pairs(members: Sequence[Machine]) -> list[tuple[Machine, Machine]]:
    return [(one, other) for one in members for other in members if one is not other]


def _device(machine: Machine) -> str:
    nic = machine.nic(NETWORK)
    return nic.device if nic and nic.device else "eth1"


async def _leased(machine: Machine, run: Run) -> Verdict:
    """Ask OVN's DHCP server again, and compare with what the guest uses."""
    address = machine.address(NETWORK)
    leased = (await lease(machine, _device(machine), run)).address
    holds = bool(leased) and leased == address and ip_address(leased) in SUBNET
    seen = f"{leased} of {SUBNET}" if leased else "no lease"
    if leased != address:
        seen += f", but the guest has {address or 'none'}"
    return Verdict("leased by DHCP", machine.name, holds, seen)


async def _mtu(machine: Machine, run: Run) -> Verdict:
    read = await run(machine, "cat", f"/sys/class/net/{_device(machine)}/mtu")
    value = read.text.strip()
    return Verdict(f"MTU {MTU} in the guest", machine.name, value == str(MTU), value)


async def _pings(machine: Machine, peer: Machine, run: Run) -> Verdict:
    """Ping with packets of the full MTU, which a path with a smaller MTU drops."""
    size = str(MTU - 28)  # IPv4 and ICMP headers
    address = peer.address(NETWORK)
    done = await run(machine, "ping", "-c", "3", "-W", "2", "-s", size, address)
    seen = summary(printed(done))
    return Verdict("ping", _pair(machine, peer), seen.endswith(", 0% lost"), seen)


async def _serves(machine: Machine, peer: Machine, page: str, run: Run) -> Verdict:
    url = f"http://{peer.address(NETWORK)}/"
    done = await run(machine, "curl", "-sS", "-m", "10", url)
    seen = re.sub(r"<[^>]*>", "", (done.output or done.errors).decode(errors="replace")).strip()
    return Verdict("curl", _pair(machine, peer), seen == page, seen)


async def _leaves(machine: Machine, gateway: str, run: Run) -> Verdict:
    """The first NIC's address is the guest's alone; the outside sees the node's gateway."""
    nic = next((nic for nic in machine.nics if nic.binding == "masquerade"), None)
    device = (nic.device if nic else "") or "eth0"
    shown = await run(machine, "ip", "-4", "addr", "show", "dev", device)
    found = re.search(r"inet (\S+)", shown.text)
    own = found[1] if found else "no address"
    done = await run(machine, "curl", "-sS", "-m", "10", "--interface", device, OUTSIDE)
    response = (done.output or done.errors).decode(errors="replace").strip()
    holds = own == MASQUERADED and response == f"{externalhost.GREETING}, {gateway}"
    return Verdict("curl outside", f"{machine.name} {device}", holds, f"from {own}: {response}")


async def _silent(outsider: Machine, peer: Machine, run: Run) -> Verdict:
    """A ping without answer; a ping of its own gateway with one is the control.

    busybox' ping may not end where it receives errors, hence `timeout`.
    """
    address = peer.address(NETWORK)
    control = await run(outsider, "timeout", "6", "ping", "-c", "1", "-W", "4", GATEWAY)
    done = await run(outsider, "timeout", "4", "ping", "-c", "2", "-W", "1", address)
    answered, works = " bytes from " in done.text, " bytes from " in control.text
    response = "an answer" if answered else "no answer"
    seen = f"{response}; its own gateway {'answers' if works else 'is silent'}"
    return Verdict(
        "no answer to an outsider",
        _pair(outsider, peer),
        bool(address) and works and not answered,
        seen,
    )


async def _forged_sender(liar: Machine, victim: Machine, witness: Machine, run: Run) -> Verdict:
    """`liar` sends with `victim`'s address; `witness` counts the echo requests it hears.

    The pings with its own address before are the control.
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
    seen = f"{honest - before} of 2 true packets arrived, {after - honest} of 3 forged"
    holds = honest - before == 2 and after == honest
    return Verdict(
        "forged sender dropped",
        _pair(liar, witness),
        holds,
        seen,
    )


async def _echoes(machine: Machine, run: Run) -> int:
    """Echo requests received since boot (the InEchos column of /proc/net/snmp)."""
    text = (await run(machine, "cat", "/proc/net/snmp")).text
    names, values = (line.split() for line in text.splitlines() if line.startswith("Icmp:"))
    return int(values[names.index("InEchos")])
