"""Judges what was read of a cluster: whether weft has what it needs there, and whether it works.

Pure: facts in, findings out. Each finding says what was seen and, unless it is well, a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from weft import errors, names
from weft.api import nad, nodeinfo
from weft.kube import resources
from weft.kube.resources import Resource

SYSTEM = "weft-system"  # the namespace of deploy/rbac.yaml
LEASE = "weft-cluster-manager"
OLDEST, ADMITS = (1, 26), (1, 30)  # Kubernetes; the second has admission policies
MAX_NAMED = 5  # objects that one finding names

Object = Mapping[str, Any]


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at, what was `seen`, and the `remedy` if it is not well."""

    verdict: Verdict
    what: str
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Right:
    """An account of deploy/rbac.yaml may do this."""

    account: str
    verb: str
    group: str
    resource: str
    subresource: str = ""

    def __str__(self) -> str:
        part = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource}{part}"


_CNI = "k8s.cni.cncf.io"
MANAGER, AGENT = "weft-cluster-manager", "weft-node"
# The rights without which an account cannot do its work at all.
RIGHTS = (
    *(Right(account, "watch", "", "pods") for account in (MANAGER, AGENT)),
    *(Right(account, "watch", "", "nodes") for account in (MANAGER, AGENT)),
    *(
        Right(account, "watch", _CNI, "network-attachment-definitions")
        for account in (MANAGER, AGENT)
    ),
    *(Right(account, "watch", _CNI, "multi-networkpolicies") for account in (MANAGER, AGENT)),
    Right(MANAGER, "patch", "", "pods"),
    Right(MANAGER, "patch", _CNI, "multi-networkpolicies", "status"),
    Right(MANAGER, "patch", _CNI, "network-attachment-definitions"),
    Right(AGENT, "patch", "", "nodes", "status"),
    Right(AGENT, "patch", "", "pods", "status"),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of a cluster. `absent`: kinds that it does not serve. `denied`: rights that the
    accounts lack; None where there are no such accounts, or nobody says."""

    version: str
    absent: frozenset[Resource] = frozenset()
    nodes: Sequence[Object] = ()
    nads: Sequence[Object] = ()
    leases: Sequence[Object] = ()
    has_keys: bool = False
    denied: tuple[Right, ...] | None = None
    admits: bool | None = None
    now: datetime = datetime.min


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Findings in the order in which one would mend them."""
    return (
        _version(facts.version),
        *_kinds(facts.absent),
        *_rights(facts),
        _manager(facts),
        *_versions(facts),
        *_definitions(facts.nads),
        *_agents(facts.nodes),
    )


def _version(version: str) -> Finding:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    number = (int(found[1]), int(found[2])) if found else ()
    if number and number < OLDEST:
        remedy = f"upgrade to {'.'.join(map(str, OLDEST))} or later"
        return Finding(Verdict.WARN, "Kubernetes", version, remedy)
    return Finding(Verdict.OK, "Kubernetes", version or "of unknown version")


def _kinds(absent: frozenset[Resource]) -> Iterator[Finding]:
    """The kinds that weft reads; only the first is needed in every case."""
    for kind, verdict, without in (
        (resources.NADS, Verdict.FAIL, "install Multus, which defines it: no network without it"),
        (resources.MULTINETWORKPOLICIES, Verdict.WARN, "without its CRD there are no policies"),
        (resources.IPAMCLAIMS, Verdict.WARN, "without its CRD no address outlives its pod"),
    ):
        if kind in absent:
            yield Finding(verdict, kind.kind, "is not defined", without)
        else:
            yield Finding(Verdict.OK, kind.kind, "is defined")


def _rights(facts: Facts) -> Iterator[Finding]:
    if facts.denied is None:
        return
    apply = "kubectl apply -f deploy/rbac.yaml"
    for account in (MANAGER, AGENT):
        lacking = [str(right) for right in facts.denied if right.account == account]
        what = f"rights of {account}"
        if lacking:
            yield Finding(Verdict.FAIL, what, f"may not {_few(lacking)}", apply)
        else:
            yield Finding(Verdict.OK, what, "has those that it needs")
    if facts.admits is False:
        found = re.match(r"v?(\d+)\.(\d+)", facts.version)
        able = found is not None and (int(found[1]), int(found[2])) >= ADMITS
        remedy = "kubectl apply -f deploy/admission-policy.yaml"
        remedy = remedy if able else "upgrade to Kubernetes 1.30 or later, which has them"
        state = "is not there: who may write to pods may write weft's annotations"
        yield Finding(Verdict.WARN, "admission policy", state, remedy)


def _manager(facts: Facts) -> Finding:
    what, run = "cluster manager", "run weft cluster-manager; its log says what hinders it"
    for lease in facts.leases:
        if lease["metadata"]["name"] != LEASE:
            continue
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        age = _age(str(spec.get("renewTime") or ""), facts.now)
        if holder and age is not None and age <= _patience(spec):
            return Finding(Verdict.OK, what, f"{holder} holds the lease")
        since = "never" if age is None else f"{age.total_seconds():.0f} s ago"
        state = f"the lease was renewed {since}" if holder else "nobody holds the lease"
        return Finding(Verdict.FAIL, what, state, run)
    if facts.has_keys:
        return Finding(Verdict.OK, what, "has published its keys")
    return Finding(Verdict.FAIL, what, "has never run here: its keys are not published", run)


def _versions(facts: Facts) -> Iterator[Finding]:
    """What the manager and the agents say of themselves; an older weft says nothing."""
    found: dict[str, list[str]] = {}
    for obj, called in (
        *((lease, "the cluster manager") for lease in facts.leases if _is_held(lease)),
        *((node, str(node["metadata"]["name"])) for node in facts.nodes),
    ):
        version = (obj["metadata"].get("annotations") or {}).get(names.VERSION)
        if version:
            found.setdefault(str(version), []).append(called)
    if len(found) > 1:
        listed = (f"{version} on {_few(who)}" for version, who in sorted(found.items()))
        remedy = "finish the upgrade: run one version of weft everywhere"
        yield Finding(Verdict.WARN, "versions of weft", "; ".join(listed), remedy)
    elif found:
        yield Finding(Verdict.OK, "versions of weft", f"{next(iter(found))} everywhere")


def _is_held(lease: Object) -> bool:
    return lease["metadata"]["name"] == LEASE and bool(
        (lease.get("spec") or {}).get("holderIdentity")
    )


def _patience(spec: Object) -> timedelta:
    """Twice what a lease lasts: a holder may be late, and clocks differ."""
    seconds = spec.get("leaseDurationSeconds")
    return timedelta(seconds=2 * (seconds if isinstance(seconds, int) else 15))


def _age(text: str, now: datetime) -> timedelta | None:
    try:
        return now - datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None


def _definitions(definitions: Iterable[Object]) -> Iterator[Finding]:
    """Definitions for weft that were not accepted."""
    own, waiting = 0, []
    for definition in definitions:
        try:
            is_own = nad.parse(definition) is not None
        except errors.InvalidInput:
            is_own = True
        if is_own:
            own += 1
            noted = (definition["metadata"].get("annotations") or {}).get(names.NETWORK_ID)
            waiting += [] if noted else [resources.key(definition)]
    if waiting:
        remedy = f"kubectl describe net-attach-def -n {waiting[0].replace('/', ' ')}"
        state = f"not accepted: {_few(waiting)}"
        yield Finding(Verdict.WARN, "networks", state, remedy)
    elif own:
        yield Finding(Verdict.OK, "networks", f"all of {own} definitions are accepted")


def _agents(nodes: Sequence[Object]) -> Iterator[Finding]:
    """Whether every agent has published its tunnel endpoints, and its OVN has no known fault."""
    silent, faulty, unready = [], [], []
    for node in nodes:
        name = str(node["metadata"]["name"])
        try:
            info = nodeinfo.parse(node)
            silent += [] if info.chassis and info.encap_ips else [name]
        except errors.InvalidInput:
            silent.append(name)
        conditions = (node.get("status") or {}).get("conditions") or ()
        states = {one.get("type"): one.get("status") for one in conditions}
        faulty += [name] if states.get(names.OVN_CONDITION) == "True" else []
        unready += [name] if states.get("Ready", "True") != "True" else []
    if not nodes:
        yield Finding(Verdict.FAIL, "nodes", "there are none", "add a node to the cluster")
        return
    if silent:
        remedy = "run weft node there; its log says what hinders it"
        yield Finding(Verdict.FAIL, "agents", f"none has announced {_few(silent)}", remedy)
    else:
        yield Finding(Verdict.OK, "agents", f"all of {len(nodes)} nodes are announced")
    if unready:
        remedy = f"kubectl describe node {unready[0]}"
        yield Finding(Verdict.WARN, "nodes", f"not ready: {_few(unready)}", remedy)
    if faulty:
        remedy = f"kubectl describe node {faulty[0]} names the faults; upgrade OVN there"
        state = f"has faults that guests can use on {_few(faulty)}"
        yield Finding(Verdict.WARN, "OVN", state, remedy)


def _few(named: Sequence[str]) -> str:
    listed = ", ".join(named[:MAX_NAMED])
    return listed + (f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else "")
