"""Looks at nodes of a cluster for `weft explain`: runs `onnode` in their agents' pods, by kubectl.

It needs kubectl, and the right to create `pods/exec` in weft's namespace, which administrators
have. Packets are sent in labs only: nobody's pods run commands that their owners did not ask for.
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
from weft.observe.checks import AGENT as DAEMONSET
from weft.observe.checks import SYSTEM
from weft.observe.explain.evidence import Evidence, Probe, Unseen, UsedAddresses
from weft.observe.members import Object

AGENT = "agent"  # the container, as deploy/chart names it
_OWNER = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": DAEMONSET, "controller": True}
_PYTHON = ("python3", "-I", "-m")
_ONNODE = "weft.observe.explain.onnode"
_PATIENCE = 60.0  # seconds
_MOST = 16 << 20  # bytes of an answer
_LONGEST = 300  # characters of an error


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
    weft's."""

    def __init__(
        self, pods: Sequence[Object], options: Sequence[str], kubeconfig: str, namespace: str
    ) -> None:
        self._pods, self._namespace = agents(pods, namespace), namespace
        self._options, self._kubeconfig = options, kubeconfig

    async def look(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        command = self.command(node, _ONNODE)
        found = await _output(node, command.argv, json.dumps(order).encode(), command.env)
        return answer(node, found)

    def command(self, node: str, module: str) -> process.Command:
        """What runs a module of weft on a node. Raise Unavailable if no agent's pod is known."""
        pod = self._pods.get(node)
        if pod is None:
            what = f"no pod of weft's agent that you may list in {self._namespace} runs there"
            raise errors.Unavailable(what, where=f"node {node}")
        where = ("-n", self._namespace, pod, "-c", AGENT)
        argv = ("kubectl", *self._options, "exec", "-i", *where, "--", *_PYTHON, module)
        return process.Command(argv, {**os.environ, "KUBECONFIG": self._kubeconfig})

    async def used(self, _: Evidence) -> Mapping[str, UsedAddresses | Unseen]:
        """Nothing beyond what guest agents report at their instances."""
        return {}

    async def probe(self, evidence: Evidence, _: float) -> Probe | Unseen:
        return Unseen("packets are sent in a lab only")


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


async def _output(node: str, argv: Sequence[str], data: bytes, env: Mapping[str, str]) -> bytes:
    """What a program writes, within a budget: it comes from a node."""
    where = f"node {node}"
    async with process.start(argv, env=env, stdin=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        found = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE):
                with contextlib.suppress(ConnectionError):
                    running.stdin.write(data)
                    await running.stdin.drain()
                running.stdin.close()
                while len(found) <= _MOST and (part := await running.stdout.read(1 << 16)):
                    found += part
                if len(found) > _MOST:
                    raise errors.Unavailable("its answer is too long", where=where)
                complaint = (await running.stderr.read(1 << 16)).decode(errors="replace").strip()
                status = await running.wait()
        except TimeoutError:
            what = f"the agent's pod gave no answer within {_PATIENCE:g} s"
            raise errors.Unavailable(what, where=where) from None
    if status:
        shown = "".join(each if each.isprintable() else " " for each in complaint[-_LONGEST:])
        raise errors.Unavailable(f"kubectl exec ended with status {status}: {shown}", where=where)
    return bytes(found)
