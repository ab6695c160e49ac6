"""The network of a machine that moves, seen by peers on its old node, its new one and a third, and
by a host on the wire. Three NICs, two overlays and a VLAN, of both families: all follow at once."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from lab.tests.support import lab_peers, moving
from lab.tests.support.moving import DEVICES, NICS, NODES, OUTSIDE, WIRE, Mover
from tests.support.patience import await_true
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
# Seconds without answer that end by themselves: a guest stands still for a while, and on a busy
# machine a switch has no turn for several. The bench holds the figure that is promised, on a quiet
# one.
MOST = 30.0
# On the wire it is reached again when it is announced there: a switch that was told nothing would
# send to its old node for five minutes.
MOST_ON_THE_WIRE = 30
# How many frames hold each of these bytes, on all devices of a namespace: until it is to end, and
# then what has come by then.
HEAR = """
import json, select, socket, sys
wanted = dict.fromkeys(map(bytes.fromhex, sys.argv[1:]), 0)
heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
try:
    heard.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
except PermissionError:
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
print("started", flush=True)
while True:
    ready, _, _ = select.select([heard, sys.stdin], [], [])
    if heard in ready:
        frame = heard.recv(65536)
        for each in wanted:
            wanted[each] += each in frame
    elif sys.stdin in ready:
        break
print(json.dumps(list(wanted.values())))
"""
# What a ping carries, for whoever hears it: the machine's own, then what is from another's MAC, and
# what is from its own MAC and another's address. Each of both families.
OWN, MAC, ADDRESS = ("a5", "a6"), ("5a", "6a"), ("5b", "6b")


@pytest.fixture(scope="module")
def mover(
    tmp_path_factory: pytest.TempPathFactory, toolchain: toolchains.Toolchain
) -> Iterator[Mover]:
    with moving.running(tmp_path_factory.mktemp("state"), toolchain) as made:
        yield made


@dataclass
class Seen:
    """What was seen while the machine moved there and back, by move.

    `heard`: how many frames of each kind came to a peer. `left`: how many came out of the guest, on
    the node where it began and on those to which it came.
    """

    where: list[tuple[str, str]] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)  # monotonic seconds
    counted: list[dict[str, lab_peers.Counted]] = field(default_factory=list)
    heard: dict[str, list[int]] = field(default_factory=dict)
    left: list[list[int]] = field(default_factory=list)


@pytest.fixture(scope="module")
def seen(mover: Mover) -> Seen:
    """There and back, so that the second move finds what the first has left. All the while the
    guest forges what it sends, and also sends what is its own."""
    found, victim = Seen(), mover.given("victim")
    marks = [*(byte * 16 for byte in (*OWN, *MAC, *ADDRESS)), gratuitous(victim)]
    with ExitStack() as stack:
        ears = {node: stack.enter_context(mover.peer(node, "-c", HEAR, *marks)) for node in NODES}
        mover.guest(forge(mover, victim))
        found.left.append(leaves(mover, marks))
        for _ in range(2):
            with mover.counted() as counted:
                found.where.append(mover.move())
                mover.settle()
                found.ended.append(time.monotonic())
                time.sleep(lab_peers.ENOUGH)
            found.counted.append(counted)
            found.left.append(leaves(mover, marks))
        mover.guest("kill $(cat /tmp/forgers); ip link del forged")
        for node in NODES:  # what was sent before came before this one's answer
            mover.reach(node, mover.addresses()["lan"])
        found.heard = {node: heard(process) for node, process in ears.items()}
    return found


def forge(mover: Mover, victim: moving.Given) -> str:
    """Orders for the guest: pings of each kind to each peer, until it is told to end. Nobody would
    tell another's MAC an IPv6 neighbour, so that one sends to all. It claims the address, too."""
    lines = [
        f"ip link add link eth0 name forged address {victim.mac} type macvlan mode private",
        "echo 0 >/proc/sys/net/ipv6/conf/forged/accept_dad; ip link set forged up",
        f"ip addr add {victim.v4}/32 dev forged; ip -6 addr add {victim.v6}/128 dev forged",
        'send() { "$@" >/dev/null 2>&1 </dev/null & echo $! >>/tmp/forgers; }',
        f"send arping -U -I forged {victim.v4}",
        f"send ping -i 0.2 -p {MAC[1]} -I forged ff02::1",
    ]
    for node in NODES:
        peer = mover.given(f"peer-{node}")
        lines += [
            f"arp -i forged -s {peer.v4} {peer.mac}",
            f"send ping -i 0.2 -p {OWN[0]} -I eth0 {peer.v4}",
            f"send ping -i 0.2 -p {OWN[1]} -I eth0 {peer.v6}",
            f"send ping -i 0.2 -p {MAC[0]} -I forged {peer.v4}",
            f"send ping -i 0.2 -p {ADDRESS[0]} -I {victim.v4} {peer.v4}",
            f"send ping -i 0.2 -p {ADDRESS[1]} -I {victim.v6} {peer.v6}",
        ]
    return "\n".join(lines)


def gratuitous(of: moving.Given) -> str:
    """What ARP says of who announces its address, in hex."""
    address = bytes(map(int, of.v4.split("."))).hex()
    return of.mac.replace(":", "") + address + "ff" * 6 + address


def leaves(mover: Mover, marks: list[str]) -> list[int]:
    """How many frames of each kind come out of the guest, by when there are some of each."""
    found: list[int] = []

    def all_came() -> bool:
        with lab_peers.program(moving.LAB, mover.launcher(), "-c", HEAR, *marks) as process:
            time.sleep(1.5)
            found[:] = heard(process)
        return all(found)

    await_true(all_came, "the guest sends")
    return found


def heard(process: Any) -> list[int]:
    return list(json.loads(process.communicate()[0]))


def test_peers_on_all_nodes_lose_little_and_hear_nothing_twice_afterwards(seen: Seen) -> None:
    for where, ended, counted in zip(seen.where, seen.ended, seen.counted, strict=True):
        assert len(counted) == len(NODES) * len(moving.ADDRESSES) + len(WIRE)
        for name, each in counted.items():
            assert each.outage < most(name), (name, where, counted)
            lab_peers.check_goes_on(each, ended, (name, where, counted))


def test_what_the_guest_forges_arrives_nowhere_before_during_or_after_a_move(seen: Seen) -> None:
    """The controls: it leaves the guest on each node, and what is the guest's own arrives."""
    assert len(seen.left) == 3
    assert all(all(each) for each in seen.left), seen.left
    for node, counts in seen.heard.items():
        own, forged = counts[: len(OWN)], counts[len(OWN) :]
        assert all(own), (node, seen.heard)
        assert not any(forged), (node, seen.heard)


def test_leases_and_advertisements_come_from_the_node_where_it_is_now(mover: Mover) -> None:
    """With what it had: each NIC renews its lease and keeps its address. Those of IPv6 forget all,
    hear an advertisement, and have their lease renewed."""
    before = mover.addresses()
    devices = {name: DEVICES[nic] for name, (nic, _) in moving.ADDRESSES.items()}
    v6, v4 = ([each for each in before if each.endswith("6") == is_v6] for is_v6 in (True, False))
    for name in v6:
        turn = f"echo $each >/proc/sys/net/ipv6/conf/{devices[name]}/disable_ipv6"
        shown = f"ip -6 -o addr show dev {devices[name]}"
        told = mover.guest(f"{shown}; for each in 1 0; do {turn}; done; echo; {shown}")
        had, _, has = told.partition("\n\n")
        assert before[name] in had
        assert before[name] not in has, "the control: it has forgotten"
    for name in v4:
        mover.guest(f"rm /run/net/lease.{devices[name]}")  # it is written with each lease
    # It is told again and again: what it sends may be lost on its way.
    for name in v6:
        route = f"ip -6 route show dev {devices[name]}"
        until(mover, route, f"{moving.ADDRESSES[name][1]}/64 ")
        renew = f"kill -USR1 $(cat /run/net/{devices[name]}.udhcpc6); sleep 1"
        address = f"ip -6 -o addr show dev {devices[name]}"
        until(mover, f"{renew}; {address}", f" {before[name]}/128 ")
    for name in v4:
        renew = f"kill -USR1 $(cat /run/net/{devices[name]}.udhcpc); sleep 1"
        until(mover, f"{renew}; cat /run/net/lease.{devices[name]}", f"{before[name]}/24")
    assert mover.addresses() == before


def until(mover: Mover, command: str, wanted: str) -> None:
    await_true(lambda: wanted in mover.guest(command), f"{command}: {wanted}")


def test_it_and_its_peers_find_each_other_anew(mover: Mover) -> None:
    """Neither knows the other's MAC, on any NIC and by either family."""
    addresses, macs = mover.addresses(), mover.macs()
    known = "busybox ip neigh show $to"
    for node in NODES:
        forget = (f"busybox ip neigh flush dev net{number}" for number in (1, 2, 3))
        mover.run(node, "sh", "-c", "; ".join(forget))
        told = mover.reach(node, *addresses.values(), then=known)
        for name, address in addresses.items():
            mac = macs[moving.ADDRESSES[name][0]]
            assert re.search(f"^{address} .*lladdr {mac}", told, re.MULTILINE), (node, name, told)
        for nic, network in NICS.items():
            peer = mover.given(f"peer-{node}", network)
            theirs = " ".join(each for each in (peer.v4, peer.v6) if each)
            ask = "until ping -c 1 -W 1 $to >/dev/null; do sleep 0.1; done"
            forget_it = f"ip neigh flush dev {DEVICES[nic]}"
            answer = mover.guest(f"{forget_it}; for to in {theirs}; do {ask}; done; echo found")
            assert answer.endswith("found\n"), (node, nic, answer)


def test_the_wire_knows_where_it_is(mover: Mover) -> None:
    """On its own node its MAC is behind another port of the physical bridge than what is outside;
    on the others it is behind the same."""
    # So that what is outside asks all nodes for it, and none has forgotten where that is.
    mover.run(OUTSIDE, "ip", "neigh", "flush", "dev", "eth0")
    mover.settle()
    shown = mover.run(OUTSIDE, "ip", "link", "show", "eth0")
    outside, mac = shown.partition("ether ")[2].split()[0], mover.macs()["wire"]
    here = mover.node

    def is_known(node: str) -> bool:
        table = mover.labs.run(node, "ovs-appctl", "fdb/show", "br-phy").stdout
        rows = (line.split() for line in table.splitlines())
        port = {of: port for port, vlan, of, _ in rows if vlan == str(moving.VLAN)}
        return {outside, mac} <= {*port} and (port[mac] != port[outside]) == (node == here)

    for node in NODES:
        await_true(partial(is_known, node), f"{node} knows where {mac} and {outside} are")


def most(name: str) -> float:
    """The longest outage of what `counted` has by this name."""
    return MOST_ON_THE_WIRE if name.split()[1] in WIRE else MOST
