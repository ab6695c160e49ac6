"""OVN zones with guests on the wire, each in namespaces of its own.

A `Wire` holds user, network, mount and PID namespaces; ending its one process removes everything.
Each of its zones has the paths of a real node in a private /run, and its own OVS and OVN daemons.
Nothing of weft is used here, so that what weft writes is judged by OVN alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from weft_lab.runtime.toolchain import Toolchain

MTU = 1500
_ENTER = ("nsenter", "--user", "--preserve-credentials", "--net", "--mount", "--pid")


@dataclass
class Space:
    """A process that holds namespaces; it ends when its standard input does."""

    holder: subprocess.Popen[str]
    env: dict[str, str]
    pid: int = 0

    def __post_init__(self) -> None:
        """Its first line says that it is ready; the process that is inside is its only child."""
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "ready\n"
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text()
        self.pid = int(children.split()[0])

    def inside(self, *command: str) -> list[str]:
        return [*_ENTER, f"--target={self.pid}", *command]

    def run(self, *command: str, check: bool = True, timeout: float = PATIENCE) -> str:
        """Standard output of a command inside."""
        done = subprocess.run(
            self.inside(*command),
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def popen(self, *command: str, stdout: int | None = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.inside(*command), env=self.env, stdin=subprocess.PIPE, stdout=stdout, text=True
        )

    def fork(self, *unshare: str, first: str = "") -> Space:
        """Another space below this one, which runs `first` before it is ready."""
        shell = f"{first or ':'} && echo ready && exec cat >/dev/null"
        holder = self.popen("unshare", *unshare, "sh", "-ec", shell)
        return Space(holder, self.env)

    def end(self) -> None:
        """Let the holder go and wait until it is gone."""
        assert self.holder.stdin is not None
        self.holder.stdin.close()
        self.holder.wait(PATIENCE)


@dataclass
class Guest:
    """A network namespace with one interface, `eth0`, that is an OVS port of its zone."""

    space: Space
    port: str
    mac: str
    settings: tuple[str, ...] = ()  # of its interface in the switch

    def run(self, *command: str, check: bool = True, timeout: float = PATIENCE) -> str:
        return self.space.run(*command, check=check, timeout=timeout)

    def take(self, address: str) -> None:
        """Give the interface an address."""
        self.run("busybox", "ip", "addr", "add", address, "dev", "eth0")

    def pings(self, address: str, count: int = 3, size: int = 56) -> bool:
        """Whether so many in a row are answered. Others go ahead: the first to a tunnel's peer is
        lost, and a busy switch is late or drops some. A single one, for what is to get no answer,
        gets no patience."""
        ping = ("busybox", "ping", "-i", "0.2", "-W", "2", "-s", str(size), address)
        end = time.monotonic() + (PATIENCE if count > 1 else 0.0)
        while not self._is_answered(ping, 1) and time.monotonic() < end:
            pass
        while not (is_answered := self._is_answered(ping, count)) and time.monotonic() < end:
            pass
        return is_answered

    def _is_answered(self, ping: tuple[str, ...], count: int) -> bool:
        return f" {count} packets received" in self.run(*ping, "-c", str(count), check=False)

    def loses(self, address: str) -> bool:
        """Whether pings cease to be answered: a switch drops its flows a moment after the
        databases have lost the rows."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not self.pings(address, 1):
                return True
        return False


@dataclass
class Zone:
    """One node: its daemons, and the guests on its integration bridge."""

    name: str
    chassis: str
    address: str
    space: Space
    guests: dict[str, Guest] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The zone's own file system, as seen from outside."""
        return Path(f"/proc/{self.space.pid}/root")

    @property
    def nb(self) -> str:
        return f"unix:{self.root}/run/ovn/ovnnb_db.sock"

    @property
    def sb(self) -> str:
        return f"unix:{self.root}/run/ovn/ovnsb_db.sock"

    @property
    def ovs(self) -> str:
        return f"unix:{self.root}/run/openvswitch/db.sock"

    def run(self, *command: str, check: bool = True) -> str:
        return self.space.run(*command, check=check)

    def synced(self) -> None:
        """Returns when northd, ovn-controller and the switch have followed all that stands in the
        Northbound database now. A packet that is sent once needs this before it."""
        sync = ("ovn-nbctl", f"--timeout={PATIENCE:g}", "--wait=hv", "sync")
        self.space.run(*sync, timeout=2 * PATIENCE)

    def start(self, *daemons: str) -> None:
        for daemon in daemons:
            self.run(*COMMANDS[daemon], "--pidfile", "--detach", "--no-chdir", *_logs(daemon))

    def stop(self, daemon: str) -> None:
        """Orderly, and gone when this returns."""
        folder = "/run/openvswitch" if daemon in ("ovs", "ovs-vswitchd") else "/run/ovn"
        pid = self.run("cat", f"{folder}/{_PIDFILES.get(daemon, daemon)}.pid").strip()
        self.run(sys.executable, "-I", "-c", _END, pid)

    def guest(self, port: str, mac: str, *, version: str = "") -> Guest:
        """A new guest behind logical port `port`, its interface up and without an IPv4 address."""
        ids = [f"external_ids:iface-id={port}"]
        ids += [f"external_ids:iface-id-ver={version}"] if version else []
        return self._plugged("br-int", port, mac, *ids)

    def host(self, name: str, mac: str, *, vlan: int | None = None) -> Guest:
        """A machine on the node's physical bridge: untagged, or an access port of a VLAN."""
        tag = [] if vlan is None else [f"tag={vlan}"]
        return self._plugged("br-phy", name, mac, port_settings=tag)

    def _plugged(
        self, bridge: str, port: str, mac: str, *settings: str, port_settings: Sequence[str] = ()
    ) -> Guest:
        """A namespace whose `eth0` is a new port of a bridge."""
        device = f"g{len(self.guests)}"
        self.guests[port] = Guest(self.space.fork("--net"), port, mac, settings)
        self._plug(bridge, device, self.guests[port], port_settings)
        return self.guests[port]

    def unplug(self, guest: Guest) -> None:
        """Take the guest's port out of br-int; its interface goes, too."""
        self.run("ovs-vsctl", "del-port", "br-int", self.device(guest))

    def replug(self, guest: Guest) -> None:
        """The same port with a new interface, which has no address."""
        self._plug("br-int", self.device(guest), guest)

    def device(self, guest: Guest) -> str:
        """The name of the guest's port in the switch."""
        return f"g{list(self.guests.values()).index(guest)}"

    def _plug(
        self, bridge: str, device: str, guest: Guest, port_settings: Sequence[str] = ()
    ) -> None:
        self.run(
            *("ovs-vsctl", "--", "add-port", bridge, device, *port_settings, "--"),
            *("set", "Interface", device, "type=internal", *guest.settings),
        )
        space = guest.space
        ip = ("busybox", "ip", "link", "set", "dev")
        self.run(*ip, device, "netns", self._inner(space))
        space.run(*ip, device, "name", "eth0")
        # An IPv6 address is usable at once: OVN answers no duplicate detection anyway.
        space.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad")
        space.run(*ip, "lo", "up")
        space.run(*ip, "eth0", "address", guest.mac)
        space.run(*ip, "eth0", "up")

    @staticmethod
    def _inner(space: Space) -> str:
        """A holder's PID as its own namespace counts."""
        status = Path(f"/proc/{space.pid}/status").read_text()
        return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]


# Ends a process and waits until it has ended, reaped or not.
_END = """
import os, select, signal, sys
process = os.pidfd_open(int(sys.argv[1]))
signal.pidfd_send_signal(process, signal.SIGTERM)
sys.exit(not select.select([process], [], [], 60)[0])
"""
_VETH = (
    "from pyroute2 import IPRoute; IPRoute().link('add', ifname='far0', kind='veth', peer='far')"
)
NB, SB = "/run/ovn/ovnnb_db.sock", "/run/ovn/ovnsb_db.sock"
OVS = "unix:/run/openvswitch/db.sock"
_PIDFILES = {"ovs": "ovsdb-server", "nb": "nb", "sb": "sb"}
COMMANDS: dict[str, tuple[str, ...]] = {
    "ovs": ("ovsdb-server", "--remote=punix:/run/openvswitch/db.sock", "/run/openvswitch/conf.db"),
    "nb": ("ovsdb-server", f"--remote=punix:{NB}", "--unixctl=/run/ovn/nb.ctl", "/run/ovn/nb.db"),
    "sb": ("ovsdb-server", f"--remote=punix:{SB}", "--unixctl=/run/ovn/sb.ctl", "/run/ovn/sb.db"),
    "ovs-vswitchd": ("ovs-vswitchd", OVS),
    "ovn-northd": ("ovn-northd", f"--ovnnb-db=unix:{NB}", f"--ovnsb-db=unix:{SB}"),
    "ovn-controller": ("ovn-controller", OVS),
}


def _logs(daemon: str) -> tuple[str, ...]:
    folder = "/run/openvswitch" if daemon.startswith("ovs") else "/run/ovn"
    # Databases share a program, so their files are told apart by name.
    pid = (f"--pidfile={folder}/{daemon}.pid",) if daemon in ("nb", "sb") else ()
    return (f"--log-file={folder}/{daemon}.log", "-vconsole:off", "-vsyslog:off", *pid)


class Wire:
    """Zones that reach each other over one underlay."""

    def __init__(self, toolchain: Toolchain) -> None:
        env = {
            **os.environ,
            **toolchain.env,
            "PATH": f"{toolchain.bin}:{os.environ['PATH']}",
            "OVS_RUNDIR": "/run/openvswitch",
            "OVN_RUNDIR": "/run/ovn",
        }
        command = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork"]
        first = "mount -t proc proc /proc && echo ready && exec cat >/dev/null"
        holder = subprocess.Popen(
            [*command, "--kill-child", "sh", "-ec", first],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.toolchain = toolchain
        self.space = Space(holder, env)
        self.zones: list[Zone] = []
        self.space.run("busybox", "brctl", "addbr", "underlay")
        for device in ("lo", "underlay"):
            self.space.run("busybox", "ip", "link", "set", "dev", device, "up")

    def zone(self, *, remote: Sequence[Zone] = ()) -> Zone:
        """One more zone, running."""
        number = len(self.zones) + 1
        folders = "mkdir /run/openvswitch /run/ovn /run/netns"
        space = self.space.fork(
            "--net", "--mount", "--uts", first=f"mount -t tmpfs tmpfs /run && {folders}"
        )
        zone = Zone(f"node{number}", f"chassis-{number}", f"192.0.2.{number}", space)
        for schema, file in (
            ("vswitch", "/run/openvswitch/conf.db"),
            ("ovn-nb", "/run/ovn/nb.db"),
            ("ovn-sb", "/run/ovn/sb.db"),
        ):
            self.renew(zone, schema, file)
        zone.start("ovs", "nb", "sb")
        zone.run("ovs-vsctl", "--no-wait", *_settings(zone))
        zone.start("ovs-vswitchd", "ovn-northd", "ovn-controller")
        self.plug(zone)
        self.zones.append(zone)
        return zone

    def renew(self, zone: Zone, schema: str, file: str) -> None:
        """A new database, as a lab's nodes start with."""
        from weft_lab.runtime import databases

        made = databases.ensure(self.toolchain) / f"{schema}.db"
        zone.run("cp", str(made), file)

    def plug(self, zone: Zone) -> None:
        """Wire the zone's switch. Started again, it makes anew the devices that were moved away,
        and leaves the old ones behind, which hear nothing any more."""
        port = f"ul-{zone.name}"
        ip = ("busybox", "ip")
        zone.run("ovs-vsctl", "wait-until", "Interface", port, "ofport>0")
        self.space.run(*ip, "link", "del", port, check=False)
        zone.run(*ip, "link", "set", "dev", port, "netns", "1")
        self.space.run("busybox", "brctl", "addif", "underlay", port)
        self.space.run(*ip, "link", "set", "dev", port, "up")
        zone.run(*ip, "link", "set", "dev", "lo", "up")
        zone.run(*ip, "addr", "add", f"{zone.address}/24", "dev", "br-phy", check=False)
        zone.run(*ip, "link", "set", "dev", "br-phy", "up")
        # The switch drops what tunnels carry until it has noticed the bridge's address.
        end = time.monotonic() + PATIENCE
        while f"{zone.address} local" not in zone.run("ovs-appctl", "ovs/route/show"):
            assert time.monotonic() < end

    def host(self, *addresses: str) -> Space:
        """A host on the underlay with these addresses, its interface `far`: it hears what zones
        send to nodes that are not there."""
        space = self.space.fork("--net")
        ip = ("busybox", "ip")
        self.space.run(sys.executable, "-c", _VETH)
        self.space.run(*ip, "link", "set", "far", "netns", Zone._inner(space))
        self.space.run("busybox", "brctl", "addif", "underlay", "far0")
        self.space.run(*ip, "link", "set", "far0", "up")
        space.run(*ip, "link", "set", "far", "up")
        for address in addresses:
            space.run(*ip, "addr", "add", f"{address}/24", "dev", "far")
        return space

    def end(self) -> None:
        self.space.holder.kill()
        self.space.holder.wait(PATIENCE)


def _settings(zone: Zone) -> tuple[str, ...]:
    ids = {
        "system-id": zone.chassis,
        "hostname": zone.name,
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": zone.address,
        "ovn-remote": f"unix:{SB}",
        "ovn-is-interconn": "true",
        "ovn-monitor-all": "true",
        "ovn-bridge-datapath-type": "netdev",
        "ovn-bridge-mappings": "physnet:br-phy",
    }
    port = f"ul-{zone.name}"
    return (
        *("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev", "--"),
        *("set", "Bridge", "br-int", "fail-mode=secure", "--"),
        # As in a lab: else it changes with the first port that goes, and routes are read anew.
        *("set", "Interface", "br-int", "mtu_request=1500", "--"),
        *("add-br", "br-phy", "--", "set", "Bridge", "br-phy", "datapath_type=netdev", "--"),
        *("add-port", "br-phy", port, "--", "set", "Interface", port, "type=internal", "--"),
        *("set", "Open_vSwitch", ".", "other_config:userspace-tso-enable=true"),
        *(f"external_ids:{key}={value}" for key, value in ids.items()),
    )


@pytest.fixture
def wire(toolchain: Toolchain) -> Iterator[Wire]:
    made = Wire(toolchain)
    try:
        yield made
    finally:
        made.end()
