"""Reads the members of networks, their policies and addresses from the Kubernetes API.

One list for each kind, all at the same time; `members` and `addresses` parse the objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from weft.kube import resources
from weft.kube.client import ApiError, Client, Forbidden, NotFound
from weft.observe import addresses
from weft.observe.members import Object, Objects


async def read(api: Client) -> Objects:
    """List the objects. Raise ApiError if the server refuses.

    A kind that the cluster does not serve has no objects, and neither have controllers and Networks
    that the user may not list.
    """
    kinds = (
        resources.NADS,
        resources.NAMESPACES,
        resources.PODS,
        resources.MULTINETWORKPOLICIES,
        resources.VMIS,
        resources.IPAMCLAIMS,
    )
    above = (resources.REPLICASETS, resources.JOBS, resources.VMS)
    refusals = (NotFound, Forbidden)
    found, states, controllers = await asyncio.gather(
        asyncio.gather(*(listed(api, kind) for kind in kinds)),
        listed(api, resources.NETWORKS, refusals),
        asyncio.gather(*(listed(api, kind, refusals) for kind in above)),
    )
    chained = tuple(itertools.chain(*controllers))
    return replace(Objects(*found), states=states, controllers=chained)


async def read_allowed(
    api: Client, namespaces: Sequence[str]
) -> tuple[Objects, dict[str, frozenset[str]]]:
    """List what the user may. A kind that he may not list in all namespaces is listed in these.

    Also returned: the kinds that are not whole, by plural, with the namespaces that were read.
    """
    kinds = (
        resources.NADS,
        resources.PODS,
        resources.MULTINETWORKPOLICIES,
        resources.VMIS,
        resources.IPAMCLAIMS,
    )
    above = (resources.REPLICASETS, resources.JOBS, resources.VMS)
    whole, (homes, named), states = await asyncio.gather(
        asyncio.gather(*(list_allowed(api, kind, namespaces) for kind in (*kinds, *above))),
        _namespaces(api, namespaces),
        listed(api, resources.NETWORKS, (NotFound, Forbidden)),
    )
    nads, pods, policies, instances, claims, *controllers = (found for found, _ in whole)
    partial = {
        kind.plural: seen for kind, (_, seen) in zip(kinds, whole, strict=False) if seen is not None
    }
    if named is not None:
        partial[resources.NAMESPACES.plural] = named
    chained = tuple(itertools.chain(*controllers))
    found = Objects(nads, homes, pods, policies, instances, claims, chained, states)
    return found, partial


def stand_in(
    found: Objects, partial: Mapping[str, frozenset[str]], namespaces: Sequence[str]
) -> Objects:
    """The objects with a Namespace, of which the name alone is known, for each that the user may
    not read."""
    read = partial.get(resources.NAMESPACES.plural)
    made = [_named(each) for each in namespaces if read is not None and each not in read]
    return replace(found, namespaces=[*found.namespaces, *made])


def _named(namespace: str) -> Object:
    return {"metadata": {"name": namespace, "labels": {"kubernetes.io/metadata.name": namespace}}}


def left_out(partial: Mapping[str, frozenset[str]], namespaces: Sequence[str]) -> tuple[str, ...]:
    """What `read_allowed` did not read, a phrase for each kind. `namespaces`: those asked for."""
    found = []
    for plural, read in sorted(partial.items()):
        if plural == resources.NAMESPACES.plural:
            unread = [each for each in namespaces if each not in read]
            found += [f"the labels of namespace {one}: it is taken to have none" for one in unread]
            continue
        where = (
            f"of other namespaces than {', '.join(sorted(read))}" if read else "of any namespace"
        )
        found.append(f"{plural} {where}: you may not list them")
    return tuple(found)


async def list_allowed(
    api: Client, kind: resources.Resource, namespaces: Sequence[str]
) -> tuple[Sequence[Object], frozenset[str] | None]:
    """The objects of a kind, and the namespaces that were read; None for all."""
    try:
        return await listed(api, kind), None
    except Forbidden:
        pass
    found: list[Object] = []
    seen = set()
    for namespace in namespaces:
        with contextlib.suppress(Forbidden):
            found += await listed(api, kind, namespace=namespace)
            seen.add(namespace)
    return found, frozenset(seen)


async def _namespaces(
    api: Client, names: Sequence[str]
) -> tuple[Sequence[Object], frozenset[str] | None]:
    """The namespaces, and the names of those that were read; None for all. Who may not list them
    may well read his own."""
    try:
        return await listed(api, resources.NAMESPACES), None
    except Forbidden:
        pass
    found = []
    for name in names:
        with contextlib.suppress(Forbidden, NotFound):
            found.append(await api.get(resources.NAMESPACES, name))
    return found, frozenset(str(each["metadata"]["name"]) for each in found)


async def listed(
    api: Client,
    kind: resources.Resource,
    absent: tuple[type[ApiError], ...] = (NotFound,),
    *,
    namespace: str = "",
) -> Sequence[Object]:
    try:
        return await api.list(kind, namespace)
    except absent:
        return ()


async def read_holders(
    api: Client, namespaces: Sequence[str] = ()
) -> tuple[addresses.Objects, list[str]]:
    """List what says who holds addresses, of these namespaces or of all; and what is not judged.

    NADs of other namespaces are read where the user may. Raise ApiError if pods, IPAMClaims or NADs
    may not be listed at all.
    """
    try:
        pods, claims, (nads, _) = await asyncio.gather(
            _of_namespaces(api, resources.PODS, namespaces),
            _of_namespaces(api, resources.IPAMCLAIMS, namespaces),
            read_nads(api, namespaces),
        )
    except Forbidden as error:
        if not namespaces:
            error.hint = "name a namespace that you may read: weft ip -n NAMESPACE"
        raise
    warnings: list[str] = []

    async def judged_by(kind: resources.Resource, what: str) -> Sequence[Object] | None:
        try:
            return await _of_namespaces(api, kind, namespaces if kind.namespaced else ())
        except Forbidden as error:
            warnings.append(f"{what}: {error}")
            return None

    nodes, machines = await asyncio.gather(
        judged_by(resources.NODES, "addresses on nodes that are gone are not named"),
        judged_by(resources.VMS, "virtual machines that are gone are taken for stopped ones"),
    )
    return addresses.Objects(pods, claims, nads, nodes, machines), sorted(warnings)


async def read_nads(api: Client, namespaces: Sequence[str]) -> tuple[Sequence[Object], bool]:
    """List the NADs, and whether they are all: of these namespaces if the user may not list all."""
    try:
        return await listed(api, resources.NADS), True
    except Forbidden:
        if not namespaces:
            raise
        return await _of_namespaces(api, resources.NADS, namespaces), False


async def _of_namespaces(
    api: Client, kind: resources.Resource, namespaces: Sequence[str]
) -> Sequence[Object]:
    if not namespaces:
        return await listed(api, kind)
    found = await asyncio.gather(*(listed(api, kind, namespace=each) for each in namespaces))
    return list(itertools.chain(*found))
