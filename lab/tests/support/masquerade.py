"""Two guests behind the addresses of their pods, and a world around them.

Run as a program inside namespaces of its own; prints what was seen as JSON. The fixture starts it.
The guest `open` names no ports; `closed` names TCP 80 and UDP 9999, and chooses its own network.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from lab.tests.support.guests import agent_of, until
from weft.host import netns
from weft_lab.vm import agentclient, machine

POD = {"open": ("10.9.0.5", "fd09::5"), "closed": ("10.9.0.6", "fd09::6")}
INSIDE = {"open": "10.0.2.2", "closed": "10.77.0.2"}
WORLD = ("10.9.0.1", "fd09::1")
OUTSIDE = ("192.0.2.1", "2001:db8::1")
NAME_SERVER = "192.0.2.53"
NAMED = "192.0.2.77"
LOCAL = 7000  # a port that a pod itself serves on all of its addresses
NO_DAD = 0x02  # of an address: nobody else has it
RESOLV_CONF = """search one.example "bad; two.example
nameserver 192.0.2.53
nameserver no-address
nameserver 2001:db8::53
"""
USER_DATA = r"""#cloud-config
write_files:
- path: /srv/cgi-bin/who
  permissions: '0755'
  content: |
    #!/bin/sh
    echo "Content-Type: text/plain"
    echo
    echo "$REMOTE_ADDR"
bootcmd:
- httpd -p 80 -h /srv
- httpd -p 8080 -h /srv
"""
# The guest routes what is meant for the loopback to its pod, where a socket hears UDP.
LOOPBACK = f"""
ask() {{ nslookup -timeout=1 -retry=1 "$1.example" "$2:{LOCAL}" >/dev/null; }}
ask before 10.0.2.1
echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet
ip route del table local local 127.0.0.0/8 dev lo
ip route del table local local 127.0.0.1 dev lo
ip route add 127.0.0.1 via 10.0.2.1 src 10.0.2.2
ask loopback 127.0.0.1
ask after 10.0.2.1
ip route get 127.0.0.1
"""
NETWORK_DATA = """
version: 2
ethernets:
  eth0:
    dhcp4: true
    addresses: ["fd10:0:2::2/120"]
    gateway6: "fd10:0:2::1"
"""


# What KubeVirt's guests write that have their address by DHCPv6: nobody advertises a way out.
LEASED = """
version: 2
ethernets:
  eth0:
    dhcp4: true
    dhcp6: true
    gateway6: "fe80::ff:fe00:0"
"""


def instance(name: str) -> dict[str, Any]:
    interfaces: list[dict[str, Any]] = [{"name": "default", "masquerade": {}}]
    networks: list[dict[str, Any]] = [{"name": "default", "pod": {}}]
    if name == "closed":
        interfaces[0]["ports"] = [{"port": 80}, {"port": 9999, "protocol": "UDP"}]
        networks[0]["pod"] = {"vmNetworkCIDR": "10.77.0.0/24"}
        interfaces.append({"name": "cut", "bridge": {}, "state": "down"})
        networks.append({"name": "cut", "multus": {"networkName": "nad"}})
    data = LEASED if name == "closed" else NETWORK_DATA
    seed = {"userData": USER_DATA, "networkData": data}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "domain": {"devices": {"interfaces": interfaces}},
            "networks": networks,
            "volumes": [{"name": "seed", "cloudInitNoCloud": seed}],
        },
    }


def prepare(folder: Path) -> None:
    """A bridge that stands for the cluster, with the rest of the world behind it."""
    file = folder / "resolv.conf"
    file.write_text(RESOLV_CONF)
    subprocess.run(["mount", "--bind", str(file), "/etc/resolv.conf"], check=True)
    with IPRoute() as ip:
        ip.link("set", index=1, state="up")
        for address in (*OUTSIDE, NAME_SERVER):
            ip.addr("add", index=1, address=address, prefixlen=128 if ":" in address else 32)
        ip.link("add", ifname="br0", kind="bridge")
        (bridge,) = ip.link_lookup(ifname="br0")
        ip.link("set", index=bridge, state="up")
        for address, length in zip(WORLD, (24, 64), strict=True):
            ip.addr("add", index=bridge, address=address, prefixlen=length, flags=NO_DAD)
        for name in POD:
            place = folder / name
            netns.make(place)
            with netns.opened(str(place)) as target:
                peer = {"ifname": "eth0", "net_ns_fd": target}
                ip.link("add", ifname=f"to-{name}", kind="veth", peer=peer)
            (outer,) = ip.link_lookup(ifname=f"to-{name}")
            ip.link("set", index=outer, state="up", master=bridge, mtu=1400)
            with netns.entered(str(place)):
                wire(name)
            # A neighbour may take a pod for a router to its guest's own address.
            ip.route("add", dst=f"{INSIDE[name]}/32", gateway=POD[name][0])


def wire(name: str) -> None:
    """What a CNI plugin leaves in a pod."""
    with IPRoute() as ip:
        ip.link("set", index=1, state="up")
        (inner,) = ip.link_lookup(ifname="eth0")
        ip.link("set", index=inner, state="up", mtu=1400)
        for address, length, way in zip(POD[name], (24, 64), WORLD, strict=True):
            ip.addr("add", index=inner, address=address, prefixlen=length, flags=NO_DAD)
            ip.route("add", dst="default", gateway=way, family=ip_family(way))
        if name == "closed":
            ip.link("add", ifname=machine.pod_interface("cut"), kind="veth", peer="other")


def ip_family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class AddressServer(BaseHTTPRequestHandler):
    """Says whom it hears."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].removeprefix("::ffff:").encode())

    def log_message(self, *_: object) -> None:
        pass


class Both(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class Namer(socketserver.BaseRequestHandler):
    """A DNS server that knows one address for every name."""

    def handle(self) -> None:
        data, door = self.request
        question = data[12 : data.index(b"\0", 12) + 5]
        known = question[-4:-2] == b"\0\1"  # type A
        answer = data[:2] + b"\x81\x80\0\1" + (b"\0\1" if known else b"\0\0") + bytes(4) + question
        if known:
            answer += bytes.fromhex("c00c000100010000000a0004") + socket.inet_aton(NAMED)
        door.sendto(answer, self.client_address)


@contextlib.contextmanager
def served(server: socketserver.BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


async def start(name: str, folder: Path) -> asyncio.subprocess.Process:
    """A launcher in its pod's network namespace, whose machine runs."""
    command = [sys.executable, "-m", "weft_lab.vm.launcher", "--run-folder", str(folder)]
    space = os.open(folder / name, os.O_RDONLY)
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "WEFT_VMI": json.dumps(instance(name))},
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=partial(netns._call, "setns", space, 0x40000000),
    )
    os.close(space)
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert "runs under" in line, line
    return process


def web(address: str, port: int) -> str:
    """Whom the guest hears; or why it does not."""
    link = http.client.HTTPConnection(address, port, timeout=10)
    try:
        link.request("GET", "/cgi-bin/who")
        return link.getresponse().read().decode().strip().strip("[]").removeprefix("::ffff:")
    except OSError as error:
        return type(error).__name__
    finally:
        link.close()


def met(folder: Path, name: str) -> dict[str, Any]:
    """What the world and the pod itself see of a guest."""
    seen: dict[str, Any] = {
        "web": {f"{at} {port}": web(at, port) for at in POD[name] for port in (80, 8080)}
    }
    with netns.entered(str(folder / name)):
        seen["pod"] = {at: web(at, 80) for at in ("127.0.0.1", "::1", *POD[name])}
    return seen


def questions(local: socket.socket) -> Iterator[str]:
    """The first word of each name that somebody asked a pod's own socket for."""
    with contextlib.suppress(BlockingIOError):
        while True:
            data = local.recv(500, socket.MSG_DONTWAIT)
            yield data[13 : 13 + data[12]].decode()


async def unheard(agent: agentclient.Agent) -> int:
    """Datagrams that came to a port of the guest that nobody has open."""
    text = await until(agent, "cat /proc/net/snmp /proc/net/snmp6")
    udp = next(line for line in text.splitlines() if line.startswith("Udp: ") and "No" not in line)
    udp6 = next(line for line in text.splitlines() if line.startswith("Udp6NoPorts"))
    return int(udp.split()[2]) + int(udp6.split()[1])


async def datagrams(agent: agentclient.Agent, name: str) -> dict[str, int]:
    """How many of three datagrams to each of these come to the guest."""
    inside = INSIDE[name]
    found = {}
    for address, port in [(at, port) for at in (*POD[name], inside) for port in (9998, 9999)]:
        before = await unheard(agent)
        with socket.socket(ip_family(address), socket.SOCK_DGRAM) as handle:
            for _ in range(3):
                handle.sendto(b"hello", (address, port))
        # Packets to one pod keep their order: this comes after them.
        assert await asyncio.to_thread(web, POD[name][0], 80) == "10.9.0.1"
        found[f"{'inside' if address == inside else address} {port}"] = (
            await unheard(agent) - before
        )
    return found


async def world_of(folder: Path, name: str) -> dict[str, Any]:
    """What a guest sees of the world."""
    seen: dict[str, Any] = {}
    async with agent_of(folder, name) as agent:
        out = f"curl -sS -m 20 http://{OUTSIDE[0]}:8000/"
        seen["outside"] = await until(agent, out)
        seen["outside6"] = await until(agent, f"curl -sS -m 20 http://[{OUTSIDE[1]}]:8000/")
        seen["view"] = await until(agent, "ip addr show eth0; ip route; cat /etc/resolv.conf")
        if name == "closed":
            carrier = "cd /sys/class/net/eth1; ip link set eth1 up; cat carrier carrier_up_count"
            seen["cut"] = await until(agent, carrier)
        else:
            seen["named"] = await until(agent, "nslookup weft.example")
            seen["way to the loopback"] = await until(agent, LOOPBACK)
        seen["udp"] = await datagrams(agent, name)
    return seen


async def scenario(folder: Path) -> dict[str, Any]:
    processes = [await start(name, folder) for name in POD]
    seen: dict[str, Any] = {}
    with contextlib.ExitStack() as world:
        world.enter_context(served(Both(("::", 8000), AddressServer)))
        world.enter_context(served(socketserver.UDPServer((NAME_SERVER, 53), Namer)))
        with netns.entered(str(folder / "open")):
            local = world.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            local.bind(("", LOCAL))
        for name in POD:
            seen[name] = await world_of(folder, name)
            seen[name] |= await asyncio.to_thread(met, folder, name)
        seen["local"] = sorted(set(questions(local)))
    for process in processes:
        process.terminate()
    seen["ends"] = [await process.wait() for process in processes]
    return seen


if __name__ == "__main__":
    place = Path(sys.argv[1])
    prepare(place)
    result = asyncio.run(scenario(place))
    (place / "seen.json").write_text(json.dumps(result))
