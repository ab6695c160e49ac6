"""Collects what nodes see of flows, and makes the report of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from weft import errors, names
from weft.api import podnetworks
from weft.observe import members
from weft.observe.explain import agentpods
from weft.observe.flows import chosen, join, sighting
from weft.observe.flows.judge import Judge
from weft.observe.flows.places import Places
from weft.observe.flows.record import Report
from weft.observe.flows.sighting import Look
from weft.observe.members import Objects

MODULE = "weft.observe.flows.onnode"
_AT_ONCE = 8  # nodes that are asked at the same time

# What a module of weft, given some input, answers on a node. Raises WeftError where it does not.
Way = Callable[[str, str, bytes], Awaitable[bytes]]
# What was not read whole, as objects.read_allowed returns it.
Partial = Mapping[str, frozenset[str]]
WHOLE: Partial = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Question:
    """`pods` as "<namespace>/<name>"; empty: all of these networks, which are all if empty."""

    networks: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    only_denied: bool = False
    limit: int = chosen.LIMIT


def nodes(found: Objects, question: Question) -> list[str]:
    """The nodes that have pods of the networks in question."""
    known = members.networks(found)
    there: set[str] = set()
    for pod in found.pods:
        node = str((pod.get("spec") or {}).get("nodeName") or "")
        notes = pod["metadata"].get("annotations") or {}
        if not node or node in there or names.POD_NETWORKS not in notes:
            continue
        nads = map(podnetworks.nad_of, podnetworks.keys(notes[names.POD_NETWORKS]))
        mine = {known.get(nad, "") for nad in nads if nad is not None} - {""}
        if mine and (not question.networks or mine & set(question.networks)):
            there.add(node)
    return sorted(there)


def networks_of(found: Objects, pods: Collection[str]) -> tuple[str, ...]:
    """The networks of these pods."""
    known = members.networks(found)
    mine: set[str] = set()
    for pod in found.pods:
        meta = pod["metadata"]
        notes = meta.get("annotations") or {}
        if f"{meta['namespace']}/{meta['name']}" in pods and names.POD_NETWORKS in notes:
            nads = map(podnetworks.nad_of, podnetworks.keys(notes[names.POD_NETWORKS]))
            mine |= {known.get(nad, "") for nad in nads if nad is not None}
    return tuple(sorted(mine - {""}))


async def report(
    way: Way, found: Objects, question: Question, at: float, partial: Partial = WHOLE
) -> Report:
    """One look at the nodes. `at`: the time, in seconds since the epoch. `partial`: see Judge."""
    looks, notices = await looked(way, found, question, partial)
    return made(looks, found, question, at, partial, notices)


async def looked(
    way: Way, found: Objects, question: Question, partial: Partial = WHOLE
) -> tuple[Mapping[str, Look], Sequence[str]]:
    """What each node sees, and what is not known, for `made`: that takes seconds for many nodes."""
    order = {"networks": list(question.networks), "pods": list(question.pods)}
    asked = nodes(found, question)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(node: str) -> Look | str:
        async with limit:
            return await look(way, node, order)

    answers = dict(zip(asked, await asyncio.gather(*map(one, asked)), strict=True))
    looks = {node: each for node, each in answers.items() if isinstance(each, Look)}
    messages = [
        *(f"you may not list {kind} in all namespaces" for kind in sorted(partial)),
        *(f"node {n}: {each}" for n, each in answers.items() if isinstance(each, str)),
    ]
    messages += [f"node {node}: {text}" for node, each in looks.items() for text in each.notices]
    return looks, messages


def made(
    looks: Mapping[str, Look],
    found: Objects,
    question: Question,
    at: float,
    partial: Partial = WHOLE,
    notices: Sequence[str] = (),
) -> Report:
    """The report of what nodes answered. Pure."""
    places, judge = Places(looks, found.pods), Judge(found, partial)
    joined = join.join(looks, places, judge)
    messages = list(notices)
    if joined.unjudged:
        messages.append(
            f"{joined.unjudged} flows that nobody has answered are not listed: policies that you "
            "may not list decide whether they arrive"
        )
    if joined.strange:
        messages.append(
            f"{joined.strange} flows between addresses that weft has not given to anybody are not "
            "listed: it is not known whether they arrive"
        )
    listed, left_off = chosen.choose(
        joined.records,
        networks=question.networks,
        pods=question.pods,
        only_denied=question.only_denied,
        limit=question.limit,
    )
    left_off += sum(each.left_off for each in looks.values())
    return Report(join.time(at), tuple(listed), left_off, tuple(messages))


async def look(way: Way, node: str, order: Mapping[str, Any]) -> Look | str:
    """What a node sees, or why that is not known."""
    try:
        answer = agentpods.answer(node, await way(node, MODULE, json.dumps(order).encode()))
        if "error" in answer:
            return str(answer["error"])[:300]
        return sighting.parse(answer)
    except errors.WeftError as error:
        return error.what
    except ValueError as error:
        return f"its answer cannot be read: {error}"
