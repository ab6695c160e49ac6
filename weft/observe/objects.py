"""Reads the members of networks and their policies from the Kubernetes API.

One list for each kind, all at the same time; `members` parses the objects.
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
        asyncio.gather(*(_listed(api, kind) for kind in kinds)),
        _listed(api, resources.NETWORKS, refusals),
        asyncio.gather(*(_listed(api, kind, refusals) for kind in above)),
    )
    listed = tuple(itertools.chain(*controllers))
    return replace(Objects(*found), states=states, controllers=listed)


async def _listed(
    api: Client, kind: resources.Resource, absent: tuple[type[ApiError], ...] = (NotFound,)
) -> Sequence[Object]:
    try:
        return await api.list(kind)
    except absent:
        return ()
