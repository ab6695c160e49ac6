"""Lists virtual machines: state, node, networks and addresses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from weft.console import paging
from weft.console.page import Page, Question, Read, Reading
from weft.console.paging import Part
from weft.kube import resources
from weft.observe import machines
from weft.observe.machines import Machine

READS = (Read(resources.VMS), Read(resources.VMIS), Read(resources.PODS))


@dataclass(frozen=True, slots=True)
class Machines:
    """`about` is the filter, a part of a name. `states`: how many are in each state, the most
    frequent first."""

    part: Part[Machine]
    about: str
    states: tuple[tuple[str, int], ...]


def view(reading: Reading, asked: Question) -> Machines:
    """The machines that the query chooses: about (a part of namespace/name), state."""
    about, state = asked.query.get("about", "").strip(), asked.query.get("state", "")
    everything = of(reading)
    found = [
        each
        for each in everything
        if about.lower() in str(each.key).lower() and state in ("", each.status)
    ]
    states = Counter(each.status for each in everything)
    return Machines(paging.part(found, asked), about, tuple(states.most_common()))


def of(reading: Reading) -> tuple[Machine, ...]:
    """The machines that the viewer may list."""
    return machines.listed(*(reading.of(each.kind) for each in READS))


PAGE = Page(name="machines", path="/machines", title="Virtual machines", reads=READS, view=view)
