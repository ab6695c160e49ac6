"""Which two pods of a virtual machine share an allocation: live migrations, and lost nodes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.state.test_machine_claims import (
    KEY,
    begun,
    held,
    interface,
    launcher,
    migration,
    nad,
    put,
    remove,
    reported,
    target,
    vm,
    vmi,
    world,
)
from tests.support import cluster_world, objects
from tests.support.cluster_world import stored
from tests.support.manager_state import Killed, Manager, World
from tests.support.objects import Object
from weft import errors, model, names
from weft.api import pod as pods
from weft.api import podnetworks
from weft.control import decisions
from weft.control.cluster.outcome import Ref
from weft.kube.resources import IPAMCLAIMS, NADS, NODES, PODS, VMIMS, VMIS, VMS
from weft.model import ObjectKey
from weft.ovn import ports

SOURCE, TARGET = "virt-launcher-1", "virt-launcher-2"


def instance(node: str = "node1", **state: Any) -> Object:
    made = vmi()
    made["status"] = {"nodeName": node, **({"migrationState": state} if state else {})}
    return made


def moving(persistent: bool = False, *more: tuple[Any, Object]) -> World:
    """A machine that runs on node1, and is about to move to node2."""
    config: dict[str, Any] = (
        {} if persistent else {"persistentIPs": None, "allowPersistentIPs": None}
    )
    there = world((VMS, vm()), (VMIS, instance()), of=nad(**config))
    there.put(NODES, cluster_world.node("node2"))
    there.put(PODS, launcher())
    for each in more:
        there.put(*each)
    return there


def entry(there: World, pod: str = TARGET, key: str = KEY) -> dict[str, Any]:
    notes = there.of(PODS, f"default/{pod}")["metadata"]["annotations"]
    found: dict[str, Any] = json.loads(notes.get(names.POD_NETWORKS) or "{}").get(key, {})
    return found


def shared(there: World, pod: str = TARGET) -> Any:
    return entry(there, pod).get("migration")


def plain(there: World, pod: str) -> dict[str, Any]:
    own = ("migration", "interface", "given")
    return {name: value for name, value in entry(there, pod).items() if name not in own}


def reasons(manager: Manager, pod: str = TARGET) -> str:
    return " ".join(each.message for each in manager.events if each.about.key.name == pod)


@pytest.mark.parametrize("persistent", [False, True], ids=["no claim", "claim"])
def test_a_migrations_target_has_what_its_source_has(persistent: bool) -> None:
    there = moving(persistent)
    manager = begun(there)
    before = plain(there, SOURCE)
    assert before
    put(manager, VMIMS, migration())
    put(manager, PODS, target())
    assert plain(there, TARGET) == before
    assert shared(there) == {"source": SOURCE, "sourceUID": f"uid-{SOURCE}", "active": False}
    assert shared(there, SOURCE) is None
    put(manager, VMIS, instance(migrationUid="job-1", targetNodeDomainReadyTimestamp="2026"))
    assert shared(there)["active"] is True
    manager = begun(there)
    assert shared(there)["active"] is True
    remove(manager, PODS, f"default/{SOURCE}")
    assert shared(there) is None
    assert plain(there, TARGET) == before
    put(manager, PODS, cluster_world.pod("other"))
    assert held(there, "other")[0] not in ("", held(there, TARGET)[0])


def test_a_target_that_asks_for_another_mac_has_its_sources() -> None:
    there = moving(True, (VMIMS, migration()))
    manager = begun(there)
    pod = target()
    listed = json.loads(pod["metadata"]["annotations"][names.NETWORKS])
    asked = json.dumps([{**each, "mac": "02:00:00:00:00:01"} for each in listed])
    pod["metadata"]["annotations"][names.NETWORKS] = asked
    put(manager, PODS, pod)
    assert plain(there, TARGET) == plain(there, SOURCE) != {}


def port(there: World, pod: str = TARGET, key: str = KEY) -> str:
    """The name of the port that a zone gives a pod."""
    ref = model.PodRef(ObjectKey("default", pod), f"uid-{pod}")
    found = podnetworks.parse(there.of(PODS, f"default/{pod}"))
    return ports.of_attachment(key, ref, found[key])


def owned_by(there: World, pod: str, *owners: Object) -> Object:
    """The pod with other owner references, which whoever may patch pods can write."""
    now = there.of(PODS, f"default/{pod}")
    return {**now, "metadata": {**now["metadata"], "ownerReferences": list(owners)}}


def test_both_pods_have_the_port_that_was_signed_whatever_their_owner_references_say() -> None:
    there = moving(False, (VMIMS, migration()))
    manager = begun(there)
    name = port(there, SOURCE)
    assert name == names.machine_port(KEY, "default", "db", entry(there, SOURCE)["tunnel_id"])
    owner = there.of(PODS, f"default/{SOURCE}")["metadata"]["ownerReferences"][0]
    put(manager, PODS, owned_by(there, SOURCE, {**owner, "name": "another"}))
    assert port(there, SOURCE) == name
    put(manager, PODS, owned_by(there, SOURCE, owner))
    put(manager, PODS, target())
    assert port(there) == port(there, SOURCE) == name
    put(manager, PODS, owned_by(there, TARGET))
    manager = begun(there)
    assert port(there) == port(there, SOURCE) == name
    remove(manager, PODS, f"default/{SOURCE}")
    assert port(there) == name


def test_a_pod_that_is_called_a_machines_later_keeps_the_port_that_it_has() -> None:
    there = moving(False)
    plain_pod = launcher("other")
    (owner,) = plain_pod["metadata"].pop("ownerReferences")
    there.put(PODS, plain_pod)
    manager = begun(there)
    name = port(there, "other")
    assert name == names.logical_port(KEY, "default", "other")
    put(manager, PODS, owned_by(there, "other", owner))
    manager = begun(there)
    assert port(there, "other") == name


def test_a_machine_whose_port_has_its_pods_name_gets_one_for_both_when_it_migrates() -> None:
    """As an earlier version signed it."""
    there = moving(False, (VMIMS, migration()))
    pod = there.of(PODS, f"default/{SOURCE}")
    there.put(PODS, owned_by(there, SOURCE))
    manager = begun(there)
    assert "logical_port" not in entry(there, SOURCE)
    put(manager, PODS, owned_by(there, SOURCE, *pod["metadata"]["ownerReferences"]))
    assert "logical_port" not in entry(there, SOURCE)
    put(manager, PODS, target())
    name = names.machine_port(KEY, "default", "db", entry(there, SOURCE)["tunnel_id"])
    assert port(there) == port(there, SOURCE) == name


@pytest.mark.parametrize("persistent", [False, True], ids=["no claim", "claim"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_failed_migration_leaves_the_source_what_it_has(persistent: bool, restart: bool) -> None:
    there = moving(persistent, (VMIMS, migration()), (PODS, target()))
    manager = begun(there)
    before = plain(there, SOURCE)
    assert plain(there, TARGET) == before
    put(manager, VMIS, instance(migrationUid="job-1", targetNodeDomainReadyTimestamp="2026"))
    put(manager, VMIS, instance(migrationUid="job-1", failed=True))
    assert shared(there)["active"] is False
    if restart:
        manager = begun(there)
    remove(manager, PODS, f"default/{TARGET}")
    assert plain(there, SOURCE) == before
    put(manager, PODS, cluster_world.pod("other"))
    assert held(there, "other")[0] not in ("", held(there, SOURCE)[0])


@pytest.mark.parametrize("persistent", [False, True], ids=["no claim", "claim"])
def test_a_machine_keeps_its_address_there_and_back(persistent: bool) -> None:
    there = moving(persistent)
    manager = begun(there)
    before, last = plain(there, SOURCE), SOURCE
    for number in range(2, 6):
        nodes = ("node1", "node2") if number % 2 == 0 else ("node2", "node1")
        name, job = f"virt-launcher-{number}", f"job-{number}"
        put(manager, VMIMS, migration(job))
        put(manager, PODS, target(name, nodes[1], job))
        assert plain(there, name) == before
        assert shared(there, name)["source"] == last
        put(manager, VMIS, instance(nodes[1], migrationUid=job, completed=True))
        assert shared(there, name)["active"] is True
        put(manager, VMIMS, migration(job, phase="Succeeded"))
        if number == 3:
            manager = begun(there)
        remove(manager, PODS, f"default/{last}")
        last = name
    remove(manager, PODS, f"default/{last}")
    if not persistent:
        put(manager, PODS, cluster_world.pod("other"))
        assert held(there, "other")[0] == before["ip_address"], "free when the last one is gone"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"migration": None}, "is not there"),
        ({"migration": migration(phase="Succeeded")}, "is over"),
        ({"migration": migration(machine="other")}, "is not there"),
        ({"migration": migration("job-7")}, "is not there"),
        ({"owner": "vmi-7"}, ""),
        ({"node": "node1"}, "cannot take over"),
    ],
    ids=["no migration", "over", "another machine's", "another one", "no such instance", "node"],
)
def test_a_label_alone_gives_a_pod_nothing_of_a_machine(change: Any, words: str) -> None:
    """The control: with all of it, the pod gets what the source has."""
    there = moving(False)
    manager = begun(there)
    if (made := change.get("migration", migration())) is not None:
        put(manager, VMIMS, made)
    pod = target(node=change.get("node", "node2"))
    if "owner" in change:
        pod["metadata"]["ownerReferences"][0]["uid"] = change["owner"]
    put(manager, PODS, pod)
    assert held(there, TARGET)[0] != held(there, SOURCE)[0]
    assert words in reasons(manager)
    if words:
        assert held(there, TARGET) == ("", "")


def test_a_source_with_an_unplugged_nic_passes_on_what_is_left() -> None:
    """A new pod has other keys than one that lost a NIC."""
    networks = {"lan": "blue", "backup": "blue"}
    there = world((VMS, vm(networks=networks)), of=nad(persistentIPs=None))
    there.put(NODES, cluster_world.node("node2"))
    there.put(VMIS, {**vmi(networks=networks), "status": {"nodeName": "node1"}})
    manager = begun(there)
    put(manager, PODS, launcher(lan="blue", backup="blue"))
    kept = entry(there, SOURCE, f"{KEY}/1")["ip_address"]
    running = there.of(PODS, f"default/{SOURCE}")
    listed = json.loads(running["metadata"]["annotations"][names.NETWORKS])
    report = [
        {"name": KEY, "interface": each["interface"], "ips": [], "mac": ""} for each in listed
    ]
    running["metadata"]["annotations"][names.NETWORK_STATUS] = json.dumps(report)
    running["status"] = {"phase": "Running", "podIP": "10.128.0.9"}
    put(manager, PODS, running)
    for text, key in ((listed[1:], names.NETWORKS), (report[1:], names.NETWORK_STATUS)):
        running = there.of(PODS, f"default/{SOURCE}")
        running["metadata"]["annotations"][key] = json.dumps(text)
        put(manager, PODS, running)
    assert not entry(there, SOURCE)
    put(manager, VMIMS, migration())
    second = target()
    second["metadata"]["annotations"][names.NETWORKS] = json.dumps(listed[1:])
    put(manager, PODS, second)
    assert held(there, TARGET)[0] == kept
    assert port(there) == port(there, SOURCE, f"{KEY}/1")


A, B, C = (interface(name) for name in "abc")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([A, B], [B, A], [1, 0]),
        ([A], [B], [None]),
        ([A], [B, A], [None, 0]),
        ([A, B], [A, C], [0, None]),
        (["net1"], ["net2"], [0]),
        (["net1", "net2"], [A, B], [0, 1]),
        (["net1"], ["net2", "net1"], [None, 0]),
    ],
)
def test_a_nic_has_the_address_of_the_same_nic_and_of_no_other(
    before: list[str], after: list[str], expected: list[int | None]
) -> None:
    there = world((VMIS, instance()), (VMIMS, migration()), of=cluster_world.nad("blue"))
    there.put(NODES, cluster_world.node("node2"))
    pods = {SOURCE: (launcher(), before), TARGET: (target(), after)}
    manager = begun(there)
    for made, interfaces in pods.values():
        listed = json.dumps([{"name": "blue", "interface": each} for each in interfaces])
        made["metadata"]["annotations"][names.NETWORKS] = listed
        put(manager, PODS, made)
    keys = [KEY, f"{KEY}/1"]
    given = [entry(there, SOURCE, key).get("ip_address") for key in keys[: len(before)]]
    got = [entry(there, TARGET, key).get("ip_address") for key in keys[: len(after)]]
    assert all(got)
    assert [given.index(each) if each in given else None for each in got] == expected


def test_a_third_pod_of_a_migration_waits_and_says_for_whom() -> None:
    there = moving(False, (VMIMS, migration()), (PODS, target()))
    manager = begun(there)
    put(manager, PODS, target("virt-launcher-3"))
    assert held(there, "virt-launcher-3") == ("", "")
    assert f"default/{SOURCE}, default/{TARGET}" in reasons(manager, "virt-launcher-3")
    remove(manager, PODS, f"default/{TARGET}")
    assert plain(there, "virt-launcher-3") == plain(there, SOURCE)


@pytest.mark.parametrize("waiting", ["migration", "third"])
def test_a_target_that_waits_says_nothing_of_the_claim_that_its_machine_uses(waiting: str) -> None:
    """Its pod alone lacks something: the claim keeps what it kept, and the machine runs."""
    there = moving(True)
    manager = begun(there)
    if waiting == "third":
        put(manager, VMIMS, migration())
        put(manager, PODS, target())
    last = "virt-launcher-3" if waiting == "third" else TARGET
    put(manager, PODS, target(last))
    assert held(there, last) == ("", "")
    assert reasons(manager, last)
    assert kept(there) == "True"
    assert not reported(manager)
    if waiting == "third":
        remove(manager, PODS, f"default/{TARGET}")
    else:
        put(manager, VMIMS, migration())
    assert held(there, last) == held(there, SOURCE)
    assert kept(there) == "True"


def kept(there: World) -> str:
    """Whether the machine's claim says that it has its addresses."""
    (claim,) = there.all(IPAMCLAIMS).values()
    return str(claim["status"]["conditions"][0]["status"])


def test_a_pod_that_hides_whose_it_is_shares_as_before_and_counts() -> None:
    there = moving(False, (VMIMS, migration()), (PODS, target()))
    manager = begun(there)
    before = plain(there, SOURCE)
    put(manager, PODS, owned_by(there, TARGET))
    put(manager, PODS, target("virt-launcher-3"))
    assert held(there, "virt-launcher-3") == ("", "")
    assert shared(there)["active"] is False, "the machine runs in the source still"
    assert f"default/{SOURCE}, default/{TARGET}" in reasons(manager, "virt-launcher-3")
    remove(manager, PODS, f"default/{TARGET}")
    assert plain(there, "virt-launcher-3") == before
    remove(manager, PODS, f"default/{SOURCE}")
    put(
        manager, PODS, cluster_world.pod("other", [{"name": "blue", "ips": before["ip_addresses"]}])
    )
    assert held(there, "other") == ("", "")
    remove(manager, PODS, "default/virt-launcher-3")
    assert held(there, "other")[0] == before["ip_address"], "free when the last one is gone"


def test_pods_that_hold_nothing_do_not_wait_for_each_other() -> None:
    there = World()
    there.put(NODES, cluster_world.node("node2"))
    for each in ((VMIS, instance()), (VMIMS, migration())):
        there.put(*each)
    pods = [f"virt-launcher-{number}" for number in range(2, 5)]
    for name in pods:
        there.put(PODS, target(name))
    manager = begun(there)
    put(manager, NADS, nad(persistentIPs=None, allowPersistentIPs=None))
    assert len({held(there, name) for name in pods} - {("", "")}) >= 1


def test_many_pods_that_name_a_machine_are_decided_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = moving(False, (VMIMS, migration()), (PODS, target()))
    manager = begun(there)
    looked, look = Counter[str](), manager.look

    def count(ref: Ref) -> None:
        looked[ref.key.name] += ref.resource is PODS
        look(ref)

    monkeypatch.setattr(manager, "look", count)
    pods = [f"third-{number}" for number in range(20)]
    for name in pods:
        put(manager, PODS, target(name))
        put(manager, VMIMS, migration(f"job-of-{name}"))
    assert {looked[each] for each in pods} == {1}
    assert looked[SOURCE] == looked[TARGET] == 0
    said = [reasons(manager, each).replace(each, "") for each in pods]
    assert len({*said}) == 1
    remove(manager, PODS, f"default/{TARGET}")
    assert sum(plain(there, each) == plain(there, SOURCE) for each in pods) == 1


def green_and_blue(interface: str = "net9", claim: str = "mine") -> list[Object]:
    listed = json.loads(target()["metadata"]["annotations"][names.NETWORKS])
    return [*listed, {"name": "green", "interface": interface, "ipam-claim-reference": claim}]


def test_a_target_gets_nothing_of_a_claim_that_another_pod_uses() -> None:
    claim = {**objects.named(IPAMCLAIMS, "mine"), "spec": {"network": "green", "interface": "net1"}}
    there = moving(
        False,
        (NADS, cluster_world.nad("green", subnets="10.2.0.0/24", allowPersistentIPs=True)),
        (IPAMCLAIMS, stored(claim)),
        (PODS, cluster_world.pod("user", green_and_blue()[1:])),
        (VMIMS, migration()),
    )
    manager = begun(there)
    used = entry(there, "user", "default/green")
    assert used
    second = target()
    second["metadata"]["annotations"][names.NETWORKS] = json.dumps(green_and_blue())
    put(manager, PODS, second)
    assert entry(there, TARGET, "default/green") == {}
    assert "IPAMClaim default/mine: is used by Pod default/user" in reasons(manager)
    remove(manager, PODS, "default/user")
    assert entry(there, TARGET, "default/green")["ip_address"] == used["ip_address"]
    assert plain(there, TARGET) == plain(there, SOURCE)


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("lives", range(3))
@pytest.mark.parametrize("persistent", [False, True], ids=["no claim", "claim"])
def test_a_manager_killed_in_between_changes_nothing(
    lives: int, arrives: bool, persistent: bool
) -> None:
    there = moving(persistent)
    manager = begun(there)
    before = plain(there, SOURCE)
    there.lives = (lives, arrives)
    steps: list[tuple[Any, Object]] = [
        (VMIMS, migration()),
        (PODS, target()),
        (VMIS, instance("node2", migrationUid="job-1", completed=True)),
    ]
    for step in steps:
        try:
            put(manager, *step)
        except Killed:
            manager = begun(there)
    there.lives = None
    assert plain(there, TARGET) == plain(there, SOURCE) == before
    assert shared(there)["active"] is True


@pytest.mark.parametrize("persistent", [False, True], ids=["no claim", "claim"])
@pytest.mark.parametrize("edited", [SOURCE, TARGET])
def test_a_pair_keeps_what_it_has_whatever_its_network_permits_later(
    persistent: bool, edited: str
) -> None:
    there = moving(persistent, (VMIMS, migration()), (PODS, target()))
    begun(there)
    before = plain(there, SOURCE)
    pod = there.of(PODS, f"default/{edited}")
    pod["metadata"]["annotations"][names.NIC_OPTIONS] = json.dumps(
        {"blue": {"portSecurity": "off"}}
    )
    there.put(PODS, pod)
    manager = begun(there)
    assert plain(there, TARGET) == plain(there, SOURCE) == before
    remove(manager, PODS, f"default/{SOURCE}")
    put(
        manager, PODS, cluster_world.pod("other", [{"name": "blue", "ips": [before["ip_address"]]}])
    )
    assert held(there, "other") == ("", ""), "it is in use"
    assert plain(there, TARGET) == before


def lost_node(there: World, manager: Manager, network: str = "blue") -> None:
    """node1 is not heard of, and KubeVirt starts the machine elsewhere by another instance."""
    gone = launcher()
    gone["metadata"] |= there.of(PODS, f"default/{SOURCE}")["metadata"]
    gone["metadata"]["deletionTimestamp"] = "2026-02-01T00:00:00Z"
    put(manager, PODS, {**there.of(PODS, f"default/{SOURCE}"), "metadata": gone["metadata"]})
    remove(manager, VMIS, "default/db")
    put(manager, VMIS, vmi("vmi-2", networks={"lan": network}))
    successor = launcher(TARGET, lan=network)
    successor["spec"]["nodeName"] = "node2"
    successor["metadata"]["ownerReferences"][0]["uid"] = "vmi-2"
    put(manager, PODS, successor)


def set_ready(manager: Manager, status: str) -> None:
    node = cluster_world.node("node1")
    node["status"] = {"conditions": [{"type": "Ready", "status": status}]}
    put(manager, NODES, node)


def test_a_machine_of_a_lost_node_starts_elsewhere_with_what_it_had() -> None:
    there = moving(True)
    manager = begun(there)
    before = plain(there, SOURCE)
    lost_node(there, manager)
    assert held(there, TARGET) == ("", ""), "its node may be well, and the machine run there"
    assert SOURCE in reasons(manager)
    set_ready(manager, "Unknown")
    assert plain(there, TARGET) == before
    assert shared(there) == {"source": SOURCE, "sourceUID": f"uid-{SOURCE}", "active": True}
    set_ready(manager, "True")  # it comes back
    assert shared(there)["active"] is True
    manager = begun(there)
    assert shared(there)["active"] is True
    remove(manager, PODS, f"default/{SOURCE}")
    assert shared(there) is None
    assert plain(there, TARGET) == before


def test_a_successor_on_another_nad_of_its_network_has_what_the_claim_keeps() -> None:
    there = moving(True, (NADS, nad("again", network="blue")))
    manager = begun(there)
    before = plain(there, SOURCE)
    lost_node(there, manager, "again")
    assert entry(there, TARGET, "default/again") == {}
    set_ready(manager, "Unknown")
    given = entry(there, TARGET, "default/again")
    assert given.pop("migration")["source"] == SOURCE
    assert given == before


def test_a_claim_in_use_gives_another_pod_nothing_until_it_is_free() -> None:
    request = {"name": "blue", "ipam-claim-reference": "mine"}
    claim = {**objects.named(IPAMCLAIMS, "mine"), "spec": {"network": "blue", "interface": "net1"}}
    there = World()
    there.put(NODES, cluster_world.node("node1"))
    there.put(NADS, cluster_world.nad("blue", allowPersistentIPs=True))
    there.put(IPAMCLAIMS, stored(claim))
    there.put(PODS, cluster_world.pod("one", [request]))
    manager = begun(there)
    first = held(there, "one")
    assert all(first)
    put(manager, PODS, cluster_world.pod("two", [request]))
    assert held(there, "two") == ("", "")
    assert "IPAMClaim default/mine" in reasons(manager, "two")
    assert there.of(IPAMCLAIMS, "default/mine")["status"]["conditions"][0]["status"] == "True"
    remove(manager, PODS, "default/one")
    assert held(there, "two") == first


def test_what_was_signed_before_a_machine_moved_counts_no_more() -> None:
    there = moving(False, (VMIMS, migration()), (PODS, target()))
    manager = begun(there)
    pod = pods.read(there.of(PODS, f"default/{TARGET}"))
    assert shared(there)["active"] is False
    put(manager, VMIS, instance(migrationUid="job-1", completed=True))
    assert shared(there)["active"] is True
    agent = decisions.Decisions()
    agent.trusted = there.keys
    agent.read(pod.ref, pods.read(there.of(PODS, f"default/{TARGET}")).proof)
    with pytest.raises(errors.InvalidInput):
        agent.read(pod.ref, pod.proof)
    manager = begun(there)
    put(manager, PODS, cluster_world.pod("later"))
    assert entry(there, "later")
    assert "given" not in entry(there, "later"), "nobody lost anything"
    assert agent.losses == 0
