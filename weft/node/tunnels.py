"""Probes the other nodes over the underlay, and says which of them do not answer.

The agents of two nodes exchange small UDP packets between their tunnel addresses, as tunnels do.
Geneve itself notices nothing: what it sends into a dead underlay is lost without a word. The Node
has a condition, changes are Events, and the ports of dead tunnels in Open vSwitch carry a mark.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Protocol

from weft import model, names, rows
from weft.api import conditions
from weft.kube import events, queue, resources
from weft.kube.client import Client
from weft.metrics import Figures, Metric
from weft.nic import port
from weft.node.probes import Probes, State
from weft.ovsdb import replica
from weft.reasons import Reason

log = logging.getLogger(__name__)

MAX_NAMED = 10  # nodes that a message names
_REBIND = 5.0  # seconds until a tunnel address that is not there yet is tried again
_OVN_CHASSIS = "ovn-chassis-id"  # of a tunnel's Port, by ovn-controller: chassis@remote%local


class OwnNode(Protocol):
    """This node's Node: `tunnels` is its condition TunnelsUp, empty if it has none."""

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> str: ...

    @property
    def tunnels(self) -> Mapping[str, Any]: ...


class Tunnels:
    """One task of the agent. `own_node` returns its Node; `number` is the UDP port, 0 for none."""

    def __init__(
        self,
        client: Client,
        own: model.NodeInfo,
        own_node: Callable[[], OwnNode | None],
        ovs: replica.Replica,
        recorder: events.Recorder,
        *,
        number: int,
    ) -> None:
        self._client, self._own, self._own_node = client, own, own_node
        self._ovs, self._recorder, self._number = ovs, recorder, number
        self._probes = Probes(os.urandom)
        self._reported: Mapping[str, State] = {}
        self._queue = queue.Queue[str](resources.NODES.kind)
        self._transport: asyncio.DatagramTransport | None = None
        ovs.subscribe("Port", lambda *_: self._queue.add(own.name))

    def set_peer(self, name: str, info: model.NodeInfo | None) -> None:
        """Sets another node; None: it is gone."""
        if name != self._own.name:
            family = ip_address(self._own.encap_ips[0]).version
            known = info.encap_ips if info is not None else ()
            fitting = (each for each in known if ip_address(each).version == family)
            self._probes.set_peer(name, next(fitting, ""))

    async def run(self) -> None:
        """Probes until cancelled."""
        if not self._number:
            await asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run(self._announce))
            group.create_task(self._probe())

    async def _probe(self) -> None:
        try:
            while True:
                if self._transport is None:
                    await self._bind()
                if self._transport is not None:
                    for address, packet in list(self._probes.round(_now())):
                        self._transport.sendto(packet, (address, self._number))
                pause = self._probes.interval if self._transport is not None else _REBIND
                await asyncio.sleep(pause)
                self._compare()
        finally:
            if self._transport is not None:
                self._transport.close()

    async def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        local = (self._own.encap_ips[0], self._number)
        try:
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: _Receiver(self._receive), local_addr=local
            )
        except OSError as error:
            log.warning("cannot probe other nodes from %s port %d: %s", *local, error.strerror)

    def _receive(self, data: bytes, address: str) -> None:
        answer = self._probes.receive(address, data, _now())
        if answer and self._transport is not None:
            self._transport.sendto(answer, (address, self._number))

    def _compare(self) -> None:
        """Reports what has changed since the last round."""
        states, before = self._probes.states(), self._reported
        if states == before:
            return
        self._reported = states
        lost = [name for name, state in states.items() if state is State.DOWN]
        lost = [name for name in lost if before.get(name) is not State.DOWN]
        back = [name for name, state in states.items() if state is State.UP]
        back = [name for name in back if before.get(name) is State.DOWN]
        if lost:
            message = f"{named(lost)} not answering over the underlay: tunnels carry nothing"
            self._report(logging.WARNING, Reason.TUNNELS_DOWN, message)
        if back:
            self._report(logging.INFO, Reason.TUNNELS_UP, f"{named(back)} answering again")
        self._queue.add(self._own.name)

    def _report(self, level: int, reason: Reason, message: str) -> None:
        log.log(level, "%s", message)
        node = self._own_node()
        if node is not None:
            meta = {"name": node.name, "uid": node.uid}
            about = {"apiVersion": "v1", "kind": resources.NODES.kind, "metadata": meta}
            self._recorder.emit(about, reason, f"Node {node.name}: {message}")

    async def _announce(self, _: str) -> None:
        """Writes the Node's condition, and the marks in Open vSwitch, where they differ."""
        if (operations := marks(self._ovs.rows("Port"), self._probes.addresses(State.DOWN))) != []:
            await self._ovs.transact(operations)
        node = self._own_node()
        if node is None:
            return
        desired = condition(self._probes.states(), node.tunnels, events.now())
        if all(node.tunnels.get(key) == desired[key] for key in ("status", "reason", "message")):
            return
        await self._client.patch(
            *(resources.NODES, node.name, "", {"status": {"conditions": [desired]}}),
            type="strategic",
            subresource="status",
        )

    def check(self) -> None:
        """Has the Node's condition compared with what it should be."""
        if self._number and self._reported:
            self._queue.add(self._own.name)

    @property
    def trouble(self) -> str:
        """Why the Node's condition cannot be written; a dead tunnel does not count."""
        return self._queue.trouble

    def figures(self) -> Figures:
        states = self._probes.states() if self._number else {}
        return {
            Metric.TUNNEL_UP: {(name,): float(state is State.UP) for name, state in states.items()},
            Metric.TUNNEL_SECONDS: {
                (name,): seconds for name, seconds in self._probes.round_trips().items()
            },
        }


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, str], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._receive(data, str(addr[0]))

    def error_received(self, exc: Exception) -> None:
        """A probe that cannot be sent is one without an answer."""


def _now() -> float:
    return asyncio.get_running_loop().time()


def condition(states: Mapping[str, State], before: Mapping[str, Any], now: str) -> dict[str, Any]:
    """Returns the Node's condition: True means that every node answers.

    `before` is the present condition, `now` the time (RFC 3339).
    """
    down = [name for name, state in states.items() if state is State.DOWN]
    unanswered = [name for name, state in states.items() if state is State.UNANSWERED]
    status, reason, message = "True", "AllAnswer", "all other nodes answer over the underlay"
    if down:
        status, reason = "False", "NodesUnreachable"
        message = f"{named(down)} not answering over the underlay"
    elif unanswered:
        status, reason = "Unknown", "NeverAnswered"
        message = f"{named(unanswered)} not answering yet: an older agent, or a firewall"
    fields = (names.TUNNELS_CONDITION, status, reason, message)
    return conditions.of_node(fields, before, now)


def named(nodes: list[str]) -> str:
    """Lists some nodes, and how many more there are, with a verb."""
    some, more = nodes[:MAX_NAMED], len(nodes) - MAX_NAMED
    listed = ", ".join(some) + (f" and {more} more" if more > 0 else "")
    return f"{listed} {'is' if len(nodes) == 1 else 'are'}"


def marks(ports: Mapping[Any, rows.Columns], dead: frozenset[str]) -> list[dict[str, Any]]:
    """Returns the operations that mark the ports of tunnels to dead addresses, and no others."""
    operations = []
    for columns in ports.values():
        ids = port.external_ids(columns)
        remote = str(ids.get(_OVN_CHASSIS, "")).partition("@")[2].partition("%")[0]
        is_marked = names.TUNNEL_STATE in ids
        if (remote in dead) == is_marked:
            continue
        mutations: list[Any] = [["external_ids", "delete", ["set", [names.TUNNEL_STATE]]]]
        if not is_marked:
            mutations = [["external_ids", "insert", ["map", [[names.TUNNEL_STATE, "down"]]]]]
        where = [["name", "==", columns["name"]]]
        operations.append({"op": "mutate", "table": "Port", "where": where, "mutations": mutations})
    return operations
