"""Decides whether a deletion removes the object or marks it and waits for finalizers.

Pure: decides from the object and the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weft_lab.apiserver import clock, status
from weft_lab.apiserver.resources import Object, Resource

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class Request:
    """A client's DeleteOptions."""

    grace: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The object is removed now, or stays as `marked`."""

    marked: Object | None

    @property
    def now(self) -> bool:
        return self.marked is None


def read_request(body: Any, query: dict[str, str]) -> Request:
    """DeleteOptions from the body, or from the query where there is no body."""
    if isinstance(body, dict) and body:
        query = {}
    body = body if isinstance(body, dict) else {}
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    orphan = body.get("orphanDependents", query.get("orphanDependents"))
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
    causes = []
    if propagation and orphan is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(status.wrong("propagationPolicy", propagation, why))
    elif propagation not in ("", "Orphan", "Background", "Foreground"):
        known = ("Foreground", "Background", "Orphan", "nil")
        causes.append(status.unsupported("propagationPolicy", propagation, known))
    if not propagation and orphan is not None:
        propagation = "Orphan" if str(orphan).lower() == "true" else "Background"
    dry = body.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else [])
    if dry and dry != ["All"]:
        causes.append(status.unsupported("dryRun", dry, ("All",)))
    if causes:
        raise status.invalid("meta.k8s.io", "DeleteOptions", "", causes)
    demands = body.get("preconditions")
    demands = demands if isinstance(demands, dict) else {}
    try:
        seconds = None if grace is None else int(grace)
    except (TypeError, ValueError):
        why = f"strconv.ParseInt: parsing {status.quote(str(grace)[:40])}: invalid syntax"
        raise status.bad_request(why) from None
    return Request(
        grace=seconds,
        propagation=propagation,
        uid=str(demands.get("uid") or ""),
        resource_version=str(demands.get("resourceVersion") or ""),
        dry_run=bool(dry),
    )


# These types delete in steps of their own, and word a refusal in another way than the others.
_IN_STEPS = frozenset({"namespaces", "customresourcedefinitions.apiextensions.k8s.io"})


def check_preconditions(resource: Resource, obj: Object, request: Request) -> None:
    meta = obj["metadata"]
    for name, expected, held in (
        ("UID", request.uid, meta["uid"]),
        ("ResourceVersion", request.resource_version, meta["resourceVersion"]),
    ):
        if expected and expected != held and resource.id in _IN_STEPS:
            why = f"Precondition failed: {name} in precondition: {expected}, {name} in object meta:"
            raise status.conflict(resource.group, resource.plural, meta["name"], f"{why} {held}")
        if expected and expected != held:
            why = f"the {name} in the precondition ({expected}) does not match the {name} in record"
            why += f" ({held}). The object might have been deleted and then recreated"
            raise status.conflict(resource.group, resource.kind, meta["name"], why)


def decide(resource: Resource, obj: Object, request: Request, now: float) -> Decision:
    """`obj` is changed into the marked form if it stays."""
    meta = obj["metadata"]
    finalizers = list(meta.get("finalizers") or ())
    if request.propagation == "Orphan" and ORPHAN not in finalizers:
        finalizers.append(ORPHAN)
    elif request.propagation == "Foreground" and FOREGROUND not in finalizers:
        finalizers.append(FOREGROUND)
    elif request.propagation == "Background":
        finalizers = [one for one in finalizers if one not in {ORPHAN, FOREGROUND}]
    grace = grace_period(resource, obj, request)
    if grace == 0 and not finalizers:
        return Decision(None)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    if "deletionTimestamp" in meta and grace >= meta.get("deletionGracePeriodSeconds", 0):
        return Decision(obj)
    if resource.counted and "deletionTimestamp" not in meta:
        meta["generation"] = meta.get("generation", 1) + 1
    meta["deletionTimestamp"] = clock.at(now + grace)
    if resource.id not in _IN_STEPS:
        meta["deletionGracePeriodSeconds"] = grace
    return Decision(obj)


def grace_period(resource: Resource, obj: Object, request: Request) -> int:
    """Only what runs somewhere needs time to end."""
    if not resource.strategy.grace:
        return 0
    spec = obj.get("spec") or {}
    if not spec.get("nodeName") or (obj.get("status") or {}).get("phase") in {
        "Succeeded",
        "Failed",
    }:
        return 0
    if request.grace is None:
        held = obj["metadata"].get("deletionGracePeriodSeconds")
        return int(spec.get("terminationGracePeriodSeconds", 30) if held is None else held)
    return max(request.grace, 1) if request.grace else 0


def is_complete(obj: Object) -> bool:
    """Whether an object is marked, and no finalizer or grace period is left."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta or meta.get("finalizers"):
        return False
    if (obj.get("spec") or {}).get("finalizers") and obj.get("kind") == "Namespace":
        return False
    return not meta.get("deletionGracePeriodSeconds")
