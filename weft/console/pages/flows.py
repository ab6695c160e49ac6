"""Lists who talks with whom now, as `weft flows` does, while somebody looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from weft.console.page import JobAccess, Page, Question, Read, Reading
from weft.kube import resources
from weft.observe import members, networkobjects, objects
from weft.observe.flows import collect, subjects

MOST = 200
_EVERY = 3.0  # seconds between two looks: nodes do not tell of new flows themselves
_OBJECTS_EVERY = 10.0  # seconds between two lists of pods and policies
_COMMAND = "address"


@dataclass(frozen=True, slots=True)
class Form:
    """What was asked. `is_asked`: somebody has sent the form."""

    networks: tuple[str, ...]
    network: str
    about: str
    only_denied: bool
    is_asked: bool


def view(reading: Reading, asked: Question) -> Form:
    """The form with the query: network, about (a pod, or vm/NAME), dropped."""
    known = members.networks(members.Objects(nads=reading.of(resources.NADS)))
    return Form(
        networks=tuple(sorted(set(known.values()))),
        network=asked.query.get("network", ""),
        about=asked.query.get("about", "").strip(),
        only_denied=bool(asked.query.get("dropped")),
        is_asked="network" in asked.query,
    )


def subject(about: str, namespace: str) -> subjects.Subject | None:
    """The pod or machine that a text names: NAME, NAMESPACE/NAME, each also after vm/ or pod/.
    Raises InvalidInput."""
    kind, slash, rest = about.partition("/")
    is_kind = bool(slash) and kind in ("vm", "pod")
    name = rest if is_kind else about
    pod, machine = ("", name) if is_kind and kind == "vm" else (name, "")
    return subjects.named(pod, machine, namespace, _COMMAND)


async def look(access: JobAccess, asked: Question) -> AsyncGenerator[object, None]:
    """A report of flows, again and again until the viewer leaves."""
    network = asked.query.get("network", "")
    networks = (network,) if network else ()
    of = subject(asked.query.get("about", "").strip(), asked.namespace or "default")
    question = collect.Question(only_denied=bool(asked.query.get("dropped")), limit=MOST)
    own = [of.namespace] if of else []
    while True:
        found, partial = await objects.read_allowed(access.client, own)
        way = await access.nodes.way(found)
        read_at = time.monotonic()
        networkobjects.check(networks, members.networks(found).values(), _COMMAND)
        whole = subjects.question(question, networks, of, found)
        while time.monotonic() - read_at < _OBJECTS_EVERY:
            at = time.time()
            looks, notices = await collect.looked(way, found, whole, partial)
            made = access.computing.run
            yield await made(collect.made, looks, found, whole, at, partial, notices)
            await asyncio.sleep(_EVERY)


PAGE = Page(
    name="flows",
    path="/flows",
    title="Flows",
    heading="Who talks with whom",
    reads=(Read(resources.NADS, is_aside=True),),
    view=view,
    jobs={"look": look},
    is_live=False,
)
