"""The rows of policies on real OVN, judged by packets: what passes, and what does not."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.real.test_guest_addresses import lease
from tests.real.test_zone import recomputes
from tests.support import packets
from tests.support.acl_log import LINE, acl_log
from tests.support.patience import PATIENCE
from tests.support.policed import NAMESPACE, Policed, PolicedRoutes
from tests.support.realised import Cluster, network
from tests.support.routed import routed, secondary
from weft import model
from weft.control.zone import state
from weft.model import ObjectKey
from weft.ovn import policy as ovn
from weft.policy import netpolicy

pytestmark = pytest.mark.real

TCP, UDP, SCTP = netpolicy.Protocol
INGRESS, EGRESS = netpolicy.Direction
FLAT = "default/flat"
EVERY = ((None, 0), (TCP, 80), (TCP, 81), (UDP, 80), (UDP, 53), (SCTP, 80))


async def flat(cluster: Cluster, *names: str, zones: int = 1) -> Policed:
    """Pods on a network without subnets, spread over the zones, with both families."""
    kept = [await cluster.zone() for _ in range(zones)]
    declared = network("flat", 1)
    await cluster.define(FLAT, declared)
    made = Policed(cluster, declared.network)
    placed = {}
    for number, name in enumerate(names, start=11):
        home = kept[number % zones]
        placed[name] = (number, home, await cluster.pod(name, home, FLAT, number))
    for name, (number, home, port) in placed.items():
        guest = await cluster.guest(home, port)
        addresses = (f"172.20.0.{number}", f"fd20::{number}")
        for address, length in zip(addresses, (24, 64), strict=True):
            guest.take(f"{address}/{length}")
        made.add(name, home, port, guest, *addresses)
    await made.warm()
    cluster.end()
    return made


def leaving_dhcp(declared: state.DeclaredNetwork) -> state.DeclaredNetwork:
    """The network with whoever plays a DHCP server on it."""
    spec = replace(declared.network.spec, dhcp=model.Dhcp(enabled=False))
    return replace(declared, network=replace(declared.network, spec=spec))


def app(*names: str) -> netpolicy.Selector:
    return netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.IN, names),))


def members(*names: str) -> netpolicy.PodSelector:
    return netpolicy.PodSelector(namespace=NAMESPACE, pods=app(*names))


def policy(
    name: str,
    *subjects: str,
    ingress: tuple[netpolicy.Rule, ...] | None = None,
    egress: tuple[netpolicy.Rule, ...] | None = None,
    mode: netpolicy.Mode = netpolicy.Mode.ENFORCE,
) -> netpolicy.Policy:
    given = {INGRESS: ingress, EGRESS: egress}
    return netpolicy.Policy(
        NAMESPACE,
        name,
        f"uid-{name}",
        (ObjectKey.parse(FLAT),),
        app(*subjects) if subjects else netpolicy.EVERYTHING,
        frozenset(direction for direction, rules in given.items() if rules is not None),
        ingress or (),
        egress or (),
        mode,
    )


@pytest.mark.parametrize("version", [4, 6])
async def test_isolation_without_any_rule_stops_all_but_replies(
    cluster: Cluster, version: int
) -> None:
    scene = await flat(cluster, "one", "two", zones=2)
    assert await scene.passes("one", "two", *EVERY, version=version) == set(EVERY)
    await scene.enforce(policy("shut", "two", ingress=()))
    assert await scene.passes("one", "two", *EVERY, version=version) == set()
    assert await scene.passes("two", "one", *EVERY, version=version) == set(EVERY)
    assert await scene.answers("two", "one", version=version)
    await scene.enforce(policy("mute", "two", egress=()))
    assert await scene.passes("one", "two", *EVERY, version=version) == set(EVERY)
    assert await scene.passes("two", "one", *EVERY, version=version) == set()
    assert await scene.answers("one", "two", version=version)
    await scene.enforce()
    assert await scene.passes("two", "one", *EVERY, version=version) == set(EVERY)


async def test_rules_name_peers_by_mac_and_ports_by_number_and_range(cluster: Cluster) -> None:
    """Several policies add up; pods come into sets and leave them as their labels change."""
    scene = await flat(cluster, "one", "two", "three", zones=2)
    services = (
        netpolicy.PolicyPort(TCP, 80),
        netpolicy.PolicyPort(UDP, 8000, end=8010),
        netpolicy.PolicyPort(SCTP),
    )
    rule = netpolicy.Rule(0, (members("one"),), services)
    await scene.enforce(policy("some", "two", ingress=(rule,)))
    asked = (
        *((TCP, number) for number in (79, 80, 81)),
        *((UDP, number) for number in (80, 7999, 8000, 8005, 8010, 8011)),
        *((SCTP, number) for number in (1, 80)),
        (None, 0),
    )
    good = {(TCP, 80), (UDP, 8000), (UDP, 8005), (UDP, 8010), (SCTP, 1), (SCTP, 80)}
    for version in (4, 6):
        assert await scene.passes("one", "two", *asked, version=version) == good
        assert await scene.passes("three", "two", *asked, version=version) == set()

    more = policy(
        "more", ingress=(netpolicy.Rule(0, (members("three"),), (netpolicy.PolicyPort(TCP, 81),)),)
    )
    some = policy("some", "two", ingress=(rule,))
    await scene.enforce(some, more)
    assert await scene.passes("one", "two", *asked) == good
    assert await scene.passes("three", "two", *asked) == {(TCP, 81)}
    assert await scene.passes("two", "one", *asked) == set()

    scene.pods["three"].labels = {"app": "one"}
    await scene.enforce(some, more)
    assert await scene.passes("three", "two", *asked) == good
    scene.pods["three"].labels = {}
    await scene.enforce(some, more)
    assert await scene.passes("three", "two", *asked) == set()


async def test_egress_reaches_only_the_peers_that_are_named(cluster: Cluster) -> None:
    scene = await flat(cluster, "one", "two", "three", zones=2)
    rule = netpolicy.Rule(
        0, (members("two"),), (netpolicy.PolicyPort(TCP, 80), netpolicy.PolicyPort(SCTP, 80))
    )
    await scene.enforce(policy("out", "one", egress=(rule,)))
    for version in (4, 6):
        reached = await scene.passes("one", "two", *EVERY, version=version)
        assert reached == {(TCP, 80), (SCTP, 80)}
        assert await scene.passes("one", "three", *EVERY, version=version) == set()
        assert await scene.passes("three", "one", *EVERY, version=version) == set(EVERY)


async def test_a_rule_without_peers_or_ports_means_all_and_an_empty_one_none(
    cluster: Cluster,
) -> None:
    scene = await flat(cluster, "one", "two")
    await scene.enforce(policy("open", ingress=(netpolicy.Rule(0),), egress=(netpolicy.Rule(0),)))
    for version in (4, 6):
        assert await scene.passes("one", "two", *EVERY, version=version) == set(EVERY)
    for rule in (netpolicy.Rule(0, peers=()), netpolicy.Rule(0, ports=())):
        await scene.enforce(policy("open", ingress=(rule,)))
        assert await scene.passes("one", "two", *EVERY) == set()


@pytest.mark.parametrize("direction", netpolicy.Direction)
async def test_blocks_with_exceptions_in_both_families(
    cluster: Cluster, direction: netpolicy.Direction
) -> None:
    """Pods one to four have addresses that end in 11 to 14 (0xb to 0xe in the block of IPv6)."""
    scene = await flat(cluster, "one", "two", "three", "four")
    blocks = (
        netpolicy.IPBlock(ip_network("172.20.0.8/29"), (ip_network("172.20.0.12/31"),)),
        netpolicy.IPBlock(
            ip_network("fd20::/64"), (ip_network("fd20::12/128"), ip_network("fd20::14"))
        ),
    )
    rules = (netpolicy.Rule(0, blocks, (netpolicy.PolicyPort(UDP, 53),)),)
    shut = policy("in", "one", ingress=rules)
    if direction is EGRESS:
        shut = policy("out", "one", egress=rules)
    await scene.enforce(shut)
    for other, passing in {"two": {}, "three": {6}, "four": {4}}.items():
        ends = (other, "one") if direction is INGRESS else ("one", other)
        for version in (4, 6):
            good = {(UDP, 53)} if version in passing else set()
            assert await scene.passes(*ends, *EVERY, version=version) == good, (other, version)
    everywhere = netpolicy.IPBlock(ip_network("0.0.0.0/0")), netpolicy.IPBlock(ip_network("::/0"))
    open_all = (netpolicy.Rule(0, everywhere),)
    ingress, egress = (open_all, ()) if direction is INGRESS else ((), open_all)
    await scene.enforce(policy("all", "one", ingress=ingress, egress=egress))
    ends = ("two", "one") if direction is INGRESS else ("one", "two")
    for version in (4, 6):
        assert await scene.passes(*ends, *EVERY, version=version) == set(EVERY)


async def test_named_ports_are_what_each_pod_says(cluster: Cluster) -> None:
    """Ingress: by who is asked. Egress: by who is there to answer. A name that is nobody's allows
    nothing."""
    scene = await flat(cluster, "one", "two", "three")
    scene.pods["two"].named = {(TCP, "http"): 80}
    scene.pods["three"].named = {(TCP, "http"): 8080, (UDP, "http"): 53}
    asked = ((TCP, 80), (TCP, 8080), (TCP, 53), (UDP, 53), (UDP, 80))
    http = (netpolicy.PolicyPort(TCP, "http"), netpolicy.PolicyPort(TCP, "nobody"))
    await scene.enforce(policy("in", "two", "three", ingress=(netpolicy.Rule(0, None, http),)))
    assert await scene.passes("one", "two", *asked) == {(TCP, 80)}
    assert await scene.passes("one", "three", *asked) == {(TCP, 8080)}
    for peers in (None, (members("two", "three"),), (netpolicy.PodSelector(),)):
        await scene.enforce(policy("out", "one", egress=(netpolicy.Rule(0, peers, http),)))
        assert await scene.passes("one", "two", *asked) == {(TCP, 80)}
        assert await scene.passes("one", "three", *asked) == {(TCP, 8080)}
    await scene.enforce(policy("out", "one", egress=(netpolicy.Rule(0, (members("two"),), http),)))
    assert await scene.passes("one", "two", *asked) == {(TCP, 80)}
    assert await scene.passes("one", "three", *asked) == set()
    mixed = (netpolicy.PolicyPort(UDP, 80), netpolicy.PolicyPort(UDP, "http"))
    await scene.enforce(policy("out", "one", egress=(netpolicy.Rule(0, None, mixed),)))
    assert await scene.passes("one", "two", *asked) == {(UDP, 80)}
    assert await scene.passes("one", "three", *asked) == {(UDP, 53), (UDP, 80)}


SERVE = """
import socket
server = socket.create_server(("", 80))
print(flush=True)
connection, _ = server.accept()
while data := connection.recv(100):
    connection.send(data)
"""
# A line in, its echo out.
TALK = """
import socket, sys
sock = socket.create_connection((sys.argv[1], 80), 20)
for line in sys.stdin:
    sock.send(line.encode())
    print(sock.recv(100).decode(), end="", flush=True)
"""


async def test_connections_that_are_there_outlive_the_first_policy(cluster: Cluster) -> None:
    """Of who it isolates in the other direction, and of who it allows. OVN tracks none before."""
    scene = await flat(cluster, "one", "two", zones=2)
    one, two = (scene.pods[name].guest.space for name in ("one", "two"))
    server = two.popen(sys.executable, "-I", "-c", SERVE)
    assert server.stdout is not None
    assert await asyncio.to_thread(server.stdout.readline) == "\n"
    client = one.popen(sys.executable, "-I", "-c", TALK, "172.20.0.12")
    assert client.stdin is not None
    assert client.stdout is not None
    rule = netpolicy.Rule(0, (members("one"),), (netpolicy.PolicyPort(TCP, 80),))
    try:
        for number, policies in enumerate(
            (
                [],
                [policy("deaf", "one", ingress=())],
                [policy("deaf", "one", ingress=()), policy("some", "two", ingress=(rule,))],
                [policy("mute", "two", egress=())],
                [],
            )
        ):
            await scene.enforce(*policies)
            client.stdin.write(f"{number}\n")
            client.stdin.flush()
            received = asyncio.to_thread(client.stdout.readline)
            assert await asyncio.wait_for(received, PATIENCE) == f"{number}\n"
    finally:
        for process in (client, server):
            process.kill()
            process.wait(PATIENCE)


async def test_a_connection_ends_with_the_rule_that_allowed_it(cluster: Cluster) -> None:
    scene = await flat(cluster, "one", "two")
    await scene.enforce(policy("open", "two", ingress=(netpolicy.Rule(0),)))
    assert await scene.answers("one", "two")
    assert (UDP, 80) in await scene.passes("one", "two", (UDP, 80))
    await scene.enforce(policy("open", "two", ingress=()))
    assert await scene.passes("one", "two", *EVERY) == set()


@pytest.mark.parametrize("enabled", [True, False])
async def test_dhcp_passes_where_nothing_else_does(
    cluster: Cluster, tmp_path: Path, enabled: bool
) -> None:
    """From OVN's own server by IPv4, from the agent by IPv6 (test_guest_addresses); without those
    from a server on the network, which nobody plays, and nobody asks for, where they are."""
    kept = await cluster.zone()
    declared = network("flat", 1, "172.20.0.0/24", "fd20::/64")
    if not enabled:
        declared = leaving_dhcp(declared)
    await cluster.define(FLAT, declared)
    scene = Policed(cluster, declared.network)
    for number, name in enumerate(("one", "two"), start=11):
        own = (f"172.20.0.{number}", f"fd20::{number}")
        port = await cluster.pod(name, kept, FLAT, number, f"{own[0]}/24", f"{own[1]}/64")
        scene.add(name, kept, port, await cluster.guest(kept, port), *own)
    cluster.end()
    await scene.enforce(policy("shut", ingress=(), egress=()))
    one = scene.pods["one"].guest
    if enabled:
        given = await asyncio.to_thread(lease, one, tmp_path, "udhcpc")
        assert given["ip"] == "172.20.0.11"
    for version, (client, server) in {4: (68, 67), 6: (546, 547)}.items():
        ends = scene.ends("one", "two", version)
        # By IPv6 a server is never asked by its own address.
        asked = () if enabled or version == 6 else ((client, server),)
        answered = () if enabled else ((server, client),)
        sent = {
            (a, b): packets.first(ends, UDP, b"from %05d to %05d" % (a, b), source_port=a, port=b)
            for a, b in ((client, server), (server, client), (client, 80), (9, server))
        }
        await scene.enforce(policy("mute", "one", egress=()))
        received = await scene.received("one", "two", *sent.values())
        assert [k for k in sent if b"from %05d to %05d" % k in received] == [*asked]
        await scene.enforce(policy("deaf", "two", ingress=()))
        received = await scene.received("one", "two", *sent.values())
        assert [k for k in sent if b"from %05d to %05d" % k in received] == [*answered]


async def test_routed_networks_know_their_peers_by_address(cluster: Cluster) -> None:
    declared = leaving_dhcp(secondary("blue", 1, "10.64.0.0/16", "fd00:64::/48"))
    net = await routed(cluster, declared, "default/blue")
    a, b = cluster.kept
    scene = PolicedRoutes(cluster, declared.network)
    for number, (name, kept) in enumerate({"one": a, "two": b, "three": b}.items(), start=11):
        guest = await net.pod(name, kept, number)
        addresses = [net.address(kept, number, version) for version in (4, 6)]
        scene.add(name, kept, net.ports[name], guest, *addresses)
        scene.gateways[name] = net.gateway_mac(kept)
    await scene.warm()
    cluster.end()
    asked = (*EVERY, (TCP, 8080))
    http = (netpolicy.PolicyPort(TCP, 80), netpolicy.PolicyPort(TCP, "alt"))
    scene.pods["two"].named = {(TCP, "alt"): 8080}
    good = {(TCP, 80), (TCP, 8080)}
    await scene.enforce(policy("in", "two", ingress=(netpolicy.Rule(0, (members("one"),), http),)))
    for version in (4, 6):
        assert await scene.passes("one", "two", *asked, version=version) == good
        assert await scene.passes("three", "two", *asked, version=version) == set()
        assert await scene.answers("two", "one", version=version)
    scene.end_ports = (68, 67)
    await scene.enforce(policy("out", "one", egress=(netpolicy.Rule(0, (members("two"),), http),)))
    for version in (4, 6):
        assert await scene.passes("one", "two", *asked, version=version) == good
        assert await scene.passes("one", "three", *asked, version=version) == set()


ECHO = """
import socket
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.bind(("::", 53))
print(flush=True)
while True:
    data, who = sock.recvfrom(65535)
    sock.sendto(data, who)
"""
ASK = """
import socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.settimeout(60)
sock.sendto(b"x" * 4000, (sys.argv[1], 53))
assert len(sock.recv(65535)) == 4000
"""


@pytest.mark.parametrize("address", ["::ffff:172.20.0.12", "fd20::12"])
async def test_fragments_pass_where_no_port_is_asked_and_back(
    cluster: Cluster, address: str
) -> None:
    """The answer goes to who is isolated, too."""
    scene = await flat(cluster, "one", "two", zones=2)
    await scene.enforce(
        policy("some", "two", ingress=(netpolicy.Rule(0, (members("one"),)),)),
        policy("shut", "one", ingress=()),
    )
    one, two = (scene.pods[name].guest for name in ("one", "two"))
    for guest in (one, two):
        guest.run("busybox", "ip", "link", "set", "dev", "eth0", "mtu", "1300")
    server = two.space.popen(sys.executable, "-I", "-c", ECHO)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "\n"
        await asyncio.to_thread(one.run, sys.executable, "-I", "-c", ASK, address)
    finally:
        server.kill()
        server.wait(PATIENCE)


async def test_audit_lets_pass_and_logs_what_a_policy_would_drop(cluster: Cluster) -> None:
    """Neither what it allows, nor what finds neighbours, nor where an enforced policy decides."""
    scene = await flat(cluster, "one", "two", "three")
    rule = netpolicy.Rule(0, None, (netpolicy.PolicyPort(TCP, 80),))
    watched = policy("watch", "two", "three", ingress=(rule,), mode=netpolicy.Mode.AUDIT)
    await scene.enforce(watched, policy("shut", "three", ingress=()))
    assert await scene.passes("one", "three", *EVERY) == set()
    assert await scene.passes("one", "two", *EVERY[:-1]) == set(EVERY[:-1])
    assert await scene.passes("two", "one", *EVERY) == set(EVERY)
    assert await scene.passes("one", "two", EVERY[-1]) == {EVERY[-1]}
    name = ovn.audit_name(ovn.Group(ovn.GroupKind.AUDIT, "flat", NAMESPACE, INGRESS))
    lines = await logged(scene, name, "sctp")
    assert all(f'name="{name}", verdict=allow, severity=info' in line for line in lines)
    found = {(told["protocol"], told["port"]) for told in map(LINE.search, lines) if told}
    assert found == {("icmp", None), ("tcp", "81"), ("udp", "80"), ("udp", "53"), ("sctp", "80")}


async def test_audit_tells_of_a_connection_once(cluster: Cluster) -> None:
    """And lets pass what it cannot tell of, for being too much."""
    scene = await flat(cluster, "one", "two")
    await scene.enforce(policy("watch", "two", ingress=(), mode=netpolicy.Mode.AUDIT))
    assert await asyncio.to_thread(scene.pods["one"].guest.pings, "172.20.0.12", 10)
    burst = {(UDP, 1000 + number) for number in range(200)}
    assert await scene.passes("one", "two", *burst) == burst
    assert await scene.passes("one", "two", (SCTP, 80)) == {(SCTP, 80)}
    lines = await logged(scene, "sctp")
    assert len([line for line in lines if ": udp," in line]) < len(burst)
    # Each of the two calls of ping is a connection.
    assert len([line for line in lines if ": icmp," in line]) == 2


async def logged(scene: Policed, *wanted: str) -> list[str]:
    """What the first pod's zone said of packets, up to a line with these words in it."""
    with acl_log(next(iter(scene.pods.values())).kept.zone) as log:
        return await asyncio.to_thread(log.until, *wanted)


async def test_a_namespace_has_its_packets_logged(cluster: Cluster) -> None:
    scene = await flat(cluster, "one", "two")
    rule = netpolicy.Rule(3, (members("one"),), (netpolicy.PolicyPort(TCP, 80),))
    some = policy("some", "two", ingress=(rule,))
    await scene.enforce(some, logging=netpolicy.Logging("info", "alert"))
    assert await scene.passes("one", "two", (TCP, 80), (UDP, 53)) == {(TCP, 80)}
    await logged(scene, 'name="NP:default:Ingress", verdict=drop, severity=alert')
    await logged(scene, 'name="NP:default:some:Ingress:3", verdict=allow, severity=info')


async def test_a_flood_is_not_all_logged(cluster: Cluster) -> None:
    """Of 1,000 packets no more than the meter lets by; all are dropped all the same."""
    scene = await flat(cluster, "one", "two")
    open_one = policy(
        "one", "two", ingress=(netpolicy.Rule(0, None, (netpolicy.PolicyPort(SCTP),)),)
    )
    await scene.enforce(open_one, logging=netpolicy.Logging(allow="info", deny="alert"))
    for burst in range(5):
        flood = [(UDP, 1000 + 200 * burst + number) for number in range(200)]
        assert await scene.passes("one", "two", *flood) == set()
    assert await scene.passes("one", "two", (SCTP, 80)) == {(SCTP, 80)}
    lines = await logged(scene, "sctp")
    assert 0 < len([line for line in lines if "verdict=drop" in line]) < 500


async def test_members_come_and_go_without_a_recompute(cluster: Cluster) -> None:
    """As long as a group keeps one port on the switch; northd counts what it builds anew."""
    scene = await flat(cluster, "one", "two", "three", "four")
    rule = netpolicy.Rule(0, (members("three"),), (netpolicy.PolicyPort(TCP, 80),))
    kept = scene.pods["one"].kept
    some = policy("some", "one", "two", ingress=(rule,))
    scene.pods["two"].labels = {}
    await scene.enforce(some)
    before = {node: recomputes(kept, node) for node in ("northd", "lflow")}
    scene.pods["two"].labels = {"app": "two"}
    scene.pods["four"].labels = {"app": "three"}
    await scene.enforce(some)
    assert await scene.passes("four", "two", *EVERY) == {(TCP, 80)}
    scene.pods["two"].labels = {}
    scene.pods["three"].labels = {}
    await scene.enforce(some)
    assert await scene.passes("three", "one", *EVERY) == set()
    assert await scene.passes("three", "two", *EVERY) == set(EVERY)
    assert {node: recomputes(kept, node) for node in before} == before
