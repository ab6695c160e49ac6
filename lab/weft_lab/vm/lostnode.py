"""Says of a machine that fails with its node what KubeVirt's node controller says."""

from __future__ import annotations

from typing import Any

from weft.kube import events, resources
from weft.kube.client import Client, NotFound
from weft_lab.reasons import Reason
from weft_lab.vm import lifecycle

Object = dict[str, Any]


async def explained(client: Client, recorder: events.Recorder, vmi: Object, new: Object) -> Object:
    """The instance's `new` status, with a reason if it fails because its node is gone."""
    node = str(new.get("nodeName") or "")
    if new.get("phase") != "Failed" or lifecycle.is_final(vmi) or not node:
        return new
    try:
        await client.get(resources.NODES, node)
    except NotFound:
        text = f"virt-handler on node {node} is not responsive, marking VMI as failed"
        recorder.emit(vmi, Reason.NODE_UNRESPONSIVE, text)
        return {**new, "reason": Reason.NODE_UNRESPONSIVE.value}
    return new
