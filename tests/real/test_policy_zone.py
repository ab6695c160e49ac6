"""Policies as a zone keeps them in its databases, through restarts, losses and refusals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from tests.real.test_zone import recomputes
from tests.real.test_zone_faults import contents, lose_northbound, written
from tests.support.allocated import allocated_pod
from tests.support.columns import members
from tests.support.policed import Policed
from tests.support.realised import PORT, Cluster, Kept, network
from weft import model, rows
from weft.control.zone import writer
from weft.control.zone.objects import AllocatedPod
from weft.model import ObjectKey
from weft.ovn import policy as ovn
from weft.ovn import ports, sets, tables
from weft.policy import netpolicy

pytestmark = pytest.mark.real

INGRESS, EGRESS = netpolicy.Direction
PING = (None, 0)
FLAT = "default/flat"


@dataclass
class Scene:
    """Pods one, two and three of a network without subnets, of which two is on another node."""

    cluster: Cluster
    a: Kept
    b: Kept
    pods: Policed
    ports: dict[str, model.Port]

    async def label(self, name: str, **labels: str) -> None:
        home = self.b if name == "two" else self.a
        number = self.ports[name].allocation.tunnel_id
        await self.cluster.pod(name, home, FLAT, number, labels=labels)
        await self.done()

    async def put(self, name: str, policy: netpolicy.Policy | None) -> None:
        await self.cluster.update(
            lambda zone: zone.policies.set_policy(ObjectKey("default", name), policy)
        )
        await self.done()

    async def done(self) -> None:
        for kept in (self.a, self.b):
            await kept.synced()

    async def reach(self, source: str, to: str) -> bool:
        return await self.pods.passes(source, to, PING) == {PING}

    async def who(self, to: str) -> set[str]:
        return {name for name in self.ports if name != to and await self.reach(name, to)}

    def groups(self, kept: Kept, name: str) -> set[str]:
        """What the groups say that a pod's port is in, by their ids."""
        uuid = kept.nb.uuid(PORT, ports.port_key(self.ports[name]))
        found = kept.nb.rows(ovn.GROUP).values()
        return {tables.external_id(g, "weft/id") for g in found if uuid in g["ports"]}  # type: ignore[operator]


async def build(cluster: Cluster) -> Scene:
    a, b = await cluster.zone(), await cluster.zone()
    declared = network("flat", 1)
    await cluster.define(FLAT, declared)
    pods, placed = Policed(cluster, declared.network), {}
    for number, (name, home) in enumerate({"one": a, "two": b, "three": a}.items(), start=11):
        port = await cluster.pod(name, home, FLAT, number, labels={"app": name})
        placed[name] = port
        guest = await cluster.guest(home, port)
        guest.take(f"172.20.0.{number}/24")
        pods.add(name, home, port, guest, f"172.20.0.{number}")
    await pods.warm()
    return Scene(cluster, a, b, pods, placed)


def app(name: str) -> netpolicy.Selector:
    return netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.IN, (name,)),))


def allow(name: str, to: str, *peers: str) -> netpolicy.Policy:
    """Only pods of these labels reach those of that label."""
    chosen = tuple(netpolicy.PodSelector("default", pods=app(peer)) for peer in peers)
    rules = (netpolicy.Rule(0, chosen),) if peers else ()
    return netpolicy.Policy(
        "default",
        name,
        f"uid-{name}",
        (ObjectKey.parse(FLAT),),
        app(to),
        frozenset({INGRESS}),
        rules,
    )


async def test_labels_and_policies_change_who_reaches_whom(cluster: Cluster) -> None:
    """On the node of the pod that is guarded; peers count wherever they run."""
    scene = await build(cluster)
    assert await scene.who("one") == {"two", "three"}
    await scene.put("x", allow("x", "one", "two"))
    assert await scene.who("one") == {"two"}
    assert await scene.who("three") == {"one", "two"}
    assert not scene.b.nb.rows(ovn.GROUP)
    await scene.label("two", app="other")
    assert await scene.who("one") == set()
    await scene.label("three", app="two")
    assert await scene.who("one") == {"three"}
    await scene.put("y", allow("y", "one", "other"))
    assert await scene.who("one") == {"two", "three"}
    await scene.label("one", app="free")
    assert await scene.who("one") == {"two", "three"}
    assert not scene.a.nb.rows(ovn.GROUP)
    await scene.label("one", app="one")
    await scene.put("x", allow("x", "one"))
    assert await scene.who("one") == {"two"}
    await scene.put("y", None)
    assert await scene.who("one") == set()
    await scene.put("x", None)
    assert await scene.who("one") == {"two", "three"}
    for table in (ovn.GROUP, sets.SET, "ACL"):
        assert not scene.a.nb.rows(table)


async def test_a_new_writer_finds_nothing_to_do(cluster: Cluster) -> None:
    """So a restart of the agent opens nothing and breaks no connection."""
    scene = await build(cluster)
    await scene.put("x", allow("x", "one", "two"))
    await scene.put("y", allow("y", "three", "one"))
    again = writer.OvnWriter(scene.a.state, scene.a.nb, scene.a.sb)
    task = asyncio.create_task(again.run())
    await again.settled()
    task.cancel()
    assert (again.figures.rebuilds, again.figures.operations) == (1, 0)


async def test_what_changed_while_nobody_looked_is_mended(cluster: Cluster) -> None:
    """Labels, policies and peers: who is in a group or set for no reason any more is out."""
    scene = await build(cluster)
    for name in ("one", "three"):
        await scene.put(name, allow(name, name, "two"))
    await scene.put("all", allow("all", "both", "two"))
    await scene.label("three", app="one")
    assert len(scene.groups(scene.a, "three")) == 2
    cluster.end()
    kept = scene.a
    kept.state.policies.set_policy(ObjectKey("default", "one"), allow("one", "one", "three"))
    kept.state.set_pod(ObjectKey("default", "three"), guarded(kept, "three", 13))
    kept.state.changes()
    again = writer.OvnWriter(kept.state, kept.nb, kept.sb)
    task = asyncio.create_task(again.run())
    await again.settled()
    task.cancel()
    own = {f"policy/Ingress/flat/default/{n}" for n in ("one", "three")}
    shared = {"deny/Ingress/flat/default"}
    assert scene.groups(kept, "one") - shared == own - {"policy/Ingress/flat/default/three"}
    assert scene.groups(kept, "three") - shared == own - {"policy/Ingress/flat/default/one"}
    await kept.synced()
    assert await scene.who("one") == {"three"}
    assert await scene.who("three") == {"two"}


async def test_a_wiped_northbound_is_rebuilt_with_its_policies(cluster: Cluster) -> None:
    scene = await build(cluster)
    await scene.put("x", allow("x", "one", "two"))
    zone, a = scene.a.zone, scene.a
    before, places = contents(a), scene.groups(a, "one")
    await lose_northbound(cluster, a)
    assert contents(a) == before
    assert scene.groups(a, "one") == places
    for name in ("one", "three"):
        await a.bound(ports.port_key(scene.ports[name]), zone.chassis)
    await a.synced()
    assert await scene.who("one") == {"two"}


async def test_what_somebody_does_to_the_rows_is_undone(cluster: Cluster) -> None:
    """Also to who is in a group or set."""
    scene = await build(cluster)
    await scene.put("x", allow("x", "one", "two"))
    a = scene.a
    deny = ovn.Group(ovn.GroupKind.DENY, "flat", "default", INGRESS).name
    peers = sets.AddressSet("flat", netpolicy.PodSelector("default", pods=app("two"))).name
    before, places = contents(a), scene.groups(a, "one")
    stranger = a.nb.uuid(PORT, ports.port_key(scene.ports["three"]))
    for command in (
        ("ovn-nbctl", "pg-del", deny),
        ("ovn-nbctl", "acl-del", deny),
        ("ovn-nbctl", "clear", "Port_Group", deny, "ports"),
        ("ovn-nbctl", "add", "Port_Group", deny, "ports", str(stranger)),
        ("ovn-nbctl", "destroy", "Address_Set", peers),
        ("ovn-nbctl", "clear", "Address_Set", peers, "addresses"),
        ("ovn-nbctl", "add", "Address_Set", peers, "addresses", '"0a:58:00:00:00:99"'),
        ("ovn-nbctl", "lsp-del", ports.port_key(scene.ports["one"])),
    ):
        done = a.writer.figures.transactions
        await asyncio.to_thread(a.zone.run, *command)
        await written(a, lambda: a.writer.figures.transactions > done)  # noqa: B023
        await a.writer.settled()
        assert contents(a) == before, command
        assert scene.groups(a, "one") == places, command
        assert scene.groups(a, "three") == set(), command
    await a.bound(ports.port_key(scene.ports["one"]), a.zone.chassis)
    await a.synced()
    assert await scene.who("one") == {"two"}


async def test_one_more_guarded_pod_is_incremental_for_northd(cluster: Cluster) -> None:
    """Whether it is here or elsewhere, once another is guarded alike."""
    scene = await build(cluster)
    await scene.put("x", allow("x", "one", "two"))
    for home, labels in ((scene.a, {"app": "one"}), (scene.b, {"app": "two"})):
        before = {node: recomputes(scene.a, node) for node in ("northd", "lflow")}
        number = 20 if home is scene.a else 21
        port = await cluster.pod(f"p{number}", home, FLAT, number, labels=labels)
        assert scene.a.nb.get(PORT, ports.port_key(port)) is not None
        await scene.a.synced()
        assert {node: recomputes(scene.a, node) for node in before} == before


async def test_a_port_whose_group_is_refused_is_refused_with_it(cluster: Cluster) -> None:
    """It stays closed rather than open, and nothing else is harmed."""
    scene = await build(cluster)
    a, real = scene.a, ovn.isolation_rows
    late, free = "default.flat_default_late", "default.flat_default_free"

    def refused(
        group: ovn.Group, network: model.Network, logging: netpolicy.Logging
    ) -> tuple[rows.Row, ...]:
        """With an ACL of a priority that the server does not know."""
        *made, last = real(group, network, logging)
        return (*made, replace(last, columns={**last.columns, "priority": 99999}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ovn, "isolation_rows", refused)
        a.state.policies.set_policy(ObjectKey("default", "x"), allow("x", "late", "two"))
        a.state.set_pod(ObjectKey("default", "late"), guarded(a, "late", 30))
        a.state.set_pod(ObjectKey("default", "free"), guarded(a, "free", 31))
        a.writer.wake()
        await written(a, lambda: a.writer.figures.refused > 0)
    assert a.nb.get(PORT, free) is not None
    assert a.nb.get(PORT, late) is None
    assert not [g for g in a.nb.rows(ovn.GROUP).values() if "deny" in str(g["external_ids"])]
    a.state.policies.touch_network("flat")
    a.writer.wake()
    await written(a, lambda: not a.writer.trouble)
    uuid = a.nb.uuid(PORT, late)
    assert [uuid in members(group["ports"]) for group in a.nb.rows(ovn.GROUP).values()] == [
        True,
        True,
    ]


def guarded(kept: Kept, name: str, number: int) -> AllocatedPod:
    allocation = model.Allocation(f"0a:58:00:00:00:{number:02x}", (), number)
    ref = model.PodRef(model.ObjectKey("default", name), f"uid-{name}")
    return allocated_pod(ref, kept.zone.name, {FLAT: allocation}, labels={"app": name})
