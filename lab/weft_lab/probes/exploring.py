"""Looks at a lab's nodes and into its pods and guests for `weft explain`, and sends packets.

Nodes answer through a process of their own (`weft.observe.explain.onnode`), pods and guests as for
`weft matrix`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weft import errors, model
from weft.observe import guestaddresses
from weft.observe.explain import agentpods, asking
from weft.observe.explain.evidence import End, EndKind, Evidence, Probe, Unseen, UsedAddresses
from weft.observe.reach import Matrix, Member, PairResult, ProbeResult
from weft.policy import netpolicy
from weft_lab import target
from weft_lab.demos import machines
from weft_lab.probes.measuring import Prober, measure
from weft_lab.state import Peer
from weft_lab.vm import agentclient

PING = netpolicy.Connection(None)


class LabExplorer:
    """As `weft.observe.explain.collect.Explorer` describes it."""

    def __init__(self, peer: Peer, prober: Prober) -> None:
        self._peer, self._prober = peer, prober
        self._turn = asyncio.Lock()  # the supervisor's answers come in the order of the questions

    async def look(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        place = await self._place(node)
        argv = (sys.executable, "-m", "weft.observe.explain.onnode")
        data = json.dumps(order).encode()
        done = await asyncio.to_thread(target.captured, place, argv, data)
        if done["exit"]:
            last = done["stderr"].strip().rpartition("\n")[2]
            raise errors.Unavailable(f"it cannot be asked: {last}", where=f"node {node}")
        answer: Mapping[str, Any] = json.loads(done["stdout"])
        return answer

    async def _place(self, node: str) -> target.Place:
        async with self._turn:
            return await asyncio.to_thread(target.find, self._peer, node)

    def may_ask(self, role: str, evidence: Evidence) -> bool:
        """Pods are looked into; of guests whose agent does not say it, nobody else knows it."""
        end = evidence.source if role == asking.SOURCE else evidence.target
        known = isinstance(evidence.used.get(role), UsedAddresses)
        return end.kind is EndKind.MACHINE and not known

    async def ask(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        command = target.command(await self._place(node), (sys.executable, "-m", agentpods.ASK))
        seconds = agentpods.PATIENCE + 2 * order["patience"]
        return await agentpods.attended(node, command, order, seconds)

    async def used(self, evidence: Evidence) -> Mapping[str, UsedAddresses | Unseen]:
        ends = {"source": evidence.source, "target": evidence.target}
        found = target.pods(self._peer)
        places = {
            end.member.id: (found[end.member.pod], end.interface)
            for end in ends.values()
            if end.member is not None and end.member.pod in found
        }
        await self._prober.ask({"open": places, "listen": True})
        interfaces = await self._prober.ask({"interfaces": list(places)})
        return {
            role: await self._used(end, interfaces)
            for role, end in ends.items()
            if end.member is not None
        }

    async def _used(self, end: End, interfaces: Mapping[str, Any]) -> UsedAddresses | Unseen:
        assert end.member is not None
        if end.kind is EndKind.MACHINE:
            return await self._of_guest(end.member)
        seen = interfaces.get(end.member.id)
        if not seen:
            return Unseen("the pod has no such interface, or no process")
        return UsedAddresses(
            guestaddresses.parsed(seen["addresses"]), "its interface", is_up=seen["up"]
        )

    async def _of_guest(self, member: Member) -> UsedAddresses | Unseen:
        machine = machines.Machine(member.endpoint.namespace, member.machine, member.node, ())
        try:
            async with agentclient.Agent(machines.agent_socket(self._peer.pid, machine)) as agent:
                cards = await agent.interfaces()
        except errors.Unavailable as error:
            return Unseen(error.what)
        mine = [card for card in cards if card.mac.lower() == member.mac]
        if not mine:
            return Unseen(f"the guest agent reports no card with MAC {member.mac}")
        return UsedAddresses(guestaddresses.parsed(mine[0].addresses), "the guest agent")

    async def probe(self, evidence: Evidence, patience: float) -> Probe | Unseen:
        connection, source = evidence.connection, evidence.source
        if source.member is None:
            return Unseen("packets are sent from pods and virtual machines only")
        if evidence.target.kind is EndKind.OUTSIDE:
            return Unseen("outside is no address: name one that is there")
        if connection.source is None or connection.target is None:
            return Unseen("the ends have no addresses of one family")
        addresses = connection.source, connection.target
        there = evidence.target.member or _stranger(evidence.target, source.member)
        pair = source.member, there

        async def once(question: netpolicy.Connection, size: int = 0) -> ProbeResult:
            return await self._tried(pair, addresses, question, patience, size)

        result = await once(connection)
        left, arrived = await self._seen(evidence, addresses)
        mtu = getattr(evidence.network, "mtu", 0)
        full = await self._full(once, result, evidence, mtu)
        return Probe(result, left, arrived, full, mtu)

    async def _tried(
        self,
        pair: tuple[Member, Member],
        addresses: tuple[model.Address, model.Address],
        question: netpolicy.Connection,
        patience: float,
        size: int,
    ) -> ProbeResult:
        """What came of it; tried twice, since packets get lost."""
        ends = pair[0].id, pair[1].id
        results = (PairResult(*ends, addresses, expected=True, reason=""),)
        matrix = Matrix("", question, pair, results)
        for _ in range(2):
            found = await measure(
                self._prober, self._peer.pid, matrix, patience=patience, size=size
            )
            result = found.get(ends, ProbeResult.UNKNOWN)
            if result is not ProbeResult.SILENT:
                break
        return result

    async def _seen(
        self, evidence: Evidence, addresses: tuple[model.Address, model.Address]
    ) -> tuple[bool | None, bool | None]:
        """Whether the packet was seen at the source's pod, and at the target's."""
        order = {"received": None, "port": evidence.connection.port}
        came = {tuple(entry) for entry in await self._prober.ask(order)}
        texts = tuple(map(str, addresses))
        source, there = evidence.source, evidence.target
        left = arrived = None
        if source.member is not None and source.kind is EndKind.MACHINE:
            left = (source.member.id, *texts) in came
        if there.member is not None:
            arrived = (there.member.id, *texts) in came
        return left, arrived

    async def _full(
        self, once: Any, result: ProbeResult, evidence: Evidence, mtu: int
    ) -> ProbeResult | Unseen | None:
        """What came of a ping as large as the MTU."""
        if result not in (ProbeResult.ANSWERED, ProbeResult.ARRIVED) or not mtu:
            return None
        ping = replace(evidence.connection, protocol=None, port=0)
        if ping != evidence.connection and await once(ping) is not ProbeResult.ANSWERED:
            return Unseen(agentpods.NO_PING)
        full: ProbeResult = await once(ping, mtu)
        return full


def _stranger(end: End, like: Member) -> Member:
    """A target that is no pod, as far as a probe needs it."""
    endpoint = replace(like.endpoint, namespace="", pod="", addresses=())
    return replace(like, id=end.name, endpoint=endpoint, machine="", node="")
