"""Lines of OVN's log in, Events on policies out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.support.allocated import allocated_pod
from tests.support.patience import PATIENCE
from weft import model
from weft.control.zone import audit, state
from weft.control.zone.objects import Namespace
from weft.model import ObjectKey
from weft.ovn import policy as ovn
from weft.policy import netpolicy
from weft.reasons import EventReason, Reason

INGRESS, EGRESS = netpolicy.Direction
FLAT, BLUE = "default/flat", "default/blue"
NETWORKS = {
    FLAT: model.NetworkSpec("flat", model.Topology.LAYER2, 1300),
    BLUE: model.NetworkSpec("blue", model.Topology.LAYER3, 1300, (ip_network("10.64.0.0/16"),)),
}
NADS = (ObjectKey.parse(FLAT), ObjectKey.parse(BLUE))
ROUTER = "0a:58:0a:40:01:01"


def mac(number: int) -> str:
    return f"0a:58:00:00:00:{number:02x}"


class Scene:
    """Pods one and two on this node, three on another; each on both networks."""

    def __init__(self) -> None:
        self.zone = state.Zone("node1", "chassis-1")
        for number, (nad, spec) in enumerate(NETWORKS.items(), start=1):
            self.zone.set_nad(
                ObjectKey.parse(nad), state.DeclaredNetwork(model.Network(spec, number))
            )
        self.zone.set_namespace("default", Namespace())
        for number, name in enumerate(("one", "two", "three"), start=1):
            held = {
                FLAT: model.Allocation(mac(number), (), number),
                BLUE: model.Allocation(
                    mac(16 + number), (ip_interface(f"10.64.{number}.5/24"),), number
                ),
            }
            node = "node2" if name == "three" else "node1"
            ref = model.PodRef(model.ObjectKey("default", name), f"uid-{name}")
            self.zone.set_pod(ref.key, allocated_pod(ref, node, held, labels={"app": name}))
        self.events: list[tuple[str, str, int]] = []
        self.audit = audit.Audit(self.zone, self._emit)

    def _emit(self, obj: Mapping[str, Any], reason: EventReason, message: str, count: int) -> None:
        assert reason is Reason.WOULD_DROP
        assert obj["metadata"]["uid"] == f"uid-{obj['metadata']['name']}"
        self.events.append((obj["metadata"]["name"], message, count))

    def watch(
        self,
        name: str,
        *subjects: str,
        direction: netpolicy.Direction = INGRESS,
        enforced: bool = False,
    ) -> None:
        pods = netpolicy.Selector((netpolicy.Requirement("app", netpolicy.Operator.IN, subjects),))
        mode = netpolicy.Mode.ENFORCE if enforced else netpolicy.Mode.AUDIT
        made = netpolicy.Policy(
            "default", name, f"uid-{name}", NADS, pods, frozenset({direction}), mode=mode
        )
        self.zone.policies.set_policy(made.key, made)

    async def count(self, *lines: str) -> list[tuple[str, str, int]]:
        self.zone.changes()
        for line in lines:
            self.audit.count(line)
        self.audit.report()
        return sorted(self.events)


def line(
    flow: str,
    source: str,
    to: str,
    *,
    network: str = "flat",
    direction: netpolicy.Direction = INGRESS,
) -> str:
    """As ovn-controller says it of the one audit group that there is."""
    group = ovn.Group(ovn.GroupKind.AUDIT, network, "default", direction)
    stage = "to-lport" if direction is INGRESS else "from-lport"
    protocol, _, rest = flow.partition(",")
    return (
        "2026-01-01T00:00:00.000Z|00007|acl_log(ovn_pinctrl0)|INFO|"
        f'name="{ovn.audit_name(group)}", '
        f"verdict=allow, severity=info, direction={stage}: "
        f"{protocol},vlan_tci=0x0000,dl_src={source},dl_dst={to},{rest}"
    )


SYN = "tcp,nw_src=172.20.0.1,nw_dst=172.20.0.2,tp_src={},tp_dst=81,tcp_flags=syn"


async def test_connections_are_counted_on_the_policy_that_would_drop_them() -> None:
    scene = Scene()
    scene.watch("guard", "two")
    scene.watch("other", "one")
    found = await scene.count(*(line(SYN.format(port), mac(1), mac(2)) for port in (4, 4)))
    message = (
        "would have dropped TCP port 81 from pod default/one (172.20.0.1) "
        "to pod default/two (172.20.0.2) on network flat"
    )
    assert found == [("guard", message, 2)]


async def test_each_policy_that_would_is_reported() -> None:
    scene = Scene()
    scene.watch("guard", "two")
    scene.watch("second", "one", "two")
    ping = "icmp,nw_src=172.20.0.3,nw_dst=172.20.0.2,icmp_type=8,icmp_code=0"
    found = await scene.count(line(ping, mac(3), mac(2)))
    assert [name for name, *_ in found] == ["guard", "second"]
    assert "ICMP from pod default/three (172.20.0.3) to" in found[0][1]


async def test_who_is_beyond_a_router_is_known_by_address() -> None:
    scene = Scene()
    scene.watch("guard", "one", direction=EGRESS)
    flow = "udp,nw_src=10.64.1.5,nw_dst={},tp_src=4,tp_dst=53"
    found = await scene.count(
        *(
            line(flow.format(to), mac(17), ROUTER, network="blue", direction=EGRESS)
            for to in ("10.64.3.5", "192.0.2.9")
        )
    )
    head = "would have dropped UDP port 53 from pod default/one (10.64.1.5) to "
    assert found == [
        ("guard", f"{head}192.0.2.9 on network blue", 1),
        ("guard", f"{head}pod default/three (10.64.3.5) on network blue", 1),
    ]


@pytest.mark.parametrize("acl_name", ["", "nonsense", "2026|1|acl_log|INFO|name=, verdict"])
async def test_what_is_about_nothing_of_ours_is_passed_over(acl_name: str) -> None:
    scene = Scene()
    scene.watch("guard", "two")
    assert await scene.count(acl_name, line(SYN.format(4), mac(1), mac(99))) == []
    scene.watch("shut", "two", enforced=True)
    assert await scene.count(line(SYN.format(4), mac(1), mac(2))) == []


async def test_a_scan_of_ports_is_few_events() -> None:
    scene = Scene()
    scene.watch("guard", "two")
    flow = "tcp,nw_src=172.20.0.1,nw_dst=172.20.0.2,tp_src=4,tp_dst={},tcp_flags=syn"
    ports = range(1, 1000)
    found = await scene.count(*(line(flow.format(port), mac(1), mac(2)) for port in ports))
    assert len({message for _, message, _ in found}) == audit.MOST + 1
    assert sum(count for *_, count in found) == len(ports)


async def test_what_is_heard_is_reported_by_itself() -> None:
    scene = Scene()
    scene.watch("guard", "two")
    scene.zone.changes()
    told = asyncio.get_running_loop().create_future()
    scene.audit = audit.Audit(scene.zone, lambda *event: told.set_result(event[2]))
    scene.audit.count(line(SYN.format(4), mac(1), mac(2)))
    assert "default/two" in await told


@pytest.mark.real
async def test_what_was_logged_while_no_agent_ran_is_reported_by_the_next(tmp_path: Path) -> None:
    """Just that: neither what was told before, nor what was there before there was any agent."""
    scene = Scene()
    scene.watch("guard", "two")
    scene.zone.changes()
    log, kept = tmp_path / "log", tmp_path / "kept"
    told: asyncio.Queue[str] = asyncio.Queue()
    first, second, third = (
        line(f"tcp,nw_src=172.20.0.1,nw_dst=172.20.0.2,tp_src=1,tp_dst={port}", mac(1), mac(2))
        for port in (81, 82, 83)
    )
    log.write_text(f"{first}\n")
    async with received(scene, log, kept, told) as agent:
        add(log, second)
        assert "TCP port 82 " in await told.get()
    add(log, third)
    async with received(scene, log, kept, told) as agent:
        assert "TCP port 83 " in await told.get()
    assert told.empty()
    assert agent.reported == 1


async def troubled(agent: audit.Audit, word: str) -> None:
    """Returns when the agent says so; it does so once."""
    if word in agent.trouble:
        return
    logged: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Capture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if word in record.getMessage() and not logged.done():
                logged.set_result(None)

    capture, ours = Capture(), logging.getLogger(audit.__name__)
    ours.addHandler(capture)
    try:
        await logged
    finally:
        ours.removeHandler(capture)


def add(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(f"{line}\n")


@contextlib.asynccontextmanager
async def received(
    scene: Scene, log: Path, kept: Path, told: asyncio.Queue[str]
) -> AsyncIterator[audit.Audit]:
    agent = audit.Audit(scene.zone, lambda *event: told.put_nowait(event[2]))
    running = asyncio.create_task(agent.run(str(log), str(kept)))
    await asyncio.sleep(0)  # by then it listens
    try:
        yield agent
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.real
async def test_no_fault_of_the_log_ends_the_agent_and_telling_resumes(tmp_path: Path) -> None:
    scene = Scene()
    scene.watch("guard", "two")
    scene.zone.changes()
    folder, kept = tmp_path / "logs", tmp_path / "kept"
    folder.mkdir()
    log = folder / "log"
    log.mkdir()  # nothing that can be read
    told: asyncio.Queue[str] = asyncio.Queue()
    lines = [
        line(f"tcp,nw_src=172.20.0.1,nw_dst=172.20.0.2,tp_src=1,tp_dst={port}", mac(1), mac(2))
        for port in (81, 82)
    ]
    async with received(scene, log, kept, told) as agent:
        async with asyncio.timeout(PATIENCE):
            await troubled(agent, "Is a directory")
            log.rmdir()
            add(log, lines[0])
            assert "TCP port 81 " in await told.get()
            assert agent.trouble == ""
            log.unlink()
            folder.rmdir()
            await troubled(agent, "cannot be watched")
            folder.mkdir()
            add(log, lines[1])
            assert "TCP port 82 " in await told.get()
