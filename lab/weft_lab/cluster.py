"""Asks the lab's API which nodes are ready and which virtual machines there are.

Asked as any client would, with the user's kubeconfig.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from weft import errors, names
from weft.kube import cache, client, resources
from weft.model import ObjectKey

PATIENCE = 30.0
ANSWER = 3.0  # seconds that a status waits for an answer


def wait_ready(kubeconfig: str, nodes: Iterable[str], *, since: float) -> None:
    """Return when each of the nodes is ready, and has said so after `since` (seconds of the epoch).

    The objects of an earlier run are still there, and say that their nodes are ready.
    """
    oldest = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    asyncio.run(_wait_ready(kubeconfig, tuple(nodes), oldest))


async def _wait_ready(kubeconfig: str, nodes: tuple[str, ...], oldest: str) -> None:
    def fresh(node: dict[str, Any]) -> bool:
        return is_ready(node, oldest)

    async with client.Client.from_kubeconfig(kubeconfig) as api:
        known = cache.Cache(api, resources.NODES)
        watching = asyncio.ensure_future(known.run())
        try:
            await asyncio.gather(
                *(known.wait_for(ObjectKey("", each), fresh, PATIENCE) for each in nodes)
            )
        finally:
            watching.cancel()


def remove(kubeconfig: str, nodes: Iterable[str]) -> None:
    """Delete the Nodes that have gone, and their pods, as a cluster's own controllers do."""
    asyncio.run(_remove(kubeconfig, tuple(nodes)))


async def _remove(kubeconfig: str, nodes: tuple[str, ...]) -> None:
    async with client.Client.from_kubeconfig(kubeconfig) as api:
        for node in nodes:
            with contextlib.suppress(client.NotFound):
                await api.delete(resources.NODES, node)
            for pod in await api.list(resources.PODS, field_selector=f"spec.nodeName={node}"):
                meta = pod["metadata"]
                with contextlib.suppress(client.NotFound, client.Conflict):
                    await api.delete(
                        resources.PODS, meta["name"], meta["namespace"], uid=meta["uid"], grace=0
                    )


def is_ready(node: dict[str, Any], oldest: str = "") -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(
        one["type"] == "Ready"
        and one["status"] == "True"
        and one.get("lastHeartbeatTime", "") >= oldest
        for one in conditions
    )


def faults(node: dict[str, Any]) -> str:
    """What the node's agent reports of its OVN; empty if it has no known fault."""
    conditions = (node.get("status") or {}).get("conditions") or []
    message = (
        str(one.get("message", ""))
        for one in conditions
        if one["type"] == names.OVN_CONDITION and one["status"] != "False"
    )
    return next(message, "")


def summary(kubeconfig: str) -> dict[str, Any]:
    """Nodes and virtual machines for `weft lab status`; `api` says whether it answers."""
    try:
        return asyncio.run(asyncio.wait_for(_summary(kubeconfig), ANSWER))
    except (errors.WeftError, OSError, TimeoutError) as error:
        return {"api": str(error) or "does not answer", "nodes": [], "vms": []}


async def _summary(kubeconfig: str) -> dict[str, Any]:
    async with client.Client.from_kubeconfig(kubeconfig, patience=ANSWER) as api:
        nodes = await api.list(resources.NODES)
        try:
            machines = await api.list(resources.VMIS)
        except client.NotFound:  # the kind is not defined: a lab without virtual machines
            machines = client.Listing()
    return {
        "api": "ok",
        "nodes": [
            {"name": one["metadata"]["name"], "ready": is_ready(one), "faults": faults(one)}
            for one in nodes
        ],
        "vms": [_machine(one) for one in machines],
    }


def _machine(vmi: dict[str, Any]) -> dict[str, Any]:
    status = vmi.get("status") or {}
    return {
        "namespace": vmi["metadata"]["namespace"],
        "name": vmi["metadata"]["name"],
        "phase": status.get("phase", ""),
        "node": status.get("nodeName", ""),
        "addresses": [
            address
            for nic in status.get("interfaces") or []
            for address in nic.get("ipAddresses") or filter(None, [nic.get("ipAddress")])
        ],
    }
