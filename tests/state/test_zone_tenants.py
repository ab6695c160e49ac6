"""A zone has no port of a pod that may not use the network, in whatever order it came to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from itertools import permutations

import pytest

from tests.support.allocated import allocated_pod
from weft import errors, model
from weft.control.zone import state
from weft.control.zone.objects import AllocatedPod, Namespace
from weft.labels import Operator, Requirement, Selector
from weft.model import ObjectKey
from weft.ovn import ports
from weft.policy import netpolicy

Step = Callable[[state.Zone], None]
TRUSTED = Selector((Requirement("tier", Operator.IN, ("trusted",)),))
OWNER, GUEST = ("1", "current", "2026-01-02"), ("2", "current", "2026-01-01")


def declared(
    nad: str, age: tuple[str, ...] = OWNER, access: model.Access | None = None
) -> state.DeclaredNetwork:
    spec = model.NetworkSpec(
        "blue",
        model.Topology.LAYER2,
        1300,
        (ip_network("10.1.0.0/24"),),
        access=access or model.Access(),
    )
    return state.DeclaredNetwork(model.Network(spec, 1, ObjectKey.parse(nad)), age)


def pod(namespace: str, nad: str, number: int, node: str = "node1") -> AllocatedPod:
    address = (ip_interface(f"10.1.0.{number}/24"),)
    made = {nad: model.Allocation(f"0a:58:00:00:00:{number:02x}", address, number)}
    return allocated_pod(
        model.PodRef(model.ObjectKey(namespace, f"p{number}"), f"u{number}"), node, made
    )


def namespace(name: str, **labels: str) -> Step:
    return lambda zone: zone.set_namespace(name, Namespace(labels))


def define(nad: str, *args: object) -> Step:
    return lambda zone: zone.set_nad(ObjectKey.parse(nad), declared(nad, *args))  # type: ignore[arg-type]


def put(made: AllocatedPod) -> Step:
    return lambda zone: zone.set_pod(made.pod.ref.key, made)


def built(steps: tuple[Step, ...]) -> state.Zone:
    zone = state.Zone("node1", "chassis-1")
    for step in steps:
        step(zone)
    return zone


STEPS: tuple[Step, ...] = (
    define("ta/blue", OWNER, model.Access(("tb",), TRUSTED)),
    define("td/own", GUEST),
    namespace("tc", tier="trusted"),
    put(pod("ta", "ta/blue", 11)),
    put(pod("tb", "ta/blue", 12)),
    put(pod("tc", "ta/blue", 13)),
    put(pod("td", "td/own", 14)),
)


@pytest.mark.parametrize("first", range(len(STEPS)))
def test_in_any_order_those_have_ports_whom_the_owner_lets_in(first: int) -> None:
    rest = STEPS[:first] + STEPS[first + 1 :]
    for order in permutations(rest, 3):
        steps = (STEPS[first], *order, *(step for step in rest if step not in order))
        zone = built(steps)
        found = {port.pod.namespace for port in zone.ports_on("blue")}
        assert found == {"ta", "tb", "tc"}
        assert zone.desired() == built(STEPS).desired()


def test_what_may_be_used_follows_labels_permissions_and_nads() -> None:
    zone = built(STEPS)
    zone.changes()

    def using() -> set[str]:
        return {port.pod.namespace for port in zone.ports_on("blue")}

    namespace("tc", tier="other")(zone)
    assert using() == {"ta", "tb"}
    define("ta/blue", OWNER, model.Access(("td",)))(zone)
    assert using() == {"ta", "td"}
    gone = {key for table, key in zone.changes().nb_gone if table == ports.PORT}
    assert len(gone) == 2
    define("ta/blue")(zone)
    assert using() == {"ta"}
    zone.set_nad(ObjectKey("ta", "blue"), None)
    assert using() == {"td"}


def test_a_nad_of_its_own_that_joined_lets_a_namespace_use_another_one() -> None:
    owner, own = define("ta/blue"), define("default/blue", GUEST)
    across = put(pod("default", "ta/blue", 11))
    for order in permutations((owner, own, across)):
        assert len(list(built(order).ports_on("blue"))) == 1
    zone = built((owner, own, across))
    zone.set_nad(ObjectKey("default", "blue"), None)
    assert not list(zone.ports_on("blue"))


def test_a_pod_that_runs_keeps_what_it_has() -> None:
    runs = pod("tb", "ta/blue", 12)
    runs = replace(runs, pod=replace(runs.pod, is_running=True))
    zone = built((define("ta/blue", OWNER, model.Access(("tb",))), put(runs)))
    zone.changes()
    define("ta/blue")(zone)
    assert not zone.changes().nb_gone
    assert len(list(zone.ports_on("blue"))) == 1
    another = replace(
        runs.pod, ref=model.PodRef(model.ObjectKey("tb", "p12"), "another"), is_running=False
    )
    put(replace(runs, pod=another))(zone)
    assert not list(zone.ports_on("blue"))


def test_what_a_cni_call_is_reported_names_pod_network_owner_and_remedy() -> None:
    zone = built(STEPS)
    zone.networks.check(ObjectKey("ta", "blue"), "blue", ObjectKey("tb", "web"))
    zone.networks.check(ObjectKey("tx", "unknown"), "red", ObjectKey("tx", "web"))
    with pytest.raises(errors.NotReady) as refused:
        zone.networks.check(ObjectKey("te", "mine"), "blue", ObjectKey("te", "thief"))
    message = refused.value.in_full()
    assert message.startswith('Pod te/thief: may not use network "blue" through NetworkAttachment')
    assert "belongs to namespace ta (NetworkAttachmentDefinition ta/blue)" in message
    assert 'add "te" to allowedNamespaces' in message


def test_global_namespaces_are_reported_to_the_zone() -> None:
    zone = state.Zone("node1", "chassis-1", global_namespaces=frozenset({"default", "shared"}))
    for step in (define("shared/blue"), put(pod("tb", "shared/blue", 12))):
        step(zone)
    assert len(list(zone.ports_on("blue"))) == 1


def test_a_policy_of_another_namespace_guards_none_of_the_owners_pods() -> None:
    zone = built(STEPS)
    zone.changes()
    both = frozenset(netpolicy.Direction)
    foreign = netpolicy.Policy(
        "te", "x", "u", (ObjectKey("ta", "blue"),), netpolicy.EVERYTHING, both
    )
    zone.policies.set_policy(ObjectKey("te", "x"), foreign)
    assert zone.changes() == state.RowChanges()
    zone.policies.set_policy(ObjectKey("ta", "x"), replace(foreign, namespace="ta"))
    assert zone.changes().nb  # as its own namespace's does


def test_a_note_of_ownership_on_another_nad_takes_no_network_away() -> None:
    """Before the cluster manager takes it off again; that NAD may be the older one."""
    zone = built(STEPS)
    before = zone.desired()
    forged = declared("te/mine", ("1", "current", "2025-01-01"), model.Access(("te",)))
    other = replace(forged.network, spec=replace(forged.network.spec, mtu=600, subnets=()))
    zone.set_nad(ObjectKey("te", "mine"), replace(forged, network=other))
    put(pod("te", "te/mine", 15))(zone)
    assert zone.desired() == before
    with pytest.raises(errors.NotReady):
        zone.networks.check(ObjectKey("te", "mine"), "blue", ObjectKey("te", "thief"))
    zone.set_nad(ObjectKey("ta", "blue"), None)
    assert {port.pod.namespace for port in zone.ports_on("blue")} == {"te"}
