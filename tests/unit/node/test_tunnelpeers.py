"""Tunnel endpoints of other nodes are asked for their MACs, and a silent one is no trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest

from weft import model, rows
from weft.host import neighbours
from weft.nic import switchsettings
from weft.node import tunnelpeers

Changed = Callable[[str, rows.Columns | None, rows.Columns | None], None]


class Switch:
    """Open vSwitch's database, with the underlay bridge of a userspace switch or without."""

    def __init__(self, *, userspace: bool = True) -> None:
        self.userspace = userspace
        self.changed: list[Changed] = []

    def get(self, table: str, key: str) -> object:
        return ("", {}) if self.userspace and key == switchsettings.UNDERLAY_BRIDGE else None

    def subscribe(self, _: str, changed: Changed) -> Callable[[], None]:
        self.changed.append(changed)
        return lambda: self.changed.remove(changed)


class Underlay:
    """Those who answer, and what was asked."""

    def __init__(self, *answering: str) -> None:
        self.answering = set(answering)
        self.asked: asyncio.Queue[set[str]] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    def resolve(self, device: str, addresses: Iterable[str], patience: float) -> frozenset[str]:
        wanted = set(addresses)
        self.loop.call_soon_threadsafe(self.asked.put_nowait, wanted)
        return frozenset(wanted & self.answering)


def node(name: str, *endpoints: str) -> model.NodeInfo:
    return model.NodeInfo(name, encap_ips=endpoints)


def test_peers_are_asked_when_they_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        underlay, switch = Underlay("192.0.2.2"), Switch()
        monkeypatch.setattr(neighbours, "resolve", underlay.resolve)
        peers = tunnelpeers.TunnelPeers("n1", cast(Any, switch))
        peers.set_node("n1", node("n1", "192.0.2.1"))
        assert peers.trouble == "", "its own endpoint is no peer"
        peers.set_node("n2", node("n2", "192.0.2.2"))
        assert "192.0.2.2" in peers.trouble
        running = asyncio.create_task(peers.run())
        assert await underlay.asked.get() == {"192.0.2.2"}
        await _idle(peers)
        assert peers.trouble == ""
        peers.set_node("n3", node("n3", "192.0.2.3"))
        assert "not asked yet: 192.0.2.3" in peers.trouble
        assert await underlay.asked.get() == {"192.0.2.3"}, "who has answered is left alone"
        await _idle(peers)
        assert peers.trouble == "", "a node that is down makes no other one unready"
        peers.set_node("n3", None)
        [changed] = switch.changed
        changed("x", None, {"name": "veth1"})
        changed("x", None, {"name": switchsettings.UNDERLAY_BRIDGE})
        assert await underlay.asked.get() == {"192.0.2.2"}, "a new switch knows nothing"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not switch.changed

    asyncio.run(scenario())


def test_those_who_were_silent_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        underlay = Underlay("192.0.2.2")
        monkeypatch.setattr(neighbours, "resolve", underlay.resolve)
        monkeypatch.setattr(tunnelpeers, "AGAIN", 0.01)
        peers = tunnelpeers.TunnelPeers("n1", cast(Any, Switch()))
        peers.set_node("n2", node("n2", "192.0.2.2"))
        peers.set_node("n3", node("n3", "192.0.2.3"))
        running = asyncio.create_task(peers.run())
        assert await underlay.asked.get() == {"192.0.2.2", "192.0.2.3"}
        assert await underlay.asked.get() == {"192.0.2.3"}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


def test_the_kernels_datapath_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        underlay = Underlay()
        monkeypatch.setattr(neighbours, "resolve", underlay.resolve)
        peers = tunnelpeers.TunnelPeers("n1", cast(Any, Switch(userspace=False)))
        peers.set_node("n2", node("n2", "192.0.2.2"))
        assert peers.trouble == ""
        running = asyncio.create_task(peers.run())
        await asyncio.sleep(0)
        await _idle(peers)
        assert underlay.asked.empty()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


async def _idle(peers: tunnelpeers.TunnelPeers) -> None:
    await peers._queue.idle()
