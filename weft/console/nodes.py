"""Looks at nodes for a viewer who logs in, by the viewer's own right to enter the agents' pods.

On a cluster the programs run in the agents' pods, through the API server and with the viewer's
token. Packets are sent in the name of pods where the viewer asks for it. A lab has no such pods:
the console itself looks at its nodes, for who may enter all pods by the API server's word. Who may
do that on a cluster is root on its nodes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson

from weft import errors
from weft.console.page import Nodes, Object
from weft.kube import podexec, resources
from weft.kube.client import Client, Forbidden
from weft.observe.checks import SYSTEM
from weft.observe.explain import agentpods
from weft.observe.explain.collect import Explorer
from weft.observe.explain.evidence import Evidence, Probe, Unseen, UsedAddresses
from weft.observe.flows.collect import Way
from weft.observe.members import Objects
from weft.observe.reach import Matrix
from weft.observe.snapshot import Snapshot
from weft.policy import netpolicy

MOST = 4 << 20  # bytes of a node's answer
PROBE = "the field “Send a probe”"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
Turn = Callable[[], AbstractAsyncContextManager[None]]


class ViewersNodes:
    """Nodes as one viewer may look at them. `lab`: those of a lab, None on a cluster, where weft
    runs in the namespace `system`. A node is asked when it is the viewer's `turn`."""

    def __init__(
        self, client: Client, turn: Turn, lab: Nodes | None = None, system: str = SYSTEM
    ) -> None:
        self._client, self._turn, self._lab, self._system = client, turn, lab, system

    @asynccontextmanager
    async def explorer(self, pods: Sequence[Object], *, probes: bool) -> AsyncIterator[Explorer]:
        if why := await self._lacking():
            yield Unexplored(why)
        elif self._lab is not None:
            async with self._lab.explorer(pods, probes=probes) as found:
                yield found
        else:
            yield await self._agents(pods, probes=probes)

    async def way(self, found: Objects) -> Way:
        await self._check()
        if self._lab is not None:
            return await self._lab.way(found)
        return (await self._agents(found.pods)).run

    async def snapshots(self) -> tuple[Snapshot, ...]:
        return await (await self._of_lab("the databases of nodes are read")).snapshots()

    async def measure(
        self, network: str, connection: netpolicy.Connection, *, ipv6: bool
    ) -> Matrix:
        nodes = await self._of_lab("packets are sent")
        return await nodes.measure(network, connection, ipv6=ipv6)

    async def _of_lab(self, what: str) -> Nodes:
        if self._lab is None:
            raise errors.Unavailable(f"{what} in a lab only")
        await self._check()
        return self._lab

    async def _check(self) -> None:
        """Raise Unavailable if the viewer lacks the right to look at nodes."""
        if why := await self._lacking():
            hint = "Explain and Matrix judge without it what objects say"
            raise errors.Unavailable(why, hint=hint)

    async def _lacking(self) -> str:
        """Which right to look at nodes the viewer lacks, by the API server's word; "" if none."""
        namespace = self._system if self._lab is None else ""
        where = f"in the namespace {namespace}" if namespace else "in all namespaces"
        # A WebSocket begins with a GET, of which newer servers ask for the right to create, too.
        for verb in ("create", "get") if self._lab is None else ("create",):
            try:
                is_allowed = await self._may(verb, namespace)
            except Forbidden as error:
                return f"nodes are looked at for who may {verb} pods/exec {where}: {error.what}"
            if not is_allowed:
                right = f"{verb} pods/exec {where}"
                return f"nodes are looked at for who may {right}, and you may not"
        return ""

    async def _may(self, verb: str, namespace: str) -> bool:
        right = {"verb": verb, "resource": "pods", "subresource": "exec", "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": right},
        }
        answer = await self._client.request(
            "POST", _REVIEWS, body=orjson.dumps(review), content_type="application/json"
        )
        return (answer.get("status") or {}).get("allowed") is True

    async def _agents(self, pods: Sequence[Object], *, probes: bool = False) -> _Agents:
        """`pods` are those that were read; they may be of the viewer's own namespaces alone."""
        if not agentpods.agents(pods, self._system):
            try:
                pods = await self._client.list(resources.PODS, self._system)
            except Forbidden:
                pods = ()
        return _Agents(self._client, pods, self._turn, self._system, probes=probes)


class _Agents(agentpods.AgentPods):
    """Agents' pods that are entered with a viewer's client."""

    offer = PROBE

    def __init__(
        self, client: Client, pods: Sequence[Object], turn: Turn, system: str, *, probes: bool
    ) -> None:
        super().__init__(pods, (), "", system, probes=probes)
        self._client, self._turn = client, turn

    async def run(self, node: str, module: str, data: bytes) -> bytes:
        return await self._entered(node, module, data, agentpods.PATIENCE)

    async def hold(
        self, node: str, module: str, order: Mapping[str, Any], patience: float
    ) -> Mapping[str, Any]:
        line = orjson.dumps(order) + b"\n"
        found = await self._entered(node, module, line, patience, holds=True)
        return agentpods.answer(node, found)

    async def _entered(
        self, node: str, module: str, data: bytes, patience: float, *, holds: bool = False
    ) -> bytes:
        pod, argv = self.pod(node), (*agentpods.PYTHON, module)
        async with self._turn():
            return await podexec.run(
                *(self._client, pod, agentpods.AGENT, argv, data),
                patience=patience,
                most=MOST,
                holds=holds,
            )


class Unexplored:
    """Nodes that are not looked at: what objects say is all that is known."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def look(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        raise errors.Unavailable(self._why, where=f"node {node}")

    def may_ask(self, role: str, evidence: Evidence) -> bool:
        return False

    async def ask(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        raise errors.Unavailable(self._why, where=f"node {node}")

    async def used(self, evidence: Evidence) -> Mapping[str, UsedAddresses | Unseen]:
        return {}

    async def probe(self, evidence: Evidence, patience: float) -> Probe | Unseen:
        return Unseen(self._why)
