"""Reads from the Kubernetes API what tells who is on a network and which policies guard it.

One list for each kind, all at the same time; what the objects mean is for `members`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

from weft.kube import resources
from weft.kube.client import ApiError, Client, Forbidden, NotFound
from weft.observe.members import Object, Objects


async def read(api: Client) -> Objects:
    """Kinds that a cluster does not define have no objects, nor have controllers that the user may
    not list."""
    kinds = (
        resources.NADS,
        resources.NAMESPACES,
        resources.PODS,
        resources.MULTINETWORKPOLICIES,
        resources.VMIS,
        resources.IPAMCLAIMS,
    )
    above = (resources.REPLICASETS, resources.JOBS, resources.VMS)
    found, controllers = await asyncio.gather(
        asyncio.gather(*(_listed(api, kind) for kind in kinds)),
        asyncio.gather(*(_listed(api, kind, (NotFound, Forbidden)) for kind in above)),
    )
    return replace(Objects(*found), controllers=tuple(itertools.chain(*controllers)))


async def _listed(
    api: Client, kind: resources.Resource, absent: tuple[type[ApiError], ...] = (NotFound,)
) -> Sequence[Object]:
    try:
        return await api.list(kind)
    except absent:
        return ()
