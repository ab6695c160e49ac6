"""Serves CNI STATUS: whether an ADD could succeed now.

Checks at each call the API server's pods, OVS's database, vswitchd and the bridge.
"""

from __future__ import annotations

import asyncio

from weft import errors
from weft.host import sockets
from weft.node import call
from weft.node.dependencies import Dependencies

_ANSWER_PATIENCE = 2.0


async def check(deps: Dependencies) -> None:
    """Raises Refused with the specification's code 50 if the node cannot take an ADD."""
    missing = []
    if not deps.pods.is_synced:
        missing.append("the agent has not read this node's pods yet")
    elif deps.pods.trouble:
        missing.append(f"the agent cannot follow this node's pods: {deps.pods.trouble}")
    missing += await _check_ovs(deps)
    missing += [reason for reason in deps.cannot_add() if reason not in missing]
    if missing:
        raise call.Refused(
            call.Code.UNAVAILABLE,
            "; ".join(missing),
            where=f"node {deps.node}",
            hint="see the logs of weft node, ovsdb-server, ovs-vswitchd and ovn-controller",
        )


async def _check_ovs(deps: Dependencies) -> list[str]:
    try:
        # A transaction that changes nothing tells whether the server answers.
        async with asyncio.timeout(_ANSWER_PATIENCE):
            await deps.ovs.transact([{"op": "comment", "comment": "weft: STATUS"}])
    except TimeoutError:
        return [f"OVS's database does not answer within {_ANSWER_PATIENCE:g} s"]
    except errors.WeftError as error:
        return [f"OVS's database does not answer: {error}"]
    if not _is_alive(deps.ovs.address):
        return ["ovs-vswitchd does not run"]
    if deps.ovs.get("Bridge", deps.settings.bridge) is None:
        return [f"OVS bridge {deps.settings.bridge} does not exist; is ovn-controller running?"]
    return []


def _is_alive(address: str) -> bool:
    """Whether vswitchd accepts on its control socket, beside the database's.

    If there is no such socket, vswitchd keeps it elsewhere, and counts as alive.
    """
    found = list(sockets.folder(address).glob("ovs-vswitchd.*.ctl"))
    return not found or any(sockets.accepts(path) for path in found)
