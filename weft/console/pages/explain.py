"""Asks why A does not reach B, as `weft explain` does, and shows each step and the sentence."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from weft import names
from weft.console.page import JobAccess, Page, Question, Read, Reading
from weft.console.pages import matrix
from weft.kube import resources
from weft.observe import members
from weft.observe.chassis import natural_key
from weft.observe.explain import collect, question, sentence
from weft.observe.explain.sentence import Explanation

MOST_OFFERED = 300
_PATIENCE = 3.0  # seconds for each reply


@dataclass(frozen=True, slots=True)
class Form:
    """What was asked, and the ends and networks that are offered. `is_asked`: enough to answer."""

    source: str
    target: str
    port: str
    network: str
    ipv6: bool
    probe: bool
    ends: tuple[str, ...]
    networks: tuple[str, ...]

    @property
    def is_asked(self) -> bool:
        return bool(self.source and self.target)


def view(reading: Reading, asked: Question) -> Form:
    """The form with the query: a, b, port, network, ipv6, probe."""
    nads = members.Objects(nads=reading.of(resources.NADS))
    query = {name: asked.query.get(name, "").strip() for name in ("a", "b", "port", "network")}
    return Form(
        query["a"],
        query["b"],
        query["port"],
        query["network"],
        ipv6=bool(asked.query.get("ipv6")),
        probe=bool(asked.query.get("probe")),
        ends=tuple(itertools.islice(sorted(set(_ends(reading)), key=natural_key), MOST_OFFERED)),
        networks=tuple(sorted(set(members.networks(nads).values()))),
    )


def _ends(reading: Reading) -> Iterator[str]:
    """Machines, and pods that are on one of weft's networks."""
    for each in reading.of(resources.VMIS):
        yield f"vm/{each['metadata']['namespace']}/{each['metadata']['name']}"
    for each in reading.of(resources.PODS):
        meta = each["metadata"]
        is_machine = names.VM_NAME in (meta.get("labels") or {})
        if names.POD_NETWORKS in (meta.get("annotations") or {}) and not is_machine:
            yield f"pod/{meta['namespace']}/{meta['name']}"


async def explain(access: JobAccess, asked: Question) -> AsyncGenerator[object, None]:
    """The explanation. Nodes are looked at, and packets sent, only where that is allowed."""
    query = {name: asked.query.get(name, "").strip() for name in ("a", "b", "port", "network")}
    of = question.Question(
        query["a"],
        query["b"],
        matrix.connection(query["port"]),
        query["network"],
        asked.namespace or "default",
        bool(asked.query.get("ipv6")),
    )
    yield await _explained(access, of, probes=bool(asked.query.get("probe")))


async def _explained(access: JobAccess, of: question.Question, *, probes: bool) -> Explanation:
    found = await collect.read(access.client, of)
    evidence = await access.computing.run(question.answered, of, found)
    async with access.nodes.explorer(found.objects.pods, probes=probes) as explorer:
        evidence = await collect.explored(evidence, found, explorer, _PATIENCE, ipv6=of.ipv6)
    return sentence.explain(evidence)


PAGE = Page(
    name="explain",
    path="/explain",
    title="Explain",
    heading="Why A cannot reach B",
    reads=(
        Read(resources.PODS, is_aside=True),
        Read(resources.VMIS, is_aside=True),
        Read(resources.NADS, is_aside=True),
    ),
    view=view,
    jobs={"explain": explain},
    is_live=False,
)
