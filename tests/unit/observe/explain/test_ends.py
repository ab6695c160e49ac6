"""Which port of the cluster an end is: by name, by an address, of a machine that does not run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.observe.explain.test_question import asked, network, on_blue, world
from tests.unit.observe.test_members import entry, pod
from weft import errors
from weft.observe.explain import ends, sentence
from weft.observe.explain.sentence import Outcome
from weft.observe.members import Objects

BOTH = {"default/blue": entry(1, "10.9.0.1/24"), "default/red": entry(4, "10.8.0.1/24")}


def halted(name: str, *networks: str) -> dict[str, Any]:
    """A VirtualMachine that does not run."""
    listed = [{"name": one, "multus": {"networkName": one}} for one in networks]
    devices = {"interfaces": [{"name": one, "bridge": {}} for one in networks]}
    spec = {"networks": listed, "domain": {"devices": devices}}
    meta = {"namespace": "default", "name": name}
    return {"metadata": meta, "spec": {"template": {"spec": spec}}}


def test_an_address_is_that_of_one_nic_of_several_on_a_network() -> None:
    twice = {"default/blue": entry(2, "10.9.0.2/24"), "default/blue/1": entry(3, "10.9.0.3/24")}
    pods = (on_blue("a", 1), pod("b", "blue,blue", twice))
    first, second = (asked(world(pods=pods), target=one).target for one in ("b", "10.9.0.3"))
    assert [one.member.mac[-2:] for one in (first, second)] == ["02", "03"]
    assert [one.interface for one in (first, second)] == ["net1", "net2"]
    assert first.port != second.port
    assert str(second.address) == str(second.allocated[0].ip) == "10.9.0.3"


def test_an_end_is_not_asked_about_itself_by_its_address() -> None:
    for target in ("10.9.0.1", "pod/a"):
        with pytest.raises(errors.InvalidInput, match="is A itself"):
            asked(world(), target=target)


@pytest.mark.parametrize(
    ("declared", "on"), [(("red",), " on red"), (("blue",), " on blue"), ((), "")]
)
def test_a_machine_that_is_stopped_is_on_what_it_declares(declared: Any, on: str) -> None:
    found = world(pods=(pod("a", "blue,red", BOTH),))
    evidence = asked(replace(found, machines=[halted("s", *declared)]), target="vm/s")
    explained = sentence.explain(evidence)
    assert explained.sentence == (
        f"default/a does not reach default/s by TCP port 443{on}: virtual machine default/s is "
        "stopped; virtctl start s -n default."
    )
    wrong = [step.seen for step in explained.steps if " is not on " in step.seen]
    assert wrong == []


def test_ends_without_addresses_of_one_family() -> None:
    pods = (on_blue("a", 1), pod("b", "blue", {"default/blue": entry(2, "fd01::2/64")}))
    found = sentence.explain(asked(world(pods=pods)))
    assert (found.outcome, found.cause) == (Outcome.STOPPED, "addresses")
    assert found.sentence.startswith(
        "default/a does not reach default/b by TCP port 443 on blue: default/a has IPv4 alone "
        "(10.9.0.1), and default/b IPv6 alone (fd01::2); "
    )


def test_the_router_of_a_nodes_subnet_is_held_by_no_pod() -> None:
    routed = network("blue", subnets="10.9.0.0/16/24", topology="layer3")
    of_a = pod("a", "blue", {"default/blue": entry(1, "10.9.4.5/24")})
    found = ends.Found(Objects((routed,), (), (of_a,)))
    explained = sentence.explain(asked(found, target="10.9.4.1"))
    assert explained.outcome is Outcome.UNKNOWN, explained.sentence
    seen = [step.seen for step in explained.steps if step.name == "target"]
    assert seen == ["10.9.4.1, the router of default/a's subnet"]
    explained = sentence.explain(asked(found, target="10.9.4.2"))
    assert "nobody on blue holds 10.9.4.2" in explained.sentence


def test_an_address_of_the_clusters_own_network_is_not_followed() -> None:
    explained = sentence.explain(asked(world(), target="10.96.0.10"))
    assert explained.sentence == (
        "default/a does not reach 10.96.0.10 by TCP port 443: they share no network: default/a is "
        "on blue; name the address of a member, or an address in a subnet of the network (the "
        "cluster's own network, with its Services, is not followed)."
    )
