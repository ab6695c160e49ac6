"""Lists MultiNetworkPolicies: for which pods and networks, and whether they are in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weft import errors
from weft.api import policy, policystatus
from weft.console import paging
from weft.console.page import Object, Page, Question, Read, Reading
from weft.console.paging import ListPage
from weft.kube import resources
from weft.observe.chassis import natural_key
from weft.policy import netpolicy


@dataclass(frozen=True, slots=True)
class Row:
    """`state`: ok, warn or fail, and `text` why. `selects`: the pods in words."""

    namespace: str
    name: str
    networks: tuple[str, ...]
    selects: str
    directions: tuple[str, ...]
    state: str
    text: str
    since: str


@dataclass(frozen=True, slots=True)
class PolicyList:
    part: ListPage[Row]


def view(reading: Reading, asked: Question) -> PolicyList:
    """All policies that the viewer may list."""
    found = sorted((row(each) for each in reading.of(resources.MULTINETWORKPOLICIES)), key=_order)
    return PolicyList(paging.part(found, asked))


def _order(one: Row) -> tuple[Any, ...]:
    return natural_key(one.namespace), natural_key(one.name)


def row(obj: Object) -> Row:
    """A policy in one line."""
    meta = obj["metadata"]
    named = str(meta["namespace"]), str(meta["name"])
    state, text = _state(obj)
    since = str(meta.get("creationTimestamp") or "")
    try:
        found = policy.parse(obj)
    except errors.InvalidInput as error:
        return Row(*named, (), "", (), "fail", text if state == "fail" else str(error), since)
    return Row(
        *named,
        networks=tuple(map(str, found.nads)),
        selects=_selects(found),
        directions=tuple(sorted(each.value for each in found.directions)),
        state=state,
        text=text,
        since=since,
    )


def _selects(found: netpolicy.Policy) -> str:
    return policystatus.written(found.pods) or "all pods of the namespace"


def _state(obj: Object) -> tuple[str, str]:
    """The first condition that is not true, else what the policy's own says."""
    conditions = list(_conditions(obj))
    for each in conditions:
        if each.get("status") == "False":
            is_accepted = each.get("type") == "Accepted"
            return "fail" if is_accepted else "warn", str(each.get("message") or each.get("reason"))
    return ("ok", "in force") if conditions else ("warn", "no cluster manager has judged it yet")


def _conditions(obj: Object) -> Iterator[Mapping[str, Any]]:
    yield from (obj.get("status") or {}).get("conditions") or ()


PAGE = Page(
    name="policies",
    path="/policies",
    title="Policies",
    reads=(Read(resources.MULTINETWORKPOLICIES),),
    view=view,
)
