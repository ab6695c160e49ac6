"""Serves TokenRequests: a token for a service account, for a while, bound to a pod where asked."""

from __future__ import annotations

import time
from typing import Any

from weft_lab.apiserver import clock, status, tokens, writes
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.resources import Object

_HOUR, _LEAST, _MOST = 3600, 600, 1 << 32


def answer(cluster: Cluster, target: writes.Target, body: Object, key: bytes) -> dict[str, Any]:
    """The request with its status: the token, and when it ends."""
    account = writes.find(cluster, target)
    spec = body.get("spec")
    spec = dict(spec) if isinstance(spec, dict) else {}
    seconds = spec.get("expirationSeconds")
    seconds = _HOUR if seconds is None else seconds
    causes = []
    if not isinstance(seconds, int) or seconds < _LEAST:
        why = "may not specify a duration less than 10 minutes"
        causes.append(status.wrong("spec.expirationSeconds", seconds, why))
    elif seconds > _MOST:
        why = "may not specify a duration larger than 2^32 seconds"
        causes.append(status.wrong("spec.expirationSeconds", seconds, why))
    if causes:
        raise status.invalid("authentication.k8s.io", "TokenRequest", "", causes)
    bound = _bound(cluster, target, account.uid, spec.get("boundObjectRef"))
    audiences = tuple(map(str, spec.get("audiences") or ()))
    now = time.time()
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": target.name,
            "namespace": target.namespace,
            "uid": account.uid,
            "creationTimestamp": clock.at(now),
        },
        "spec": {
            "audiences": list(audiences or (tokens.ISSUER,)),
            "expirationSeconds": seconds,
            "boundObjectRef": spec.get("boundObjectRef"),
        },
        "status": {
            "token": tokens.sign(key, bound, audiences, now, seconds),
            "expirationTimestamp": clock.at(now + seconds),
        },
    }


def _bound(cluster: Cluster, target: writes.Target, uid: str, reference: Any) -> tokens.Bound:
    """What the token is bound to: a pod of the account's, with its node; or nothing."""
    if not isinstance(reference, dict):
        return tokens.Bound(target.namespace, target.name, uid)
    name, kind = str(reference.get("name", "")), reference.get("kind")
    if kind != "Pod":
        raise status.bad_request(f"cannot bind token for serviceaccount to type {kind}")
    item = cluster.store.collection("pods").items.get((target.namespace, name))
    if item is None:
        raise status.not_found("", "pods", name)
    if reference.get("uid") and reference["uid"] != item.uid:
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID"
        raise status.conflict("", "pods", name, f"{why} in record ({item.uid})")
    spec = item.parse()["spec"]
    if spec.get("serviceAccountName") != target.name:
        raise status.bad_request(
            f"cannot bind token to pod {status.quote(name)} as serviceaccount"
            f" {status.quote(target.name)} is not used by it"
        )
    node = spec.get("nodeName")
    there = cluster.store.collection("nodes").items.get(("", node)) if node else None
    place = (node, there.uid) if node and there is not None else None
    return tokens.Bound(target.namespace, target.name, uid, (name, item.uid), place)
