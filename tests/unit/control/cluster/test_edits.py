"""Which edits reach pods that run, and what is told of those that do not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from weft import model
from weft.control.cluster import edits
from weft.control.cluster.nads import Nad
from weft.model import ObjectKey

NETS = (ip_network("10.1.0.0/24"),)
ACCEPTED = model.NetworkSpec("blue", model.Topology.LAYER2, 1300, NETS, allow_persistent_ips=True)


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"name": "red"}, ("name",)),
        ({"topology": model.Topology.LAYER3}, ("topology",)),
        ({"mtu": 1400}, ("mtu",)),
        ({"subnets": (ip_network("10.1.0.0/23"),)}, ("subnets",)),
        ({"subnets": (*NETS, ip_network("fd00:1::/64"))}, ("subnets",)),
        ({"subnets": ()}, ("subnets",)),
        ({"allow_persistent_ips": False}, ("allowPersistentIPs",)),
        ({"dhcp": model.Dhcp(enabled=False)}, ("dhcp.enabled",)),
        ({"mtu": 1400, "subnets": ()}, ("mtu", "subnets")),
        ({"exclude_subnets": (ip_network("10.1.0.8/29"),)}, ()),
        ({"reserved_subnets": (ip_network("10.1.0.8/29"),)}, ()),
        ({"dhcp": model.Dhcp(dns=(ip_address("10.1.0.9"),), lease_seconds=60)}, ()),
        ({"access": model.Access(("tb",))}, ()),
    ],
)
def test_what_waits(change: dict[str, object], keys: tuple[str, ...]) -> None:
    declared = replace(ACCEPTED, **change)  # type: ignore[arg-type]
    assert edits.held_back(ACCEPTED, declared) == keys
    found = Nad(ObjectKey("ta", "blue"), "u", "", spec=declared, accepted=ACCEPTED)
    assert edits.standing(found, used=True) == (ACCEPTED if keys else declared)
    assert edits.standing(found, used=False) == declared


def test_what_gives_counts_at_once() -> None:
    served = replace(ACCEPTED, dhcp=model.Dhcp(enabled=False), allow_persistent_ips=False)
    assert edits.held_back(served, ACCEPTED) == ()


def test_what_is_broken_stands_for_what_was_accepted_while_pods_use_it() -> None:
    found = Nad(ObjectKey("ta", "blue"), "u", "", problem="broken", accepted=ACCEPTED)
    assert edits.standing(found, used=True) == ACCEPTED
    assert edits.standing(found, used=False) is None


def test_what_waits_is_reported_with_both_values_some_pods_and_the_remedy() -> None:
    declared = replace(ACCEPTED, mtu=1400)
    found = Nad(ObjectKey("ta", "blue"), "u", "", spec=declared, accepted=ACCEPTED)
    pods = [f"Pod ta/p{number}" for number in range(12)]
    assert edits.waits(found, ("mtu",), pods, len(pods)) == (
        "NetworkAttachmentDefinition ta/blue: an edit waits until no pod uses network blue, which "
        "goes on as it was: mtu 1400 (pods run with 1300); it is used by "
        + ", ".join(pods[:10])
        + " and 2 more (delete and recreate all these pods at the same time, or undo the edit)"
    )


def test_an_address_that_a_pod_may_have_becomes_no_dns_server() -> None:
    server = ip_address("10.1.0.254")
    outside = model.Dhcp(dns=(ip_address("10.1.0.53"),))
    accepted = replace(ACCEPTED, dns_records=True, dhcp=outside)
    declared = replace(ACCEPTED, dns_records=True, dns_servers=(server,))
    assert edits.held_back(accepted, declared) == ("dhcp.dns",)
    assert edits.held_back(declared, accepted) == ()
