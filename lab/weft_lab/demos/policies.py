"""The demo of policies: six machines ping each other, before a policy and with it.

They share a layer 2 network without subnets and have their addresses from cloud-init. Then a
policy admits only 10.200.0.0/30: vm1, vm2 and vm3. The expected results are written
here, independent of the measurement and of the policy evaluator, so that both are checked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from weft import errors
from weft.kube import client, resources
from weft.model import ObjectKey
from weft.observe.reach import Matrix
from weft.policy import netpolicy
from weft_lab.demos import machines, manifests, setup
from weft_lab.probes import measuring
from weft_lab.state import Peer

NAME = "policies"
NETWORK = "flatl2net"
POLICY = ObjectKey("default", "ingress-ipblock")
VMS = ("vm1", "vm2", "vm3", "vm4", "vm5", "vm6")
ADMITTED = ("vm1", "vm2", "vm3")
PING = netpolicy.Connection(None)
PATIENCE = 5.0  # six emulated guests share the machine, and silence is waited for once
CONVERGENCE = 60.0  # seconds until what was applied or removed must be in force


@dataclass(frozen=True, slots=True)
class Scene:
    """What is claimed, and the matrix that was measured against it.

    `agrees`: the evaluator of policies expects what is claimed.
    """

    claim: str
    matrix: Matrix
    agrees: bool

    @property
    def holds(self) -> bool:
        """Every pair of the six was measured, and is as claimed."""
        measured = [
            result.reaches is not None and not result.differs for result in self.matrix.results
        ]
        return self.agrees and len(measured) == len(VMS) * (len(VMS) - 1) and all(measured)


def judge(claim: str, matrix: Matrix, senders: Iterable[str]) -> Scene:
    """The scene in which exactly `senders` reach the others."""
    allowed = set(senders)
    named = {member.id: member.name for member in matrix.members}
    claimed = tuple(
        replace(result, expected=named[result.source] in allowed) for result in matrix.results
    )
    agrees = claimed == matrix.results
    return Scene(claim, replace(matrix, results=claimed), agrees)


def in_force(policy: dict[str, Any]) -> bool:
    """Whether the policy's status accepts its generation, with a port of each machine."""
    status = policy.get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return bool(
        status.get("observedGeneration") == policy["metadata"].get("generation")
        and conditions.get("Accepted") == conditions.get("Bound") == "True"
        and status.get("ports") == len(VMS)
    )


async def play(
    api: client.Client, peer: Peer, report: setup.Report
) -> tuple[dict[str, machines.Machine], list[Scene]]:
    """Both scenes, and the machines in them."""
    objects = manifests.read(NAME)
    policy = [obj for obj in objects if obj["kind"] == resources.MULTINETWORKPOLICIES.kind]
    others = [obj for obj in objects if obj not in policy]
    namespace, name = POLICY
    with contextlib.suppress(client.NotFound):  # the demo was shown in this lab before
        await api.delete(resources.MULTINETWORKPOLICIES, name, namespace)
    vms = await setup.prepare(api, others, report)
    report("pinging without a policy", None)
    before = await _converged(api, peer, "all reach all", VMS)
    report("pinging without a policy", 1.0)
    await manifests.apply(api, policy)
    report("waiting for the policy", None)
    await _wait(api)
    report("waiting for the policy", 1.0)
    report("pinging with the policy", None)
    after = await _converged(api, peer, "only vm1, vm2 and vm3 reach anyone", ADMITTED)
    report("pinging with the policy", 1.0)
    return vms, [before, after]


async def _wait(api: client.Client) -> None:
    async with setup.following(api, resources.MULTINETWORKPOLICIES) as policies:
        try:
            await policies.wait_for(POLICY, in_force, CONVERGENCE)
        except errors.NotReady as error:
            found = policies.get(POLICY) or {}
            conditions = [
                f"{one['type']} is {one['status']} ({one.get('message', '')})"
                for one in (found.get("status") or {}).get("conditions") or ()
            ]
            raise errors.Unavailable(
                f"the policy is not in force: {'; '.join(conditions) or 'it has no status'}",
                where=f"MultiNetworkPolicy {POLICY}",
                hint="see its status and events: kubectl describe multi-policy",
            ) from error


async def _converged(api: client.Client, peer: Peer, claim: str, senders: Iterable[str]) -> Scene:
    """Measure until the claim holds, or for as long as nodes may take; the last look counts.

    A status shows that the manager accepted a policy; only packets show that nodes enforce it.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + CONVERGENCE
    network = (NETWORK, "default")
    while True:
        matrix = await measuring.measure_network(api, peer, network, PING, patience=PATIENCE)
        scene = judge(claim, matrix, senders)
        if scene.holds or loop.time() > end:
            return scene
