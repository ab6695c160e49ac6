"""Removes what weft has written to the cluster's objects; it may run twice."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping

from weft import errors, names
from weft.api import conditions
from weft.control import conditionpatch, traces
from weft.kube import resources
from weft.kube.client import Client
from weft.kube.errors import Conflict, Expired, Forbidden, Invalid, NotFound
from weft.model import ObjectKey

log = logging.getLogger(__name__)

MAX_NAMED = 5  # pods that a message names
# weft's pods that write to objects, and the DaemonSet that cleans the nodes.
MINE = "app.kubernetes.io/component in (cluster-manager,node,openvswitch)"
WRITERS = f"app.kubernetes.io/name=weft,{MINE}"
CLEANER = "app.kubernetes.io/name=weft,app.kubernetes.io/component=uninstall"

Objects = Mapping[str, traces.Object]


async def check(client: Client, *, force: bool = False) -> None:
    """Raises Conflict while running pods have networks of weft, unless `force`."""
    users = sorted(traces.users(list(await client.list(resources.PODS))))
    if users and not force:
        shown = ", ".join(map(str, users[:MAX_NAMED])) + (", ..." if len(users) > MAX_NAMED else "")
        raise errors.Conflict(
            f"{len(users)} running pods have networks of weft and would lose them: {shown}",
            where="weft",
            hint="delete these pods first, or use --force (in the chart: uninstall.force=true)",
        )


async def cluster(client: Client, namespace: str, lease: str) -> None:
    """Removes annotations, conditions and finalizers of weft, its own objects, keys and lease.

    Waits first until the pods that write them are gone.
    """
    await until(client, resources.PODS, namespace, WRITERS, lambda pods: not pods)
    for each in traces.ALL:
        with contextlib.suppress(NotFound):  # a kind that the cluster does not have
            for obj in await client.list(each.resource):
                await _clean(client, each, obj)
    with contextlib.suppress(NotFound):  # a cluster without the kind
        for obj in await client.list(resources.IPAMCLAIMS):
            await _patch(client, resources.IPAMCLAIMS, obj, traces.release(obj))
    for kind in (resources.VMS, resources.VMIS):
        with contextlib.suppress(NotFound):  # a cluster without KubeVirt
            for obj in await client.list(kind):
                await _unmark(client, kind, obj)
    for kind in (resources.NETWORKS, resources.PODENDPOINTS):
        with contextlib.suppress(NotFound):  # a cluster without the kind
            for obj in await client.list(kind):
                await _delete(client, kind, resources.key(obj))
    for res, name in (
        (resources.SECRETS, names.SIGNING_KEY),
        (resources.CONFIGMAPS, names.SIGNING_KEYS),
        (resources.LEASES, lease),
    ):
        await _delete(client, res, ObjectKey(namespace, name))


async def _delete(client: Client, kind: resources.Resource, key: ObjectKey) -> None:
    with contextlib.suppress(NotFound):
        await client.delete(kind, key.name, key.namespace)
        log.info("deleted %s %s", kind.kind, key)


async def _clean(client: Client, each: traces.Traces, obj: traces.Object) -> None:
    await _patch(client, each.resource, obj, traces.cleaning(each, obj))
    if each.resource is resources.NODES and traces.conditions(obj) is not None:
        gone = [{"type": each, "$patch": "delete"} for each in names.CONDITIONS]
        with contextlib.suppress(NotFound):  # it was deleted meanwhile
            await client.patch(
                *(each.resource, obj["metadata"]["name"], "", {"status": {"conditions": gone}}),
                type="strategic",
                subresource="status",
            )


async def _patch(
    client: Client, kind: resources.Resource, obj: traces.Object, patch: traces.Object | None
) -> None:
    key = resources.key(obj)
    if patch is not None:
        with contextlib.suppress(NotFound):  # it was deleted meanwhile
            await client.patch(kind, key.name, key.namespace, patch)
            log.info("cleaned %s %s", kind.kind, key)


async def _unmark(client: Client, kind: resources.Resource, obj: traces.Object) -> None:
    """Removes weft's condition of a machine, however often others write its status meanwhile.

    One that somebody else's rule keeps from being written keeps it, and the rest goes on.
    """
    if not conditions.has(obj.get("status"), conditions.MACHINE_CONFLICT):
        return
    key = resources.key(obj)
    while True:
        try:
            if await conditionpatch.write(client, kind, key, type=conditions.MACHINE_CONFLICT):
                log.info("cleaned %s %s", kind.kind, key)
        except Conflict:
            continue
        except NotFound:
            log.debug("%s %s was deleted meanwhile", kind.kind, key)
        except (Forbidden, Invalid) as error:
            if error.denial:  # the right is missing: at this machine and at all others
                raise
            log.warning("%s %s keeps its condition: %s", kind.kind, key, error.message)
        return


async def nodes(client: Client, namespace: str) -> None:
    """Waits until every node has been cleaned."""
    await until(client, resources.DAEMONSETS, namespace, CLEANER, _is_done)
    log.info("every node has been cleaned")


def _is_done(found: Objects) -> bool:
    """Whether the DaemonSet's controller has seen it, and its pods are ready on every node."""
    return bool(found) and all(
        (status := each.get("status") or {}).get("observedGeneration")
        and status.get("numberReady") == status.get("desiredNumberScheduled")
        for each in found.values()
    )


async def until(
    client: Client,
    res: resources.Resource,
    namespace: str,
    selector: str,
    holds: Callable[[Objects], bool],
) -> None:
    """Waits until `holds` is true of the objects that a label selector selects, by name."""
    while True:
        listing = await client.list(res, namespace, label_selector=selector)
        found: dict[str, traces.Object] = {obj["metadata"]["name"]: obj for obj in listing}
        if holds(found):
            return
        events = client.watch(res, listing.resource_version, namespace, label_selector=selector)
        with contextlib.suppress(Expired):
            async for kind, obj in events:
                found[obj["metadata"]["name"]] = obj
                if kind == "DELETED":
                    del found[obj["metadata"]["name"]]
                if holds(found):
                    return
