"""Shows the health of nodes, tunnels and networks, and what is wrong now."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from weft import names
from weft.console import eventlist
from weft.console.eventlist import Event
from weft.console.page import Object, Page, Question, Read, Reading
from weft.kube import resources
from weft.kube.resources import Resource
from weft.observe import checks, networkobjects
from weft.observe.chassis import natural_key
from weft.observe.checks import Finding, Verdict

_DEFINED = (resources.NADS, resources.MULTINETWORKPOLICIES, resources.NETWORKS)
MOST_EVENTS = 10
# The pages that show more of a finding.
_PATHS = {
    **dict.fromkeys(("nodes", "agents", "tunnels", "OVN", "versions of weft"), ("nodes",)),
    "networks": ("networks",),
}
# Findings of weft doctor that are not true if the viewer may not list these kinds.
_JUDGED_BY = {
    "nodes": resources.NODES,
    "agents": resources.NODES,
    "tunnels": resources.NODES,
    "OVN": resources.NODES,
    "versions of weft": resources.NODES,
    "networks": resources.NADS,
    "cluster manager": resources.LEASES,
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A number of the cluster, how many of them are well, and where to read more. `is_stale`: that
    may be out of date."""

    name: str
    total: int
    well: int
    path: str = ""
    worst: Verdict = Verdict.FAIL
    is_stale: bool = False

    @property
    def verdict(self) -> Verdict:
        return Verdict.OK if self.well == self.total else self.worst


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong: what, and the remedy if one is known. `path` leads to the object."""

    verdict: Verdict
    what: str
    seen: str
    remedy: str = ""
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """`problems` are sorted, the worst first; `good` are the findings that are ok; `warnings`
    the latest Events of that type. `is_whole`: all was read that the viewer may list."""

    tiles: tuple[Tile, ...]
    problems: tuple[Problem, ...]
    good: tuple[Finding, ...]
    warnings: tuple[Event, ...]
    is_whole: bool


def view(reading: Reading, asked: Question) -> Overview:
    """The overview of what the viewer may list."""
    findings = _findings(reading, asked)
    problems = [
        *(
            Problem(one.verdict, one.what, one.seen, one.remedy, _PATHS.get(one.what, ()))
            for one in findings
            if one.verdict is not Verdict.OK
        ),
        *_of_networks(reading),
    ]
    problems.sort(key=lambda one: (one.verdict is not Verdict.FAIL, natural_key(one.what)))
    good = tuple(one for one in findings if one.verdict is Verdict.OK)
    every = eventlist.latest(reading.of(resources.EVENTS))
    warnings = itertools.islice((one for one in every if one.is_warning), MOST_EVENTS)
    kinds = (each.kind for each in PAGE.reads if not each.is_aside and reading.knows(each.kind))
    is_whole = all(reading.has_all(kind) for kind in kinds)
    return Overview(tuple(_tiles(reading)), tuple(problems), good, tuple(warnings), is_whole)


def _findings(reading: Reading, asked: Question) -> tuple[Finding, ...]:
    """What weft doctor finds, without what the viewer cannot judge."""
    keys = reading.of(resources.CONFIGMAPS)
    survey = checks.Survey(
        version="",
        absent=reading.absent
        & {resources.NADS, resources.MULTINETWORKPOLICIES, resources.NETWORKS},
        nodes=reading.of(resources.NODES),
        nads=reading.of(resources.NADS),
        leases=reading.of(resources.LEASES),
        has_keys=any(one["metadata"]["name"] == names.SIGNING_KEYS for one in keys),
        now=datetime.fromisoformat(asked.now),
    )
    hidden = {what for what, kind in _JUDGED_BY.items() if not reading.has_all(kind)}
    hidden |= {"Kubernetes", resources.IPAMCLAIMS.kind}
    for kind in _DEFINED:
        hidden |= set() if reading.has_all(kind) else {kind.kind}
    if not reading.has_all(resources.CONFIGMAPS) and not survey.leases:
        hidden.add("cluster manager")
    return tuple(one for one in checks.judge(survey) if one.what not in hidden)


def _of_networks(reading: Reading) -> Iterator[Problem]:
    objects = reading.of(resources.NETWORKS)
    paths = {networkobjects.name_of(one): str(one["metadata"]["name"]) for one in objects}
    for name, trouble in networkobjects.troubles(objects):
        path = ("networks", paths[name]) if name in paths else ()
        yield Problem(Verdict.WARN, f"network {name}", trouble, path=path)


def _tiles(reading: Reading) -> Iterator[Tile]:
    for kind, tiles in (
        (resources.NODES, _of_nodes),
        (resources.NETWORKS, _of_all_networks),
        (resources.VMS, _of_machines),
    ):
        if reading.has_all(kind):
            yield from tiles(reading.of(kind))
        elif _was_whole(reading, kind):
            yield from (replace(one, is_stale=True) for one in tiles(reading.of(kind)))


def _was_whole(reading: Reading, kind: Resource) -> bool:
    """Whether all objects of a kind were there when it was read last, a while ago."""
    is_cut = kind in reading.denied or kind in reading.left_out
    return bool(reading.of(kind)) and kind in reading.stale and not is_cut


def _of_nodes(nodes: Sequence[Object]) -> Iterator[Tile]:
    yield Tile("Nodes", len(nodes), sum(_holds(one, "Ready") for one in nodes), "nodes")
    probed = [one for one in nodes if _status(one, names.TUNNELS_CONDITION)]
    working = sum(_holds(one, names.TUNNELS_CONDITION) for one in probed)
    if probed:
        yield Tile("Nodes with all tunnels", len(probed), working, "nodes")


def _of_all_networks(networks: Sequence[Object]) -> Iterator[Tile]:
    well = len(networks) - len(networkobjects.reasons(networks))
    yield Tile("Networks", len(networks), well, "networks", Verdict.WARN)


def _of_machines(machines: Sequence[Object]) -> Iterator[Tile]:
    expected = [one for one in machines if not _is_halted(one)]
    if expected:
        ready = sum(_holds(one, "Ready") for one in expected)
        yield Tile("Virtual machines", len(expected), ready, "machines", Verdict.WARN)


def _is_halted(machine: Mapping[str, Any]) -> bool:
    """Whether it is to be off."""
    spec = machine.get("spec") or {}
    return spec.get("runStrategy") == "Halted" or spec.get("running") is False


def _holds(obj: Mapping[str, Any], condition: str) -> bool:
    return _status(obj, condition) == "True"


def _status(obj: Mapping[str, Any], condition: str) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    found = (str(one.get("status")) for one in conditions if one.get("type") == condition)
    return next(found, "")


PAGE = Page(
    name="overview",
    path="/",
    title="Overview",
    reads=(
        Read(resources.NODES),
        Read(resources.NETWORKS),
        Read(resources.NADS),
        Read(resources.VMS, is_aside=True),
        Read(resources.MULTINETWORKPOLICIES, is_aside=True),
        Read(resources.EVENTS, is_aside=True),
        Read(resources.LEASES, f"metadata.name={checks.LEASE}", is_aside=True),
        Read(resources.CONFIGMAPS, f"metadata.name={names.SIGNING_KEYS}", is_aside=True),
    ),
    view=view,
)
