"""Lists virtual machines: state, node, networks and addresses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from weft.api.objects import key as key_of
from weft.console import paging
from weft.console.page import Page, Question, Read, Reading
from weft.console.paging import ListPage
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe import machines
from weft.observe.machines import Machine

READS = (Read(resources.VMS), Read(resources.VMIS), Read(resources.PODS))


@dataclass(frozen=True, slots=True)
class Machines:
    """`about` is the filter, a part of a name. `states`: how many are in each state, the most
    frequent first."""

    part: ListPage[Machine]
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


def of(reading: Reading, only: ObjectKey | None = None) -> tuple[Machine, ...]:
    """The machines that the viewer may list; `only` the one of a key."""
    vms, instances, pods = (reading.of(each.kind) for each in READS)
    if only is not None:
        vms = [each for each in vms if key_of(each) == only]
        instances = [each for each in instances if key_of(each) == only]
        pods = [each for each in pods if each["metadata"]["namespace"] == only.namespace]
    return machines.listed(vms, instances, pods)


PAGE = Page(name="machines", path="/machines", title="Virtual machines", reads=READS, view=view)
