"""Looks at nodes of a cluster for `weft explain`: runs `onnode` in their agents' pods, by kubectl.

It needs kubectl, and the right to create `pods/exec` in weft's namespace, which administrators
have. Packets are sent in labs only: nobody's pods run commands that their owners did not ask for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from weft import errors
from weft.host import process
from weft.observe.explain.evidence import Evidence, Probe, Unseen, UsedAddresses
from weft.observe.members import Object

AGENT = "agent"  # the container, as deploy/chart names it
_LABELS = {"app.kubernetes.io/name": "weft", "app.kubernetes.io/component": "node"}
_PROGRAM = ("python3", "-I", "-m", "weft.observe.explain.onnode")
_PATIENCE = 60.0  # seconds


class AgentPods:
    """As `collect.Explorer` describes it. `options` choose the cluster for kubectl."""

    def __init__(self, pods: Sequence[Object], options: Sequence[str], kubeconfig: str) -> None:
        self._pods = {
            (pod.get("spec") or {}).get("nodeName"): pod["metadata"]
            for pod in pods
            if _LABELS.items() <= (pod["metadata"].get("labels") or {}).items()
        }
        self._options, self._kubeconfig = options, kubeconfig

    async def look(self, node: str, order: Mapping[str, Any]) -> Mapping[str, Any]:
        meta = self._pods.get(node)
        if meta is None:
            raise errors.Unavailable(
                "no pod of weft's agent that you may list runs there", where=f"node {node}"
            )
        where = ("-n", meta["namespace"], meta["name"], "-c", AGENT)
        argv = ("kubectl", *self._options, "exec", "-i", *where, "--", *_PROGRAM)
        env = {**os.environ, "KUBECONFIG": self._kubeconfig}
        done = await process.run(argv, data=json.dumps(order).encode(), env=env, timeout=_PATIENCE)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            what = "the agent's pod gave no answer that can be read"
            raise errors.Unavailable(what, where=f"node {node}") from None
        if not isinstance(answer, dict):
            raise errors.Unavailable("the agent's pod gave no answer", where=f"node {node}")
        return answer

    async def used(self, _: Evidence) -> Mapping[str, UsedAddresses | Unseen]:
        """Nothing beyond what guest agents report at their instances."""
        return {}

    async def probe(self, evidence: Evidence, _: float) -> Probe | Unseen:
        return Unseen("packets are sent in a lab only")
