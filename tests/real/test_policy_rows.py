"""The rows of policies on real OVN, judged by packets: what passes, and what does not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.support.policed import NAMESPACE, Policed
from tests.support.realised import Cluster, network
from weft.policy import words

pytestmark = pytest.mark.real

TCP, UDP, SCTP = words.Protocol
INGRESS, EGRESS = words.Direction
FLAT = "default/flat"
EVERY = ((None, 0), (TCP, 80), (TCP, 81), (UDP, 80), (UDP, 53), (SCTP, 80))


async def flat(cluster: Cluster, *names: str, zones: int = 1) -> Policed:
    """Pods on a network without subnets, spread over the zones, with both families."""
    kept = [await cluster.zone() for _ in range(zones)]
    definition = network("flat", 1)
    await cluster.define(FLAT, definition)
    made = Policed(cluster, definition.network)
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
    cluster.end()
    return made


def app(*names: str) -> words.Selector:
    return words.Selector((words.Requirement("app", words.Operator.IN, names),))


def members(*names: str) -> words.Members:
    return words.Members(namespace=NAMESPACE, pods=app(*names))


def policy(
    name: str,
    *subjects: str,
    ingress: tuple[words.Rule, ...] | None = None,
    egress: tuple[words.Rule, ...] | None = None,
    mode: words.Mode = words.Mode.ENFORCE,
) -> words.Policy:
    given = {INGRESS: ingress, EGRESS: egress}
    return words.Policy(
        NAMESPACE,
        name,
        f"uid-{name}",
        (FLAT,),
        app(*subjects) if subjects else words.EVERYTHING,
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
        words.Service(TCP, 80),
        words.Service(UDP, 8000, end=8010),
        words.Service(SCTP),
    )
    rule = words.Rule(0, (members("one"),), services)
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

    more = policy("more", ingress=(words.Rule(0, (members("three"),), (words.Service(TCP, 81),)),))
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
    rule = words.Rule(0, (members("two"),), (words.Service(TCP, 80), words.Service(SCTP, 80)))
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
    await scene.enforce(policy("open", ingress=(words.Rule(0),), egress=(words.Rule(0),)))
    for version in (4, 6):
        assert await scene.passes("one", "two", *EVERY, version=version) == set(EVERY)
    for rule in (words.Rule(0, peers=()), words.Rule(0, services=())):
        await scene.enforce(policy("open", ingress=(rule,)))
        assert await scene.passes("one", "two", *EVERY) == set()


@pytest.mark.parametrize("direction", words.Direction)
async def test_blocks_with_exceptions_in_both_families(
    cluster: Cluster, direction: words.Direction
) -> None:
    """Pods one to four have addresses that end in 11 to 14 (0xb to 0xe in the block of IPv6)."""
    scene = await flat(cluster, "one", "two", "three", "four")
    blocks = (
        words.Block(ip_network("172.20.0.8/29"), (ip_network("172.20.0.12/31"),)),
        words.Block(ip_network("fd20::/64"), (ip_network("fd20::12/128"), ip_network("fd20::14"))),
    )
    rules = (words.Rule(0, blocks, (words.Service(UDP, 53),)),)
    shut = policy("in", "one", ingress=rules)
    if direction is EGRESS:
        shut = policy("out", "one", egress=rules)
    await scene.enforce(shut)
    for other, passing in {"two": {}, "three": {6}, "four": {4}}.items():
        ends = (other, "one") if direction is INGRESS else ("one", other)
        for version in (4, 6):
            good = {(UDP, 53)} if version in passing else set()
            assert await scene.passes(*ends, *EVERY, version=version) == good, (other, version)
    everywhere = words.Block(ip_network("0.0.0.0/0")), words.Block(ip_network("::/0"))
    open_all = (words.Rule(0, everywhere),)
    given = {"ingress": open_all} if direction is INGRESS else {"egress": open_all}
    await scene.enforce(policy("all", "one", **given))
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
    http = (words.Service(TCP, "http"), words.Service(TCP, "nobody"))
    await scene.enforce(policy("in", "two", "three", ingress=(words.Rule(0, None, http),)))
    assert await scene.passes("one", "two", *asked) == {(TCP, 80)}
    assert await scene.passes("one", "three", *asked) == {(TCP, 8080)}
    for peers in (None, (members("two", "three"),), (words.Members(),)):
        await scene.enforce(policy("out", "one", egress=(words.Rule(0, peers, http),)))
        assert await scene.passes("one", "two", *asked) == {(TCP, 80)}
        assert await scene.passes("one", "three", *asked) == {(TCP, 8080)}
    await scene.enforce(policy("out", "one", egress=(words.Rule(0, (members("two"),), http),)))
    assert await scene.passes("one", "two", *asked) == {(TCP, 80)}
    assert await scene.passes("one", "three", *asked) == set()
    mixed = (words.Service(UDP, 80), words.Service(UDP, "http"))
    await scene.enforce(policy("out", "one", egress=(words.Rule(0, None, mixed),)))
    assert await scene.passes("one", "two", *asked) == {(UDP, 80)}
    assert await scene.passes("one", "three", *asked) == {(UDP, 53), (UDP, 80)}


async def test_a_connection_ends_with_the_rule_that_allowed_it(cluster: Cluster) -> None:
    scene = await flat(cluster, "one", "two")
    await scene.enforce(policy("open", "two", ingress=(words.Rule(0),)))
    assert await scene.answers("one", "two")
    assert (UDP, 80) in await scene.passes("one", "two", (UDP, 80))
    await scene.enforce(policy("open", "two", ingress=()))
    assert await scene.passes("one", "two", *EVERY) == set()
