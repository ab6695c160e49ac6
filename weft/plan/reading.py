"""Reads what a plan needs: the objects of an edit, and those of the cluster that it meets."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from weft import errors
from weft.kube import resources
from weft.kube.client import Client, Forbidden
from weft.observe import objects
from weft.plan import worlds
from weft.plan.worlds import Object, World


def named(where: str, obj: Any, namespace: str) -> Object:
    """The object with a namespace, `namespace` if it names none. Raise WeftError, which names
    `where`, if it has no kind or no name."""
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(meta, dict) or not meta.get("name") or not obj.get("kind"):
        what = "an object has no kind or no metadata.name"
        raise errors.WeftError(what, where=where, hint="weft check says what each object needs")
    meta = {**meta, "namespace": meta.get("namespace") or namespace}
    if not all(isinstance(each, str) for each in (obj["kind"], meta["name"], meta["namespace"])):
        what = "an object's kind, metadata.name or metadata.namespace is no text"
        raise errors.WeftError(what, where=where, hint="weft check says what each object needs")
    kind = next((each for each in resources.ALL if each.kind == obj["kind"]), None)
    if kind is not None and not kind.namespaced:
        return {**obj, "metadata": {**meta, "namespace": ""}}
    return {**obj, "metadata": meta}


def planned(given: Sequence[Object], subject: str, field: str) -> list[Object]:
    """The objects that can be planned, and Namespaces. Raise InvalidInput, which names `subject`
    and `field`, if there is nothing to plan."""
    kinds = (*worlds.PLANNED, resources.NAMESPACES.kind)
    found = [each for each in given if each["kind"] in kinds]
    if not any(each["kind"] in worlds.PLANNED for each in found):
        rule = f"has no object of these kinds: {', '.join(worlds.PLANNED)}"
        raise errors.InvalidInput(subject, field, None, rule)
    return found


async def world(api: Client, given: Sequence[Object], namespaces: Sequence[str]) -> World:
    """The objects of a cluster. What the user may not list in all namespaces is read in these, and
    `World.unread` says so. Raise Forbidden if he may not even list pods there, or the kind of an
    object that is planned in its namespace: it may be there already."""
    kinds = {each["kind"] for each in given}
    (found, partial), own, wide, nodes = await asyncio.gather(
        objects.read_allowed(api, namespaces),
        objects.list_allowed(api, resources.UDNS, namespaces),
        _listed(api, resources.CUDNS, kinds),
        _listed(api, resources.NODES),
    )
    udns, read = own
    seen = partial if read is None else {**partial, resources.UDNS.plural: read}
    if seen.get(resources.PODS.plural) == frozenset():
        await objects.listed(api, resources.PODS)  # it raises what the server says
    for kind in _SPREAD:
        homes = {each["metadata"]["namespace"] for each in given if each["kind"] == kind.kind}
        for home in sorted(homes - seen.get(kind.plural, homes)):
            await objects.listed(api, kind, namespace=home)  # likewise
    whole = objects.stand_in(found, partial, namespaces)
    owned = [{**each, "kind": resources.UDNS.kind} for each in udns]
    unread = objects.left_out(seen, namespaces)
    return World(whole, [*owned, *(wide or ())], nodes, unread)


_SPREAD = (resources.NADS, resources.MULTINETWORKPOLICIES, resources.UDNS)


async def _listed(
    api: Client, kind: resources.Resource, required: Collection[str] = ()
) -> list[Object] | None:
    """The objects of a kind, with it; None if the user may not list them."""
    try:
        found = await objects.listed(api, kind)
    except Forbidden:
        if kind.kind in required:
            raise
        return None
    return [{**each, "kind": kind.kind} for each in found]
