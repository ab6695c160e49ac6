"""Judges what was read of a cluster: whether weft has what it needs there, and whether it works.

Pure: a survey in, findings out. A finding that is not OK names a remedy.
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
from weft.ovn.vulnerabilities import Exposure

SYSTEM = "weft-system"  # the namespace of deploy/rbac.yaml
LEASE = "weft-cluster-manager"
# The oldest Kubernetes that is supported: the first whose tokens name the node of a pod, by which
# the admission policy holds an agent to its own node.
OLDEST = (1, 32)
MAX_NAMED = 5  # objects that one finding lists by name

Object = Mapping[str, Any]


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `weft doctor`: the subject, what was seen of it, and a remedy unless it is OK."""

    verdict: Verdict
    what: str
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Right:
    """A right that deploy/rbac.yaml grants to a service account."""

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
    Right(MANAGER, "watch", resources.NETWORKS.group, resources.NETWORKS.plural),
    Right(MANAGER, "create", resources.NETWORKS.group, resources.NETWORKS.plural),
    Right(MANAGER, "patch", resources.NETWORKS.group, resources.NETWORKS.plural, "status"),
    Right(AGENT, "patch", "", "nodes", "status"),
    Right(AGENT, "patch", "", "pods", "status"),
)


@dataclass(frozen=True, slots=True)
class Survey:
    """What was read of a cluster.

    `absent`: kinds that it does not serve. `has_keys`: whether the manager has published its
    signing keys. `denied`: rights that weft's accounts lack, None if they do not exist or the user
    may not ask. `evaluates`: whether the server has admission policies. `admits`: whether weft's
    exists, None if that was not asked.
    """

    version: str
    absent: frozenset[Resource] = frozenset()
    nodes: Sequence[Object] = ()
    nads: Sequence[Object] = ()
    leases: Sequence[Object] = ()
    has_keys: bool = False
    denied: tuple[Right, ...] | None = None
    evaluates: bool = True
    admits: bool | None = None
    now: datetime = datetime.min


def judge(survey: Survey) -> tuple[Finding, ...]:
    """Return the findings, in the order in which their faults should be mended."""
    return (
        _version(survey.version),
        *_kinds(survey.absent),
        *_rights(survey),
        _manager(survey),
        *_versions(survey),
        *_networks(survey.nads),
        *_agents(survey.nodes),
    )


def _version(version: str) -> Finding:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    number = (int(found[1]), int(found[2])) if found else ()
    if number and number < OLDEST:
        remedy = f"upgrade to {'.'.join(map(str, OLDEST))} or later"
        return Finding(Verdict.WARN, "Kubernetes", version, remedy)
    return Finding(Verdict.OK, "Kubernetes", version or "of unknown version")


def _kinds(absent: frozenset[Resource]) -> Iterator[Finding]:
    """Whether the cluster serves the kinds that weft reads; weft works without all but the
    first."""
    for kind, verdict, without in (
        (resources.NADS, Verdict.FAIL, "install Multus, which defines it; every network needs it"),
        (resources.MULTINETWORKPOLICIES, Verdict.WARN, "install its CRD to use network policies"),
        (resources.IPAMCLAIMS, Verdict.WARN, "install its CRD so that VMs keep their addresses"),
        (resources.NETWORKS, Verdict.WARN, "install its CRD to see the state of each network"),
    ):
        if kind in absent:
            yield Finding(verdict, kind.kind, "is not defined", without)
        else:
            yield Finding(Verdict.OK, kind.kind, "is defined")


def _rights(survey: Survey) -> Iterator[Finding]:
    if survey.denied is None:
        return
    apply = "kubectl apply -f deploy/rbac.yaml"
    for account in (MANAGER, AGENT):
        lacking = [str(right) for right in survey.denied if right.account == account]
        what = f"rights of {account}"
        if lacking:
            yield Finding(Verdict.FAIL, what, f"may not {_few(lacking)}", apply)
        else:
            yield Finding(Verdict.OK, what, "are complete")
    if survey.admits is False:
        state, remedy = "does not exist", "kubectl apply -f deploy/admission-policy.yaml"
        if not survey.evaluates:
            state = "this API server evaluates none"
            remedy = "Kubernetes 1.30 and later evaluate admission policies; the lab does not"
        state += ": whoever may update pods may forge weft's annotations"
        yield Finding(Verdict.WARN, "admission policy", state, remedy)


def _manager(survey: Survey) -> Finding:
    what, run = (
        "cluster manager",
        "if weft cluster-manager runs, its log names the cause; else start it",
    )
    for lease in survey.leases:
        if lease["metadata"]["name"] != LEASE:
            continue
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        age = _age(str(spec.get("renewTime") or ""), survey.now)
        if holder and age is not None and age <= _patience(spec):
            return Finding(Verdict.OK, what, f"{holder} holds the lease")
        since = "never" if age is None else f"{age.total_seconds():.0f} s ago"
        state = f"the lease was renewed {since}" if holder else "nobody holds the lease"
        return Finding(Verdict.FAIL, what, state, run)
    if survey.has_keys:
        return Finding(Verdict.OK, what, "has published its keys")
    return Finding(Verdict.FAIL, what, "has never run here: its keys are not published", run)


def _versions(survey: Survey) -> Iterator[Finding]:
    """Whether the manager and all agents run one version, by the annotations that they write.

    Versions of weft before that annotation write none, and are not counted.
    """
    found: dict[str, list[str]] = {}
    for obj, called in (
        *((lease, "the cluster manager") for lease in survey.leases if _is_held(lease)),
        *((node, str(node["metadata"]["name"])) for node in survey.nodes),
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
    """Twice the lease's duration: a holder may be late, and clocks differ."""
    seconds = spec.get("leaseDurationSeconds")
    return timedelta(seconds=2 * (seconds if isinstance(seconds, int) else 15))


def _age(text: str, now: datetime) -> timedelta | None:
    try:
        return now - datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None


def _networks(nads: Iterable[Object]) -> Iterator[Finding]:
    """Whether the cluster manager has accepted every NAD of weft's."""
    own, pending = 0, []
    for obj in nads:
        try:
            is_own = nad.parse(obj) is not None
        except errors.InvalidInput:
            is_own = True
        if is_own:
            own += 1
            network_id = (obj["metadata"].get("annotations") or {}).get(names.NETWORK_ID)
            pending += [] if network_id else [str(resources.key(obj))]
    if pending:
        remedy = f"kubectl describe net-attach-def -n {pending[0].replace('/', ' ')}"
        state = f"not accepted: {_few(pending)}"
        yield Finding(Verdict.WARN, "networks", state, remedy)
    elif own:
        yield Finding(Verdict.OK, "networks", f"all {own} NADs are accepted")


def _agents(nodes: Sequence[Object]) -> Iterator[Finding]:
    """Whether every agent has published its tunnel endpoints, and guests can exploit no OVN."""
    unpublished, exploitable, cut_off, unready = [], [], [], []
    for node in nodes:
        name = str(node["metadata"]["name"])
        try:
            info = nodeinfo.parse(node)
            unpublished += [] if info.chassis and info.encap_ips else [name]
        except errors.InvalidInput:
            unpublished.append(name)
        conditions = (node.get("status") or {}).get("conditions") or ()
        for one in conditions:
            match one.get("type"), one.get("status"), one.get("reason"):
                case names.OVN_CONDITION, "True", reason if reason != Exposure.NOT_EXPLOITABLE:
                    exploitable.append(name)
                case names.TUNNELS_CONDITION, "False", _:
                    cut_off.append(name)
                case "Ready", status, _ if status != "True":
                    unready.append(name)
    if not nodes:
        yield Finding(Verdict.FAIL, "nodes", "the cluster has none", "add a node to the cluster")
        return
    if unpublished:
        remedy = "if weft node runs there, its log names the cause; else start it"
        seen = f"no tunnel endpoint of {_few(unpublished)} is published"
        yield Finding(Verdict.FAIL, "agents", seen, remedy)
    else:
        yield Finding(Verdict.OK, "agents", f"all {len(nodes)} nodes have published endpoints")
    if unready:
        remedy = f"kubectl describe node {unready[0]}"
        yield Finding(Verdict.WARN, "nodes", f"not ready: {_few(unready)}", remedy)
    if cut_off:
        remedy = f"kubectl describe node {cut_off[0]} names those that do not answer"
        seen = f"carry nothing to some nodes, from {_few(cut_off)}"
        yield Finding(Verdict.FAIL, "tunnels", seen, remedy)
    if exploitable:
        remedy = f"kubectl describe node {exploitable[0]} names the faults; upgrade OVN there"
        state = f"has faults that guests can exploit, on {_few(exploitable)}"
        yield Finding(Verdict.WARN, "OVN", state, remedy)


def _few(named: Sequence[str]) -> str:
    listed = ", ".join(named[:MAX_NAMED])
    return listed + (f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else "")
