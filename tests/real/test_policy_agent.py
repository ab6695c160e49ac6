"""The node agent among policies: without their kind, across a restart, from the API to rows."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.support import whole as support
from tests.support.columns import members
from tests.support.objects import nad, node, pod, policy
from tests.support.patience import PATIENCE
from tests.support.whole import Whole
from tests.support.zones import Zone
from weft import names, rows
from weft.kube import resources
from weft.kube.client import Client
from weft.ovn import policy as ovn
from weft.ovn import ports, tables
from weft.ovsdb.replica import Replica
from weft.policy import netpolicy
from weft_lab.runtime import inotify

pytestmark = pytest.mark.real
KIND = "multi-networkpolicies.yaml"
DENY = ovn.Group(ovn.GroupKind.DENY, "blue", "default", netpolicy.Direction.INGRESS).name
SHUT = policy("shut", app="guarded", policyTypes=["Ingress"])


@dataclass
class Scene:
    """One node with its agent and network blue."""

    whole: Whole
    api: Client
    zone: Zone
    nb: Replica
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    async def start(self) -> None:
        """The agent, until it answers the plugin."""
        self.processes.append(self.whole.start_agent(self.zone))
        self.zone.run("mkdir", "-p", "/run/weft")
        async with asyncio.timeout(PATIENCE):
            await inotify.Folders().wait_socket(self.zone.root / "run/weft/cni.sock")

    async def stop(self) -> None:
        assert await asyncio.to_thread(self.whole.stop, self.processes.pop()) == 0

    async def pod(self, name: str, label: str) -> str:
        """Made and attached; its port's key."""
        wanted = pod(name, "blue", node=self.zone.name, labels={"app": label})
        made = await self.api.create(resources.PODS, wanted)
        await asyncio.to_thread(self.whole.make_sandbox, self.zone, name)
        call = self.whole.call
        status, said = await asyncio.to_thread(
            call, self.zone, "ADD", made, "net1", nad("blue", None)
        )
        assert status == 0, said
        return names.logical_port("default/blue", "default", name)

    async def inside(self, group: str, *keys: str) -> None:
        """Returns when just these ports are in a group."""
        wanted = {self.nb.uuid(ports.PORT, key) for key in keys}

        def has_them(row: rows.Columns | None) -> bool:
            return row is not None and members(row["ports"]) == wanted

        await self.nb.wait_for(ovn.GROUP, group, has_them, PATIENCE)


@pytest.fixture
async def scene(whole: Whole, api: Client) -> AsyncIterator[Scene]:
    zone = whole.wire.zone()
    await api.create(resources.NODES, node(zone.name))
    await api.create(resources.NADS, nad("blue", None))
    async with await Replica.open(zone.nb, tables.NORTHBOUND, tables.NB) as nb:
        made = Scene(whole, api, zone, nb)
        await made.start()
        yield made


@pytest.fixture
def without_policies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An API that does not know their kind."""
    there = tmp_path / "crds"
    shutil.copytree(support.CRDS, there, ignore=lambda *_: [KIND])
    monkeypatch.setattr(support, "CRDS", there)


@pytest.mark.usefixtures("without_policies")
async def test_a_cluster_may_do_without_policies(scene: Scene) -> None:
    """And have them later."""
    port = await scene.pod("one", "guarded")
    assert not scene.nb.rows(ovn.GROUP)
    text = (support.ROOT / "lab/weft_lab/crds" / KIND).read_text()
    await scene.api.create(resources.CRDS, yaml.safe_load(text))
    await scene.api.create(resources.MULTINETWORKPOLICIES, SHUT)
    await scene.inside(DENY, port)


async def test_a_restart_touches_nothing(scene: Scene) -> None:
    await scene.api.create(resources.MULTINETWORKPOLICIES, SHUT)
    first = await scene.pod("one", "guarded")
    await scene.inside(DENY, first)
    await scene.stop()
    seen: list[str] = []

    def note(table: str, _: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        """But for the group that has northd compare all of them."""
        if (new or old or {}).get("name") != names.TOUCHED_GROUP:
            seen.append(table)

    for table in tables.NB:
        scene.nb.subscribe(table.name, lambda *change, name=table.name: note(name, *change))
    await scene.start()
    # The next thing that is written is a new pod's, which waits for the first comparison.
    second = await scene.pod("two", "guarded")
    await scene.inside(DENY, first, second)
    assert sorted(seen) == sorted([ports.PORT, ports.SWITCH, ovn.GROUP])


async def test_what_happened_while_the_agent_was_away_is_made_good(scene: Scene) -> None:
    await scene.api.create(resources.MULTINETWORKPOLICIES, SHUT)
    first, second = await scene.pod("one", "guarded"), await scene.pod("two", "free")
    await scene.inside(DENY, first)
    await scene.stop()
    for name, label in (("one", "free"), ("two", "guarded")):
        change = {"metadata": {"labels": {"app": label}}}
        await scene.api.patch(resources.PODS, name, "default", change)
    await scene.start()
    await scene.inside(DENY, second)
    await scene.api.delete(resources.MULTINETWORKPOLICIES, "shut", "default")
    await scene.nb.wait_for(ovn.GROUP, DENY, lambda row: row is None, PATIENCE)
    assert not scene.nb.rows("ACL")
