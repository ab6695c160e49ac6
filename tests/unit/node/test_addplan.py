"""What an ADD is about: which network is meant, and what else the pod has of it."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from weft import errors, model, names
from weft.api import podsignature
from weft.api.pod import Pod, read
from weft.model import ObjectKey
from weft.nic import plan, port
from weft.node import addplan

NAD, POD = ObjectKey("default", "blue"), ObjectKey("default", "one")
BLUE = model.NetworkSpec("blue", model.Topology.LAYER2, 1400, ())
WRONG = errors.InvalidInput(
    "NetworkAttachmentDefinition default/wrong", "spec.config.mtu", 5, "must be at least 576"
)


def network_of(key: ObjectKey) -> model.NetworkSpec | None:
    if key == ObjectKey("default", "wrong"):
        raise WRONG
    return BLUE if key.name == "blue" and key.namespace in ("default", "other") else None


DEPENDENCIES: Any = SimpleNamespace(network_of=network_of, check_use=lambda nad, pod: None)


def pod(networks: str) -> Pod:
    notes = {names.NETWORKS: networks}
    return read({"metadata": {"name": "one", "namespace": "default", "annotations": notes}})


def test_a_nad_that_is_not_there_and_one_that_is_wrong_are_told_apart() -> None:
    assert addplan.spec_of(ObjectKey("default", "blue"), DEPENDENCIES) is BLUE
    with pytest.raises(errors.NotReady, match="default/red: does not exist"):
        addplan.spec_of(ObjectKey("default", "red"), DEPENDENCIES)
    with pytest.raises(errors.InvalidInput, match=r"spec.config.mtu 5: must be at least 576"):
        addplan.spec_of(ObjectKey("default", "wrong"), DEPENDENCIES)


@pytest.mark.parametrize(
    ("networks", "peers"),
    [
        ("blue", ()),
        ("blue, blue", ("net2",)),
        ("blue, other/blue@data0", ("data0",)),
        ("blue, blue, blue", ("net2", "net3")),
        ("blue, red", ()),
        ("blue, wrong", ()),
    ],
)
def test_what_is_wrong_with_another_nad_is_none_of_this_ones_business(
    networks: str, peers: tuple[str, ...]
) -> None:
    asked = pod(networks)
    first = model.Attachment(nad=ObjectKey("default", "blue"), key="default/blue", interface="net1")
    assert addplan.peers(asked, first, BLUE, DEPENDENCIES) == peers


def test_no_interface_waits_where_the_pod_may_not_use_one_of_its_networks() -> None:
    """What is decided is decided at once, so the first interface would wait for the second."""

    def check_use(nad: ObjectKey, asked: Pod) -> None:
        if nad == ObjectKey("other", "blue"):
            raise errors.NotReady("may not use network blue", where="Pod default/one")

    decided = SimpleNamespace(allocations={})
    deps: Any = SimpleNamespace(
        network_of=network_of, check_use=check_use, decided=lambda pod: decided
    )
    call: Any = SimpleNamespace(uid="", nad=NAD, interface="net1", pod=POD)
    assert not addplan.is_decided(pod("blue, blue"), call, deps)
    with pytest.raises(errors.NotReady, match="may not use"):
        addplan.is_decided(pod("blue, other/blue"), call, deps)


@pytest.mark.parametrize(
    ("networks", "blamed"),
    [
        ("blue, red", "NetworkAttachmentDefinition default/red: does not exist"),
        ("blue, wrong", "NetworkAttachmentDefinition default/wrong: spec.config.mtu 5"),
        ("blue, red, wrong", "default/red: does not exist; NetworkAttachmentDefinition default/w"),
        ("blue, ta/blue", "Pod default/one: may not use network blue"),
        ("blue, macvlan", "no decision yet for default/blue$"),
        ("blue, other/blue", "no decision yet for default/blue, other/blue$"),
    ],
)
def test_the_network_that_holds_up_a_pod_is_named_and_no_other(networks: str, blamed: str) -> None:
    """The call is about the first one; the manager decides about all of a pod's, or about none."""

    def check_use(nad: ObjectKey, asked: Pod) -> None:
        if nad == ObjectKey("ta", "blue"):
            raise errors.NotReady("may not use network blue", where="Pod default/one")

    asked = pod(networks)
    deps: Any = SimpleNamespace(
        network_of=network_of,
        check_use=check_use,
        decided=lambda pod: SimpleNamespace(allocations={}),
        is_defined=lambda key: key != ObjectKey("default", "red"),
        pods={POD: asked},
    )
    first: Any = SimpleNamespace(nad=NAD, interface="net1", pod=POD)
    message = addplan.held_up_by(first, deps)
    assert re.search(blamed, message)
    assert ("default/blue" in message) == message.startswith("no decision")
    gone: Any = SimpleNamespace(pod=ObjectKey("default", "gone"), nad=None)
    assert addplan.held_up_by(gone, deps) == ""


@pytest.mark.parametrize("mac", ["0a:58:0a:01:00:01", "0a:58:0a:01:00:02", None])
def test_an_interface_with_an_allocation_that_was_taken_away_meanwhile_is_refused(
    mac: str | None,
) -> None:
    there = pod("blue")
    given = model.Allocation("0a:58:0a:01:00:01")
    nic = plan.plan(plan.NicKind.VETH, "sandbox", "net1", BLUE, given)
    owner = port.PortOwner(there.ref, "sandbox", "/run/netns/one", "blue", "default/blue", str(NAD))
    made = addplan.AddPlan(nic, owner, BLUE)
    held = {"default/blue": model.Allocation(mac)} if mac else {}
    deps: Any = SimpleNamespace(
        pods={there.key: there}, decided=lambda _: podsignature.SignedAllocations(held)
    )
    if mac == given.mac:
        addplan.check_unchanged(made, deps)
        return
    with pytest.raises(errors.NotReady, match="another allocation while"):
        addplan.check_unchanged(made, deps)
