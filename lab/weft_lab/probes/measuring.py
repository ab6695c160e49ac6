"""Measures who reaches whom in a running lab: tries every pair, from inside pods and guests.

Pods are probed from their network namespaces by a process of its own (`prober`), virtual machines
by commands that their guest agents run (`guests`), all at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from weft import errors
from weft.host import process
from weft.kube.client import Client
from weft.observe import members, objects, reach
from weft.observe.reach import Matrix, Member, Pair, PairResult, ProbeResult
from weft.policy import netpolicy
from weft_lab import target
from weft_lab.demos import machines
from weft_lab.probes import guests
from weft_lab.runtime import pythonpath
from weft_lab.state import Peer
from weft_lab.vm import agentclient

PATIENCE = 2.0
MARGIN = 20.0  # what a busy machine may take beyond the probes' patience
_LISTENED = (netpolicy.Protocol.UDP, netpolicy.Protocol.SCTP)


class Prober:
    """Asks the probing process; answers come in the order of the orders."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self._running = running

    async def ask(self, order: Mapping[str, Any]) -> Any:
        stdin, stdout = self._running.stdin, self._running.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(ConnectionError):
            stdin.write(json.dumps(order).encode() + b"\n")
            await stdin.drain()
        line = await stdout.readline()
        if not line:
            verdict = await self._running.stderr.read() if self._running.stderr else b""
            last = verdict.decode(errors="replace").strip().rpartition("\n")[2]
            raise errors.Unavailable(
                f"the probing process ended: {last or 'no word'}", where="this lab"
            )
        return json.loads(line)


@contextlib.asynccontextmanager
async def probing(pid: int) -> AsyncIterator[Prober]:
    """The process that probes in the lab whose process 1 is `pid`."""
    path = pythonpath.value(os.environ.get("PYTHONPATH"))
    argv = (sys.executable, "-m", "weft_lab.probes.prober", str(pid))
    env = {**os.environ, "PYTHONPATH": path}
    async with process.start(argv, env=env, stdin=True, limit=64 << 20) as running:
        yield Prober(running)


async def measure_network(
    api: Client,
    peer: Peer,
    chosen: tuple[str, str],
    question: netpolicy.Connection,
    *,
    ipv6: bool = False,
    patience: float = PATIENCE,
) -> Matrix:
    """The matrix of a network of the lab: expected and measured.

    `chosen` is a network or a NAD as its user names it, and a namespace for the latter.
    A connection that was expected and did not come about is tried once more: packets get lost.
    """
    found = await objects.read(api)
    known = members.networks(found)
    network = members.choose(*chosen, known)
    async with probing(peer.pid) as prober:
        there = members.on(network, found)
        seen = await open_places(prober, peer, there, question)
        there = tuple(members.learned(member, seen.get(member.id, ())) for member in there)
        policies = members.in_force(found)
        expected = reach.expect(network, there, policies, known, question, ipv6=ipv6)
        outcomes = await measure(prober, peer.pid, expected, patience=patience)
        lost = reach.measured(expected, outcomes).differing
        again = replace(expected, results=tuple(result for result in lost if result.expected))
        outcomes |= await measure(prober, peer.pid, again, patience=patience)
    return reach.measured(expected, outcomes)


async def open_places(
    prober: Prober, peer: Peer, attached: Iterable[Member], question: netpolicy.Connection
) -> dict[str, tuple[str, ...]]:
    """Make the prober ready; the addresses on each member's interface in its pod."""
    found = target.pods(peer)
    places = {
        member.id: (found[member.pod], member.interface)
        for member in attached
        if member.pod in found
    }
    order = {"open": places, "listen": question.protocol in _LISTENED}
    answer = await prober.ask(order)
    return {id: tuple(addresses) for id, addresses in answer.items()}


async def measure(
    prober: Prober, pid: int, matrix: Matrix, *, patience: float = PATIENCE, size: int = 0
) -> dict[Pair, ProbeResult]:
    """What each pair's probe came to. Cells without addresses stay unknown.

    `size`: bytes of a ping's packet with its IP header, 0 for few.
    """
    by_id = {member.id: member for member in matrix.members}
    results = [
        result for result in matrix.results if result.addresses and by_id[result.source].running
    ]
    inside = [result for result in results if not by_id[result.source].machine]
    outcomes: dict[Pair, ProbeResult] = {}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_from_pods(prober, inside, matrix.question, patience, outcomes, size))
        for member in matrix.members:
            own = [result for result in results if result.source == member.id]
            if member.machine and own:
                tasks.create_task(
                    _from_guest(pid, member, own, matrix.question, patience, outcomes, size)
                )
    if matrix.question.protocol in _LISTENED:
        await _listen(prober, results, matrix.question, outcomes)
    return outcomes


async def _from_pods(
    prober: Prober,
    results: Sequence[PairResult],
    question: netpolicy.Connection,
    patience: float,
    outcomes: dict[Pair, ProbeResult],
    size: int,
) -> None:
    order = {
        "size": size,
        "probe": [[result.source, *_written(result)] for result in results],
        "protocol": question.protocol or "ICMP",
        "port": question.port,
        "patience": patience,
    }
    for result, verdict in zip(results, await prober.ask(order), strict=True):
        outcomes[result.source, result.target] = ProbeResult(verdict)


def _written(result: PairResult) -> tuple[str, str]:
    """Target's address and own."""
    assert result.addresses is not None
    return str(result.addresses[1]), str(result.addresses[0])


async def _from_guest(
    pid: int,
    member: Member,
    results: Sequence[PairResult],
    question: netpolicy.Connection,
    patience: float,
    outcomes: dict[Pair, ProbeResult],
    size: int,
) -> None:
    """All commands of a guest in one session with its agent, which serves one at a time."""
    machine = machines.Machine(member.endpoint.namespace, member.machine, member.node, ())
    try:
        async with agentclient.Agent(machines.agent_socket(pid, machine)) as agent:
            device = await _device(agent, member.mac)

            async def one(result: PairResult) -> None:
                assert result.addresses is not None
                attempt = replace(question, target=result.addresses[1])
                argv = guests.command(attempt, patience, device, size=size)
                if not argv:
                    return
                with contextlib.suppress(errors.Unavailable):
                    done = await agent.execute(*argv, deadline=patience + MARGIN)
                    outcomes[result.source, result.target] = guests.seen(attempt, done)

            await asyncio.gather(*(one(result) for result in results))
    except errors.Unavailable:
        return  # unknown, as every pair that nobody could try


async def _device(agent: agentclient.Agent, mac: str) -> str:
    """The guest's own name of its card on the network."""
    cards = await agent.interfaces()
    return next((card.name for card in cards if card.mac.lower() == mac), "")


async def _listen(
    prober: Prober,
    results: Iterable[PairResult],
    question: netpolicy.Connection,
    outcomes: dict[Pair, ProbeResult],
) -> None:
    """Add what arrived and was not answered."""
    came = {tuple(entry) for entry in await prober.ask({"received": None, "port": question.port})}
    for result in results:
        to, own = _written(result)
        pair = (result.source, result.target)
        if (result.target, own, to) in came and outcomes.get(pair) is ProbeResult.SILENT:
            outcomes[pair] = ProbeResult.ARRIVED
