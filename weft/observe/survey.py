"""Reads from the Kubernetes API what `checks` judges: all kinds at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from weft import errors, names
from weft.kube import resources
from weft.kube.client import Client, Forbidden, NotFound
from weft.kube.resources import Resource
from weft.observe.checks import AGENT, RIGHTS, SYSTEM, Right, Survey

_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_POLICY = f"{_ADMISSION}/validatingadmissionpolicies/weft-pods"


@dataclass(frozen=True, slots=True)
class _Listed:
    """The objects of one kind; `served` is False if the cluster does not serve it."""

    items: Sequence[dict[str, Any]] = ()
    served: bool = True


async def read(api: Client, now: datetime) -> Survey:
    """Read everything that `checks.judge` needs. Raise ApiError if the server refuses a request."""
    version = await api.request("GET", "/version")
    kinds = (
        resources.NODES,
        resources.NADS,
        resources.MULTINETWORKPOLICIES,
        resources.IPAMCLAIMS,
        resources.NETWORKS,
        resources.LEASES,
        resources.CONFIGMAPS,
    )
    nodes, nads, policies, claims, networks, leases, maps = await asyncio.gather(
        *(_listed(api, kind) for kind in kinds)
    )
    optional = (
        (resources.NADS, nads),
        (resources.MULTINETWORKPOLICIES, policies),
        (resources.IPAMCLAIMS, claims),
        (resources.NETWORKS, networks),
    )
    denied = await _denied(api)
    return Survey(
        version=str(version.get("gitVersion", "")),
        absent=frozenset(kind for kind, found in optional if not found.served),
        nodes=nodes.items,
        nads=nads.items,
        leases=leases.items,
        has_keys=any(one["metadata"]["name"] == names.SIGNING_KEYS for one in maps.items),
        denied=denied,
        evaluates=await _evaluates(api),
        admits=None if denied is None else await _exists(api, _POLICY),
        now=now,
    )


async def _listed(api: Client, kind: Resource) -> _Listed:
    try:
        return _Listed(await api.list(kind))
    except NotFound:
        return _Listed(served=False)


async def _exists(api: Client, path: str) -> bool:
    try:
        await api.request("GET", path)
    except (NotFound, Forbidden):
        return False
    return True


async def _evaluates(api: Client) -> bool:
    """Whether the API server has admission policies."""
    try:
        listed = await api.request("GET", _ADMISSION)
    except (NotFound, Forbidden):
        return False
    return any(one["name"] == "validatingadmissionpolicies" for one in listed["resources"])


async def _denied(api: Client) -> tuple[Right, ...] | None:
    """The rights that weft's accounts lack, by SubjectAccessReview.

    None if the accounts do not exist, or the user may not create reviews.
    """
    try:
        await api.get(resources.SERVICE_ACCOUNTS, AGENT, SYSTEM)
        answers = await asyncio.gather(*(_may(api, right) for right in RIGHTS))
    except (NotFound, Forbidden):
        return None
    return tuple(right for right, may in zip(RIGHTS, answers, strict=True) if not may)


async def _may(api: Client, right: Right) -> bool:
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{SYSTEM}:{right.account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}"],
            "resourceAttributes": attributes,
        },
    }
    answer = await api.request(
        "POST", _REVIEWS, body=orjson.dumps(review), content_type="application/json"
    )
    return bool((answer.get("status") or {}).get("allowed"))


def unreachable(error: errors.WeftError) -> str:
    """Why a cluster was not surveyed, in one line."""
    return f"{error.where}: {error.what}" if error.where else error.what
