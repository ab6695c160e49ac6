"""Who holds what: all or nothing, never twice, and the same again from the annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft import errors, model, names, tunnelkeys
from weft.alloc import ledger

BLUE = model.Attachment(model.ObjectKey("shop", "blue"), "shop/blue", "net1")


def network(*subnets: str, **changes: Any) -> model.Network:
    for name in ("exclude_subnets", "reserved_subnets"):
        if name in changes:
            changes[name] = tuple(ip_network(text) for text in changes[name])
    read = tuple(ip_network(text) for text in subnets)
    return model.Network(model.NetworkSpec("blue", model.Topology.LAYER2, 1400, read, **changes), 1)


def nic(pod: str, attachment: str = "shop/blue") -> ledger.AllocationOwner:
    return ledger.AllocationOwner(attachment, pod)


def asking(*texts: str, mac: str = "") -> model.Attachment:
    requested = tuple(ip_interface(text) if "/" in text else ip_address(text) for text in texts)
    return replace(BLUE, addresses=requested, mac=mac)


def shown(allocation: model.Allocation) -> list[str]:
    return [str(address) for address in allocation.addresses]


def test_first_come_first_served() -> None:
    book = ledger.Ledger(network("10.100.200.0/24"))
    assert book.allocate(nic("a"), BLUE) == model.Allocation(
        "0a:58:0a:64:c8:01", (ip_interface("10.100.200.1/24"),), tunnelkeys.FIRST_POD_TUNNEL_KEY
    )
    assert shown(book.allocate(nic("b"), BLUE)) == ["10.100.200.2/24"]
    assert book.usage()[0].used == 2
    assert len(book) == 2


def test_one_address_of_each_family_in_the_networks_order() -> None:
    book = ledger.Ledger(network("fd00::/64", "10.1.0.0/24"))
    first = book.allocate(nic("a"), BLUE)
    assert shown(first) == ["fd00::1/64", "10.1.0.1/24"]
    assert first.mac == "0a:58:0a:01:00:01"
    assert shown(book.allocate(nic("b"), asking("10.1.0.10"))) == ["fd00::2/64", "10.1.0.10/24"]


def test_the_same_owner_gets_the_same() -> None:
    book = ledger.Ledger(network("10.1.0.0/24"))
    first = book.allocate(nic("a"), BLUE)
    assert book.allocate(nic("a"), BLUE) is first
    assert book.allocate(nic("a"), asking("10.1.0.77")) is first
    assert book.usage()[0].used == 1


def test_released_once() -> None:
    book = ledger.Ledger(network("10.1.0.0/24"))
    first = book.allocate(nic("a"), BLUE)
    assert book.release(nic("a")) == first
    assert book.release(nic("a")) is None
    assert book.get(nic("a")) is None
    assert book.usage()[0].used == 0
    assert shown(book.allocate(nic("b"), BLUE)) == ["10.1.0.2/24"], (
        "the freed one waits for its turn"
    )


def test_mac_and_port_key_are_free_again() -> None:
    book = ledger.Ledger(network())
    last = tunnelkeys.LAST_POD_TUNNEL_KEY - tunnelkeys.FIRST_POD_TUNNEL_KEY
    for number in range(last + 1):
        book.allocate(
            nic(f"o{number}"), asking(mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")
        )
    gone = book.release(nic("o7"))
    assert gone is not None
    assert book.owner_label(gone.mac) == ""
    assert book.allocate(nic("new"), asking(mac=gone.mac)) == gone


def test_released_comes_again_after_all_others() -> None:
    book = ledger.Ledger(network("10.1.0.0/29"))
    for owner in "abcdef":
        book.allocate(nic(owner), BLUE)
    book.release(nic("c"))
    assert shown(book.allocate(nic("g"), BLUE)) == ["10.1.0.3/29"]


def test_holder_is_named_by_label() -> None:
    book = ledger.Ledger(network("10.1.0.0/24"))
    held = book.allocate(nic("a"), BLUE, label="Pod shop/web1")
    assert book.owner_label(held.addresses[0].ip) == "Pod shop/web1"
    assert book.owner_label(held.mac) == "Pod shop/web1"
    assert book.owner_label(ip_address("10.1.0.9")) == ""


def test_without_subnets_only_a_mac_and_a_key() -> None:
    book = ledger.Ledger(network())
    first, second = book.allocate(nic("a"), BLUE), book.allocate(nic("b"), BLUE)
    assert first.addresses == ()
    assert first.mac != second.mac
    assert (first.tunnel_id, second.tunnel_id) == (10, 11)
    requested = book.allocate(nic("c"), asking("192.0.2.10/24", "192.0.2.11/24", "fd00::1/64"))
    assert shown(requested) == ["192.0.2.10/24", "192.0.2.11/24", "fd00::1/64"]


def test_without_subnets_who_comes_again_has_its_mac_again() -> None:
    book = ledger.Ledger(network())
    requested = replace(BLUE, identity="shop/blue/Machine/shop/db")
    first = book.allocate(nic("uid-1"), requested)
    beside = book.allocate(nic("uid-2"), requested)
    assert beside.mac != first.mac, "one that is there still has it"
    book.release(nic("uid-1"))
    assert book.allocate(nic("uid-3"), requested).mac == first.mac


def test_routers_and_dns_servers_go_only_to_who_asks() -> None:
    dhcp = model.Dhcp(routers=(ip_address("10.1.0.1"),), dns=(ip_address("10.1.0.2"),))
    book = ledger.Ledger(network("10.1.0.0/24", dhcp=dhcp))
    assert shown(book.allocate(nic("a"), BLUE)) == ["10.1.0.3/24"]
    assert shown(book.allocate(nic("router"), asking("10.1.0.1"))) == ["10.1.0.1/24"]


def test_the_mac_of_the_networks_own_servers_is_nobodys() -> None:
    book = ledger.Ledger(network())
    with pytest.raises(errors.InvalidInput, match="router advertisements"):
        book.allocate(nic("a"), asking(mac=names.SERVER_MAC))
    given = book.allocate(nic("b"), asking("169.254.1.1/16"))  # whose MAC by rule is that one
    assert given.mac != names.SERVER_MAC


def test_the_address_of_the_networks_dhcp_server_is_nobodys() -> None:
    book = ledger.Ledger(network("169.254.1.0/30"))
    with pytest.raises(errors.InvalidInput, match="DHCP server of every network"):
        book.allocate(nic("a"), asking("169.254.1.1"))
    assert shown(book.allocate(nic("b"), BLUE)) == ["169.254.1.2/30"]
    with pytest.raises(errors.Exhausted):
        book.allocate(nic("c"), BLUE)


def test_a_mac_that_somebody_asked_for_is_not_derived_again() -> None:
    book = ledger.Ledger(network("10.1.0.0/24"))
    taken = book.allocate(nic("a"), asking("10.1.0.200", mac="0a:58:0a:01:00:01"))
    assert taken.mac == "0a:58:0a:01:00:01"
    other = book.allocate(nic("b"), BLUE)
    assert shown(other) == ["10.1.0.1/24"]
    assert other.mac != taken.mac


HELD = ("10.1.0.50", "02:00:00:00:00:50")


@pytest.mark.parametrize(
    ("subnets", "requested", "kind", "says"),
    [
        (("10.1.0.0/24",), asking("10.1.0.50"), errors.Conflict, "held by Pod shop/holder"),
        (("10.1.0.0/24",), asking("10.1.0.50/24"), errors.Conflict, "held by Pod shop/holder"),
        (
            ("10.1.0.0/24",),
            asking(mac="02:00:00:00:00:50"),
            errors.Conflict,
            'mac "02:00:00:00:00:50": is held by Pod shop/holder',
        ),
        (
            ("10.1.0.0/24",),
            asking("10.2.0.5"),
            errors.InvalidInput,
            "outside of subnet 10.1.0.0/24",
        ),
        (("10.1.0.0/24",), asking("10.1.0.17"), errors.InvalidInput, "excludeSubnets"),
        (("10.1.0.0/24",), asking("10.1.0.0"), errors.InvalidInput, "itself"),
        (("10.1.0.0/24",), asking("10.1.0.255"), errors.InvalidInput, "broadcast"),
        (("10.1.0.0/24",), asking("10.1.0.5/16"), errors.InvalidInput, "another prefix length"),
        (
            ("10.1.0.0/24",),
            asking("fd00::5"),
            errors.InvalidInput,
            "is IPv6, but the network has only 10.1.0.0/24",
        ),
        (
            ("10.1.0.0/24", "fd00::/64"),
            asking("10.1.0.5", "10.1.0.6"),
            errors.InvalidInput,
            "second IPv4 address beside 10.1.0.5",
        ),
        ((), asking("10.1.0.5"), errors.InvalidInput, "needs a prefix length"),
        ((), asking("10.1.0.50/24"), errors.Conflict, "held by Pod shop/holder"),
    ],
)
def test_refused_and_nothing_changed(
    subnets: tuple[str, ...],
    requested: model.Attachment,
    kind: type[errors.WeftError],
    says: str,
) -> None:
    excluded = {"exclude_subnets": ("10.1.0.16/28",)} if subnets else {}
    book = ledger.Ledger(network(*subnets, **excluded))
    held = asking(HELD[0] if subnets else f"{HELD[0]}/24", mac=HELD[1])
    book.allocate(nic("holder"), held, label="Pod shop/holder")
    before = book.allocations(), book.usage()
    with pytest.raises(kind) as caught:
        book.allocate(nic("b"), requested, label="Pod shop/web1")
    assert says in str(caught.value)
    assert str(caught.value).startswith("Pod shop/web1, attachment shop/blue to network blue: ")
    assert caught.value.hint
    assert (book.allocations(), book.usage()) == before


def leaving_by(*gateways: str, ips: tuple[str, ...] = ()) -> model.Attachment:
    return replace(asking(*ips), default_route=tuple(ip_address(each) for each in gateways))


def test_nobody_becomes_the_gateway_that_its_own_default_route_names() -> None:
    book = ledger.Ledger(network("10.1.0.0/24", "fd00::/64"))
    first = book.allocate(nic("a"), leaving_by("10.1.0.1", "fd00::1"))
    assert shown(first) == ["10.1.0.2/24", "fd00::2/64"]
    assert shown(book.allocate(nic("b"), BLUE)) == ["10.1.0.1/24", "fd00::1/64"]
    assert shown(book.allocate(nic("c"), BLUE)) == ["10.1.0.3/24", "fd00::3/64"]
    assert shown(book.allocate(nic("router"), leaving_by("fe80::1"))) == [
        "10.1.0.4/24",
        "fd00::4/64",
    ]


def test_a_gateway_that_alone_is_free_leaves_nothing() -> None:
    book = ledger.Ledger(network("10.1.0.0/30"))
    book.allocate(nic("a"), asking("10.1.0.2"))
    with pytest.raises(errors.Exhausted, match=r"all but 10\.1\.0\.1, its own gateway, are taken"):
        book.allocate(nic("b"), leaving_by("10.1.0.1"))
    assert shown(book.allocate(nic("c"), BLUE)) == ["10.1.0.1/30"]


@pytest.mark.parametrize(
    ("subnets", "requested", "says"),
    [
        (("10.1.0.0/24",), leaving_by("10.2.0.1"), '"10.2.0.1": lies outside of 10.1.0.0/24'),
        (("10.1.0.0/24",), leaving_by("fd00::1"), '"fd00::1": is IPv6, but the attachment has'),
        (("10.1.0.0/24",), leaving_by("10.1.0.9", ips=("10.1.0.9",)), "is the attachment's own"),
        ((), leaving_by("10.1.0.1"), "the attachment has no address"),
        ((), leaving_by("10.1.0.1", ips=("10.3.0.2/24",)), "lies outside of 10.3.0.0/24"),
    ],
)
def test_a_gateway_that_cannot_be_reached_is_refused(
    subnets: tuple[str, ...], requested: model.Attachment, says: str
) -> None:
    book = ledger.Ledger(network(*subnets))
    before = book.allocations(), book.usage()
    with pytest.raises(errors.InvalidInput) as caught:
        book.allocate(nic("b"), requested, label="Pod shop/web1")
    assert "default-route" in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.hint
    assert (book.allocations(), book.usage()) == before


def test_two_interfaces_of_one_pod_that_ask_for_the_same_are_reported_so() -> None:
    book = ledger.Ledger(network("10.1.0.0/24"))
    requested = asking(mac="02:00:00:00:00:01")
    book.allocate(nic("uid-1"), requested, label="Pod shop/a")
    with pytest.raises(errors.Conflict, match="is held by attachment shop/blue of the same pod"):
        book.allocate(
            nic("uid-1", "shop/blue/1"), asking(mac="02:00:00:00:00:01"), label="Pod shop/a"
        )
    with pytest.raises(errors.Conflict, match="is held by Pod shop/a"):  # its earlier incarnation
        book.allocate(nic("uid-2"), requested, label="Pod shop/a")


def test_exhausted_in_one_family_takes_nothing_of_the_other() -> None:
    book = ledger.Ledger(network("fd00::/64", "10.1.0.0/30"))
    book.allocate(nic("a"), BLUE)
    book.allocate(nic("b"), BLUE)
    before = book.usage()
    with pytest.raises(errors.Exhausted, match=r"subnet 10\.1\.0\.0/30: all 2 are taken"):
        book.allocate(nic("c"), BLUE)
    assert book.usage() == before
    book.release(nic("a"))
    assert shown(book.allocate(nic("c"), BLUE)) == ["fd00::3/64", "10.1.0.1/30"]


def test_exhausted_by_exclusion() -> None:
    book = ledger.Ledger(network("10.1.0.0/30", exclude_subnets=("10.1.0.0/31", "10.1.0.2/31")))
    with pytest.raises(errors.Exhausted, match="excludeSubnets leaves none"):
        book.allocate(nic("a"), BLUE)


def test_exhausted_port_keys() -> None:
    book = ledger.Ledger(network())
    for key in range(tunnelkeys.FIRST_POD_TUNNEL_KEY, tunnelkeys.LAST_POD_TUNNEL_KEY + 1):
        book.reserve(
            nic(f"o{key}"), model.Allocation(f"02:00:00:00:{key >> 8:02x}:{key & 255:02x}", (), key)
        )
    with pytest.raises(errors.Exhausted, match="no port key is free"):
        book.allocate(nic("a"), BLUE)


def entry(text: str, mac: str = "02:00:00:00:00:01", key: int = 10) -> model.Allocation:
    return model.Allocation(mac, (ip_interface(text),), key)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (
            entry("10.1.0.5/24", "02:00:00:00:00:02", 11),
            'address "10.1.0.5": is held by Pod shop/a',
        ),
        (entry("10.1.0.6/24", key=11), 'mac "02:00:00:00:00:01": is held by Pod shop/a'),
        (entry("10.1.0.6/24", "02:00:00:00:00:02"), "tunnel_id 10: is held by Pod shop/a"),
    ],
)
def test_two_annotations_that_contradict(second: model.Allocation, says: str) -> None:
    book = ledger.Ledger(network("10.1.0.0/24"))
    book.reserve(nic("a"), entry("10.1.0.5/24"), label="Pod shop/a")
    with pytest.raises(errors.Conflict, match=says):
        book.reserve(nic("b"), second, label="Pod shop/b")
    assert list(book.allocations()) == [nic("a")]
    assert book.usage()[0].used == 1


@pytest.mark.parametrize(
    "changed",
    [entry("10.1.0.6/24"), entry("10.1.0.5/24", "02:00:00:00:00:02"), entry("10.1.0.5/24", key=11)],
)
def test_what_a_pod_was_given_never_changes(changed: model.Allocation) -> None:
    book = ledger.Ledger(network("10.1.0.0/24"))
    book.reserve(nic("a"), entry("10.1.0.5/24"))
    book.reserve(nic("a"), entry("10.1.0.5/24"))
    with pytest.raises(errors.InvalidInput, match="earlier allocation"):
        book.reserve(nic("a"), changed)


def test_older_addresses_of_a_changed_network_are_held_and_released() -> None:
    book = ledger.Ledger(network("10.1.0.0/24", exclude_subnets=("10.1.0.0/28",)))
    book.reserve(nic("old"), entry("10.9.0.5/24"))
    book.reserve(nic("excluded"), entry("10.1.0.5/24", "02:00:00:00:00:02", 3))
    assert book.owner_label(ip_address("10.9.0.5")) == "shop/blue/old"
    assert book.release(nic("old"))
    assert book.release(nic("excluded"))
    assert book.usage()[0].used == 0


# The invariants, over any course of events.

OWNERS = st.sampled_from([nic(f"o{number}") for number in range(12)])
WISHES = st.sampled_from(
    [BLUE, BLUE, BLUE]
    + [asking(f"10.1.0.{host}") for host in range(0, 16, 2)]
    + [asking("fd00::5"), asking("10.1.0.6", "fd00::6/64"), asking(mac="0a:58:0a:01:00:03")]
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("allocate"), OWNERS, WISHES),
        st.tuples(st.just("release"), OWNERS, st.none()),
    ),
    max_size=40,
)
NETWORKS = st.sampled_from(
    [
        network("10.1.0.0/28", exclude_subnets=("10.1.0.4/31",), reserved_subnets=("10.1.0.8/31",)),
        network("10.1.0.0/28", "fd00::/64"),
        network("fd00::/125"),
        network(),
    ]
)


def played(book: ledger.Ledger, events: list[tuple[str, ledger.AllocationOwner, Any]]) -> None:
    for event, owner, requested in events:
        if event == "release":
            book.release(owner)
            continue
        before = book.allocations(), book.usage()
        try:
            book.allocate(owner, requested)
        except (errors.Conflict, errors.InvalidInput):
            assert (book.allocations(), book.usage()) == before


@settings(max_examples=200)
@given(NETWORKS, EVENTS)
def test_nothing_is_held_twice_and_nothing_given_that_is_excluded(
    declared: model.Network, events: list[tuple[str, ledger.AllocationOwner, Any]]
) -> None:
    book = ledger.Ledger(declared)
    played(book, events)
    held = list(book.allocations().values())
    addresses = [address.ip for each in held for address in each.addresses]
    assert len(set(addresses)) == len(addresses)
    assert len({each.mac for each in held}) == len(held)
    assert len({each.tunnel_id for each in held}) == len(held)
    for subnet in declared.spec.subnets:
        edges = {subnet.network_address}
        if subnet.version == 4:
            edges.add(subnet.broadcast_address)
        assert not edges & set(addresses)
    for excluded in declared.spec.exclude_subnets:
        assert not any(address in excluded for address in addresses)


@given(NETWORKS, EVENTS, st.randoms(use_true_random=False))
def test_rebuilt_in_any_order_it_is_the_same(
    declared: model.Network, events: list[tuple[str, ledger.AllocationOwner, Any]], chance: Any
) -> None:
    book = ledger.Ledger(declared)
    played(book, events)

    def rebuilt(shuffle: Callable[[list[Any]], None]) -> ledger.Ledger:
        entries = list(book.allocations().items())
        shuffle(entries)
        fresh = ledger.Ledger(declared)
        for owner, allocation in entries:
            fresh.reserve(owner, allocation)
        return fresh

    one, other = rebuilt(lambda entries: entries.reverse()), rebuilt(chance.shuffle)
    assert one.allocations() == other.allocations() == book.allocations()
    assert one.usage() == other.usage() == book.usage()
    for owner in sorted(book.allocations())[::2]:
        assert one.release(owner) == other.release(owner)
    for name in ("new1", "new2", "new3"):
        answers = []
        for each in (one, other):
            try:
                answers.append(repr(each.allocate(nic(name), BLUE)))
            except errors.Exhausted as error:
                answers.append(str(error))
        assert answers[0] == answers[1]


@given(NETWORKS, EVENTS)
def test_when_all_have_gone_all_is_free(
    declared: model.Network, events: list[tuple[str, ledger.AllocationOwner, Any]]
) -> None:
    book = ledger.Ledger(declared)
    played(book, events)
    for owner in list(book.allocations()):
        book.release(owner)
    assert book.usage() == ledger.Ledger(declared).usage()
    assert len(book) == 0


def test_pairs_keep_back_their_range_unless_it_is_the_whole_subnet() -> None:
    for pairs, total in (("10.1.0.8/29", 246), ("10.0.0.0/8", 254)):
        permits = model.Permits(address_pairs=(ip_network(pairs),))
        usage = ledger.Ledger(network("10.1.0.0/24", permits=permits)).usage()
        assert sum(each.total for each in usage) == total
