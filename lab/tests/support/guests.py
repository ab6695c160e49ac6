"""Two guests beside each other in namespaces of their own, on a bridge with a DHCP server.

Run as a program inside the namespaces; prints what was seen as JSON. The fixture starts it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from tests.support.objects import Object, nic, vmi
from weft_lab.runtime import toolchain
from weft_lab.vm import agentclient, launcher, machine

ROOT = Path(__file__).parents[3]
DHCPD = """
start 10.9.0.10
end 10.9.0.20
interface br0
lease_file {folder}/leases
pidfile {folder}/udhcpd.pid
option subnet 255.255.255.0
option mtu 1300
option lease 600
"""
# Router advertisement: lifetime 0, flags managed and other; prefix fd09::/64 on-link, no SLAAC.
ADVERTISEMENT = (
    bytes.fromhex("8600000040c000000000000000000000")
    + bytes.fromhex("0304408000000e1000000e1000000000")
    + bytes.fromhex("fd090000000000000000000000000000")
)
USER_DATA = """#cloud-config
hostname: first
user: fedora
password: "it's secret"
chpasswd: {expire: false}
write_files:
- path: /etc/weft/note
  content: hello
  permissions: '0640'
bootcmd:
- echo early > /root/boot
runcmd:
- [sh, -c, 'ip -4 addr show eth0 > /root/running && mv /root/running /root/ran']
- mkdir -p /var/www && echo page > /var/www/index.html && httpd -h /var/www
"""
# Addresses beside a lease, and a route that only the lease makes possible. The MAC has no quotes.
NETWORK_DATA = """
version: 2
ethernets:
  lan:
    match: {macaddress: 52:54:00:12:34:56}
    set-name: lan0
    dhcp4: true
    addresses: [172.16.9.9/24, "fd09::30/64"]
    routes:
    - to: 10.77.0.0/16
      via: 10.9.0.1
    nameservers: {addresses: [10.9.9.9], search: [x.example]}
"""


def instance(name: str, network: str, user: str = "", data: str = "") -> Object:
    """A VirtualMachineInstance with one bridged card."""
    seed = {"name": "seed", "cloudInitNoCloud": {"userData": user, "networkData": data}}
    made = vmi(
        name,
        nic(network, "nad"),
        terminationGracePeriodSeconds=10,
        domain={"resources": {"requests": {"memory": "192Mi"}}},
        volumes=[seed],
    )
    made["metadata"]["uid"] = f"uid-{name}"
    return made


def wire(ip: IPRoute, bridge: int, network: str, mac: str) -> None:
    """What a CNI plugin leaves: the pod's interface with an address, its peer on the bridge."""
    pod = machine.pod_interface(network)
    ip.link("add", ifname=pod, kind="veth", peer=f"p-{network}", address=mac, mtu=1300)
    (inner,), (outer,) = ip.link_lookup(ifname=pod), ip.link_lookup(ifname=f"p-{network}")
    ip.addr("add", index=inner, address="10.9.0.99", prefixlen=24)
    ip.link("set", index=inner, state="up")
    ip.link("set", index=outer, state="up", master=bridge)


async def start(vmi: dict[str, Any], folder: Path) -> asyncio.subprocess.Process:
    """A launcher whose machine runs; its sockets are there."""
    command = [sys.executable, "-m", "weft_lab.vm.launcher", "--run-folder", str(folder)]
    env = {**os.environ, "WEFT_VMI": json.dumps(vmi)}
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert "runs under" in line, line
    return process


def agent_of(folder: Path, name: str) -> agentclient.Agent:
    return agentclient.Agent(launcher.folder("default", name, folder) / "agent.sock", deadline=300)


async def until(agent: agentclient.Agent, command: str) -> str:
    """The output of a command in the guest, as soon as it succeeds there."""
    script = f'until out=$({command}); do sleep 0.2; done; echo "$out"'
    return (await agent.execute("sh", "-c", script)).text.strip()


async def log_in(folder: Path, user: str, password: str) -> str:
    """What the serial console answers to a login and `id -un`."""
    path = launcher.folder("default", "first", folder) / "serial.sock"
    reader, writer = await asyncio.open_unix_connection(path)
    seen = ""
    async with asyncio.timeout(60):
        for prompt, answer in (
            ("", "\n"),
            ("login: ", f"{user}\n"),
            ("assword: ", f"{password}\n"),
            ("$ ", "id -un\n"),
            ("$ ", ""),
        ):
            while prompt not in seen:
                seen += (await reader.read(4096)).decode(errors="replace")
            writer.write(answer.encode())
            seen = seen if not answer else ""
    writer.close()
    return seen


async def advertise() -> None:
    """One router advertisement out of br0, as soon as its own address is ready."""
    index = socket.if_nametoindex("br0")
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        raw.sendto(ADVERTISEMENT, ("ff02::1", 0, 0, index))


def prepare() -> None:
    """The bridge and two pods' worth of interfaces."""
    with IPRoute() as ip:
        ip.link("set", index=1, state="up")
        ip.link("add", ifname="br0", kind="bridge")
        (bridge,) = ip.link_lookup(ifname="br0")
        ip.addr("add", index=bridge, address="10.9.0.1", prefixlen=24)
        ip.link("set", index=bridge, state="up")
        wire(ip, bridge, "one", "0a:58:0a:09:00:0a")
        wire(ip, bridge, "two", "52:54:00:12:34:56")


def addresses_left() -> int:
    """How many addresses the first pod's interface still has."""
    with IPRoute() as ip:
        (inner,) = ip.link_lookup(ifname=machine.pod_interface("one"))
        return len(list(ip.get_addr(index=inner)))


async def scenario(folder: Path) -> dict[str, Any]:
    tools = toolchain.ensure()
    (folder / "leases").touch()
    (folder / "udhcpd.conf").write_text(DHCPD.format(folder=folder))
    server = await asyncio.create_subprocess_exec(
        *(tools.program("busybox"), "udhcpd", "-f", str(folder / "udhcpd.conf")), stdout=sys.stderr
    )
    processes = [
        await start(instance("first", "one", USER_DATA), folder),
        await start(instance("second", "two", "", NETWORK_DATA), folder),
    ]
    seen: dict[str, Any] = {}
    async with agent_of(folder, "first") as agent:
        seen["hostname"] = await agent.hostname()
        seen["lease"] = await until(agent, "ip -4 addr show eth0 | grep 'inet 10.9.0'")
        seen["link"] = await until(agent, "ip link show eth0")
        seen["note"] = await until(agent, "cat /etc/weft/note; stat -c ' %a' /etc/weft/note")
        seen["boot"] = await until(agent, "cat /root/boot")
        seen["ran"] = await until(agent, "cat /root/ran")
        seen["routes"] = await until(agent, "ip route")
        seen["interfaces"] = [one.__repr__() for one in await agent.interfaces()]
        await advertise()
        seen["dhcp6"] = await until(agent, "pidof udhcpc6 && ip -6 route")
        user = "ping -c 1 -w 10 10.9.0.1 && id -un && su -c 'id -un'"
        seen["user"] = await until(agent, f'su fedora -c "{user}"')
    seen["console"] = await log_in(folder, "fedora", "it's secret")
    async with agent_of(folder, "second") as agent:
        lease = seen["lease"].split()[1].partition("/")[0]
        await until(agent, "ip route | grep '^10.77.0.0/16'")
        seen["static"] = await until(agent, "ip addr show lan0; ip route; cat /etc/resolv.conf")
        seen["ping"] = await until(agent, f"ping -c 2 -w 10 {lease}")
        seen["curl"] = await until(agent, f"curl -sS -m 20 http://{lease}/")
    for process in processes:
        process.terminate()
    seen["ends"] = [await process.wait() for process in processes]
    server.terminate()
    await server.wait()
    return seen


if __name__ == "__main__":
    place = Path(sys.argv[1])
    prepare()
    result = asyncio.run(scenario(place))
    result["left on the pod"] = addresses_left()
    (place / "seen.json").write_text(json.dumps(result))
