"""Looks at nodes of a cluster for `weft explain`: runs `onnode` in their agents' pods, by kubectl.

It needs kubectl, and the right to create `pods/exec` in weft's namespace, which administrators
have. Nobody's pods run commands that their owners did not ask for: where it is asked for, a packet
is sent in a pod's name by the switch of its node (`onnodeprobe`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weft import errors
from weft.host import process
from weft.model import ObjectKey
from weft.observe.checks import AGENT as DAEMONSET
from weft.observe.checks import SYSTEM
from weft.observe.explain import hops, probeframes, zone
from weft.observe.explain.evidence import Evidence, Probe, Unseen, UsedAddresses
from weft.observe.members import Object
from weft.observe.reach import ProbeResult

AGENT = "agent"  # the container, as deploy/chart names it
_OWNER = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": DAEMONSET, "controller": True}
PYTHON = ("python3", "-I", "-m")
_ONNODE = "weft.observe.explain.onnode"
ASK = "weft.observe.explain.onnodeask"
_PROBE = "weft.observe.explain.onnodeprobe"
PATIENCE = 60.0  # seconds for kubectl, beside what a probe waits
_MOST = 16 << 20  # bytes of an answer
_LONGEST = 300  # characters of an error
NO_PING = "ping has no answer, so no large packet could be tried"


def agents(pods: Iterable[Object], namespace: str = SYSTEM) -> dict[str, str]:
    """The name of the agent's pod on each node: of weft's DaemonSet in weft's namespace.

    Anybody may label a pod, and give it an owner: it is the namespace that keeps tenants out.
    """
    found: dict[str, str] = {}
    for pod in pods:
        meta, node = pod["metadata"], str((pod.get("spec") or {}).get("nodeName") or "")
        owners = meta.get("ownerReferences") or ()
        is_agent = any(_OWNER.items() <= owner.items() for owner in owners)
        if not node or meta.get("namespace") != namespace or not is_agent:
            continue
        if node not in found or not meta.get("deletionTimestamp"):
            found[node] = str(meta["name"])
    return found


class AgentPods:
    """As `collect.Explorer` describes it. `options` choose the cluster for kubectl; `namespace` is
    weft's. Packets are sent if `probes` says so; `offer` is how that is asked for."""

    offer = "--probe"

    def __init__(
        self,
        pods: Sequence[Object],
        options: Sequence[str],
        kubeconfig: str,
        namespace: str,
        *,
        probes: bool = False,
    ) -> None:
        self._probes = probes
        self._pods, self._namespace = agents(pods, namespace), namespace
        self._options, self._kubeconfig = options, kubeconfig

    async def look(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        return answer(node, await self.run(node, _ONNODE, json.dumps(order).encode()))

    def may_ask(self, role: str, evidence: Evidence) -> bool:
        """Of guests whose agent does not say it, and of pods, nobody else knows it."""
        return self._probes and not isinstance(evidence.used.get(role), UsedAddresses)

    async def ask(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self.hold(node, ASK, order, PATIENCE + 2 * order["patience"])

    async def hold(
        self, node: str, module: str, order: Mapping[str, Any], patience: float
    ) -> Mapping[str, Any]:
        """What a module answers on a node that ends with who asked. Raise WeftError where it does
        not."""
        return await attended(node, self.command(node, module), order, patience)

    async def run(self, node: str, module: str, data: bytes) -> bytes:
        """What a module of weft answers on a node. Raise WeftError where it does not."""
        command = self.command(node, module)
        return await output(node, command.argv, data, command.env)

    def command(self, node: str, module: str) -> process.Command:
        """What runs a module of weft on a node. Raise Unavailable if no agent's pod is known."""
        where = ("-n", self._namespace, self.pod(node).name, "-c", AGENT)
        argv = ("kubectl", *self._options, "exec", "-i", *where, "--", *PYTHON, module)
        return process.Command(argv, {**os.environ, "KUBECONFIG": self._kubeconfig})

    def pod(self, node: str) -> ObjectKey:
        """The agent's pod on a node. Raise Unavailable if none is known."""
        name = self._pods.get(node)
        if name is None:
            what = f"no pod of weft's agent that you may list in {self._namespace} runs there"
            raise errors.Unavailable(what, where=f"node {node}")
        return ObjectKey(self._namespace, name)

    async def used(self, _: Evidence) -> Mapping[str, UsedAddresses | Unseen]:
        """Nothing beyond what guest agents report at their instances."""
        return {}

    async def probe(self, evidence: Evidence, patience: float) -> Probe | Unseen:
        if not self._probes:
            return Unseen(f"no packet was sent; {self.offer} sends one in the source's name")
        source, target, network = evidence.source, evidence.target, evidence.network
        if source.member is None or target.member is None:
            return Unseen("packets are sent between pods and virtual machines only")
        if isinstance(network, Unseen):
            return network
        macs = source.member.mac, hops.mac_towards(source, target, evidence)
        packet = zone.order([source.port, target.port], evidence.connection, macs)["packet"]
        if packet is None:
            return Unseen("the ends have no addresses of one family")
        patience = min(patience, probeframes.LONGEST_WAIT)
        size = min(network.mtu, probeframes.LARGEST)
        order = {"packet": packet, "patience": patience, "size": size}
        # The packet, a small ping, and one as large as the MTU.
        seconds = PATIENCE + 3 * patience
        try:
            found = await self.hold(source.node, _PROBE, order, seconds)
        except errors.WeftError as error:
            return Unseen(error.what)
        by = f"sent in {source.name}'s name by the switch of {source.node}"
        return probed(found, by, size)


def probed(found: Mapping[str, Any], by: str, size: int = 0) -> Probe | Unseen:
    """What a node says of the probe that it sent, and of a ping of `size` bytes after it."""
    if error := found.get("error"):
        return Unseen(str(error)[:_LONGEST])
    reply = str(found.get("reply") or "")
    if not reply:
        return Probe(ProbeResult.SILENT, by=by)
    known = reply if reply in tuple(probeframes.Reply) else "something"
    full: ProbeResult | Unseen | None = None
    if size:
        full = Unseen(NO_PING)
        if "full" in found:
            full = ProbeResult.ANSWERED if found["full"] else ProbeResult.SILENT
    return Probe(ProbeResult.ANSWERED, full=full, size=size, by=f"{by}; {known} came back")


def answer(node: str, output: bytes) -> Mapping[str, Any]:
    """The object in what an agent's pod wrote. Raise Unavailable if it cannot be read."""
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        what = "the agent's pod gave no answer that can be read"
        raise errors.Unavailable(what, where=f"node {node}")
    return found


async def attended(
    node: str, command: process.Command, order: Mapping[str, Any], patience: float
) -> Mapping[str, Any]:
    """What a program that ends with who asked answers to an order. Raises Unavailable."""
    line = json.dumps(order).encode() + b"\n"
    found = await output(node, command.argv, line, command.env, patience, holds=True)
    return answer(node, found)


async def output(
    node: str,
    argv: Sequence[str],
    data: bytes,
    env: Mapping[str, str],
    patience: float = PATIENCE,
    *,
    holds: bool = False,
) -> bytes:
    """What a program writes, within a budget: it comes from a node.

    With `holds` the program's standard input ends only with this, so that it can see that nobody
    waits any more. Raises Unavailable.
    """
    where = f"node {node}"
    async with process.start(argv, env=env, stdin=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        found = bytearray()
        try:
            async with asyncio.timeout(patience):
                with contextlib.suppress(ConnectionError):
                    running.stdin.write(data)
                    await running.stdin.drain()
                if not holds:
                    running.stdin.close()
                while len(found) <= _MOST and (part := await running.stdout.read(1 << 16)):
                    found += part
                if len(found) > _MOST:
                    raise errors.Unavailable("its answer is too long", where=where)
                complaint = (await running.stderr.read(1 << 16)).decode(errors="replace").strip()
                status = await running.wait()
        except TimeoutError:
            what = f"the agent's pod gave no answer within {patience:g} s"
            raise errors.Unavailable(what, where=where) from None
    if status:
        shown = errors.printable(complaint[-_LONGEST:])
        raise errors.Unavailable(f"{argv[0]} ended with status {status}: {shown}", where=where)
    return bytes(found)
