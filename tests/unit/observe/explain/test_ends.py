"""Which port of the cluster an end is: by name, by an address, of a machine that does not run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.observe.explain.test_question import asked, network, on_blue, world
from tests.unit.observe.test_members import entry, pod
from weft import errors
from weft.observe.explain import naming, sentence
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
    found = naming.Found(Objects((routed,), (), (of_a,)))
    explained = sentence.explain(asked(found, target="10.9.4.1"))
    assert explained.outcome is Outcome.UNKNOWN, explained.sentence
    seen = [step.seen for step in explained.steps if step.name == "target"]
    assert seen == ["10.9.4.1, the router of default/a's subnet"]
    explained = sentence.explain(asked(found, target="10.9.4.2"))
    assert "nobody on blue holds 10.9.4.2" in explained.sentence


def test_an_address_to_which_no_network_leads_may_be_reached_all_the_same() -> None:
    explained = sentence.explain(asked(world(), target="10.96.0.10"))
    assert explained.outcome is Outcome.UNKNOWN
    seen = {step.name: step.seen for step in explained.steps}
    assert seen["network"] == (
        "10.96.0.10 is in no subnet of a network that the other is on: default/a is on blue; name "
        "a member, or --network for one with a router that leads there (the cluster's own network "
        "is not followed)"
    )


def test_of_several_nics_on_a_network_one_is_named_or_it_is_said_which_was_taken() -> None:
    twice = {"default/blue": entry(2, "10.9.0.2/24"), "default/blue/1": entry(3, "10.9.0.3/24")}
    found = world(pods=(on_blue("a", 1), pod("b", "blue,blue", twice)))
    explained = {
        target: sentence.explain(asked(found, target=target))
        for target in ("b", "b@net1", "pod/default/b@net2", "10.9.0.3")
    }
    steps = {
        target: {step.name: step.seen for step in each.steps} for target, each in explained.items()
    }
    assert {name: one["target attachment"][:4] for name, one in steps.items()} == {
        "b": "net1",
        "b@net1": "net1",
        "pod/default/b@net2": "net2",
        "10.9.0.3": "net2",
    }
    notes = {name: one.get("target NIC") for name, one in steps.items()}
    assert notes.pop("b") == "it is on blue by others, too: name default/b@net2"
    assert not any(notes.values())
    with pytest.raises(errors.InvalidInput, match="has no such interface on the network: net1, ne"):
        asked(found, target="b@net7")


@pytest.mark.parametrize(("state", "told"), [({}, True), ({"completed": True}, False)])
def test_a_machine_that_migrates_may_be_elsewhere_soon(state: Any, told: bool) -> None:
    nodes = {"sourceNode": "node1", "targetNode": "node2"}
    moving = {"migrationState": {**nodes, "startTimestamp": "2026-01-01T00:00:00Z", **state}}
    vmi = {"metadata": {"namespace": "default", "name": "vm"}, "status": moving}
    launcher = on_blue("b", 2)
    launcher["metadata"]["labels"] = {"vm.kubevirt.io/name": "vm"}
    found = world(pods=(on_blue("a", 1), launcher), instances=(vmi,))
    seen = {step.name: step.seen for step in sentence.explain(asked(found, target="vm/vm")).steps}
    expected = "default/vm is migrating from node1 to node2: what is seen now may change"
    assert seen.get("target migration") == (expected if told else None)


@pytest.mark.parametrize(
    ("vlan", "outcome", "told"),
    [
        (
            21,
            Outcome.STOPPED,
            "default/a is in VLAN 20 on physical network physnet (dmz), and default/b in VLAN 21 "
            "(office)",
        ),
        (None, Outcome.STOPPED, "(dmz), and default/b untagged (office)"),
        (20, Outcome.UNKNOWN, "dmz and office are both in VLAN 20 on physical network physnet"),
    ],
)
def test_networks_beside_each_other_on_a_wire(vlan: Any, outcome: Outcome, told: str) -> None:
    lane = {"topology": "localnet", "physicalNetworkName": "physnet"}
    nads = (
        network("dmz", subnets="10.7.0.0/24", vlanID=20, **lane),
        network("office", subnets="10.7.0.0/24", **lane, **({"vlanID": vlan} if vlan else {})),
    )
    pods = (
        pod("a", "dmz", {"default/dmz": entry(1, "10.7.0.1/24")}),
        pod("b", "office", {"default/office": entry(2, "10.7.0.2/24")}),
    )
    explained = sentence.explain(asked(naming.Found(Objects(nads, (), pods))))
    assert explained.outcome is outcome
    assert told in explained.sentence
