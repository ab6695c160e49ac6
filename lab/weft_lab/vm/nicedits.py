"""Passes edits of a machine's NICs on: from its template to its instance, and to the pod.

hotplug.py decides; virt-controller has this written.
"""

from __future__ import annotations

import contextlib

from weft import names
from weft.kube import resources
from weft.kube.client import Client, Conflict, NotFound, Object
from weft_lab.vm import hotplug, launcherpod, lifecycle


class NicEdits:
    """Writes instances, templates and pods whose NICs are to be others."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def sync(self, vm: Object, vmi: Object | None) -> None:
        """Passes an edit of a template to its instance; forgets NICs that are unplugged."""
        template = vm["spec"]["template"]["spec"]
        if vmi is not None and not (lifecycle.is_final(vmi) or lifecycle.is_deleted(vmi)):
            await self._write(resources.VMIS, vmi, vmi["spec"], hotplug.synced(template, vmi))
        await self._write(resources.VMS, vm, template, hotplug.cleared(template, vmi))

    async def follow(self, vmi: Object, pod: Object) -> None:
        """Has the running pod's networks edited as the instance asks."""
        if lifecycle.phase(vmi) != "Running" or lifecycle.is_deleted(pod):
            return
        current = (pod["metadata"].get("annotations") or {}).get(names.NETWORKS)
        chosen = launcherpod.followed(vmi, str(current or "")) or None
        if current != chosen:
            await self._patch(resources.PODS, pod, {}, {"annotations": {names.NETWORKS: chosen}})

    async def _write(
        self, res: resources.Resource, obj: Object, spec: Object, desired: Object
    ) -> None:
        interfaces, networks = hotplug.interfaces_of(desired), hotplug.networks_of(desired)
        if interfaces == hotplug.interfaces_of(spec) and networks == hotplug.networks_of(spec):
            return
        body = {"domain": {"devices": {"interfaces": interfaces}}, "networks": networks}
        of_template = {"template": {"spec": body}}
        await self._patch(res, obj, {"spec": body if res is resources.VMIS else of_template}, {})

    async def _patch(
        self, res: resources.Resource, obj: Object, body: Object, notes: Object
    ) -> None:
        """Writes this version of an object; a newer one is read and decided again."""
        meta = obj["metadata"]
        body = {**body, "metadata": {"resourceVersion": meta["resourceVersion"], **notes}}
        with contextlib.suppress(NotFound, Conflict):
            await self._client.patch(res, meta["name"], meta["namespace"], body)
