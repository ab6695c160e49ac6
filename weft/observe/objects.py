"""Reads from the Kubernetes API what tells who is on a network and which policies guard it.

One list for each kind, all at the same time; what the objects mean is for `members`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from weft.kube import resources
from weft.kube.client import Client, NotFound
from weft.observe.members import Object, Objects


async def read(api: Client) -> Objects:
    """Kinds that a cluster does not define have no objects there."""
    kinds = (
        resources.NADS,
        resources.NAMESPACES,
        resources.PODS,
        resources.MULTINETWORKPOLICIES,
        resources.VMIS,
        resources.IPAMCLAIMS,
    )
    return Objects(*await asyncio.gather(*(_listed(api, kind) for kind in kinds)))


async def _listed(api: Client, kind: resources.Resource) -> Sequence[Object]:
    try:
        return await api.list(kind)
    except NotFound:
        return ()
