"""Lists the networks: topology, subnets, how full they are, members, conditions."""

from __future__ import annotations

from dataclasses import dataclass

from weft.console.page import Page, Question, Read, Reading
from weft.kube import resources
from weft.names import DEFAULT_NETWORK
from weft.observe import networkobjects
from weft.observe.chassis import natural_key

NEARLY_FULL = 0.9  # of the addresses


@dataclass(frozen=True, slots=True)
class Use:
    """How many addresses of the fullest family are in use. `lasts`: such as 83d, or "-"."""

    used: int
    size: int
    lasts: str

    @property
    def level(self) -> str:
        """A word for how full it is, which the style sheet colours."""
        if not self.size or self.used >= self.size:
            return "fail"
        return "warn" if self.used >= NEARLY_FULL * self.size else "ok"


@dataclass(frozen=True, slots=True)
class Row:
    """A network. `use` is None without subnets; `wrong` are reasons of conditions that fail.

    `members` and `nodes` are None for the default network, of which nobody counts them.
    """

    name: str
    label: str
    topology: str
    subnets: tuple[str, ...]
    owner: str
    members: int | None
    nodes: int | None
    use: Use | None
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Networks:
    rows: tuple[Row, ...]


def view(reading: Reading, asked: Question) -> Networks:
    """The networks, by name."""
    found = (row(each, asked.today) for each in reading.of(resources.NETWORKS))
    return Networks(tuple(sorted(found, key=lambda one: natural_key(one.label))))


def row(network: networkobjects.Object, today: str) -> Row:
    """The row of a Network object; `today` is a day, as in 2026-02-01."""
    status, name = network.get("status") or {}, str(network["metadata"]["name"])
    subnets = tuple(str(status.get("subnets") or "").split(",")) if status.get("subnets") else ()
    use = None
    if subnets:
        used, size = int(status.get("usedAddresses", 0)), int(status.get("sizeAddresses", 0))
        lasts = networkobjects.lasts(networkobjects.days_left(status, today))
        use = Use(used, size, lasts)
    label = str(status.get("network") or name)
    is_counted = label != DEFAULT_NETWORK
    return Row(
        name=name,
        label=label,
        topology=str(status.get("topology") or "-"),
        subnets=subnets,
        owner=str(status.get("owner") or "-"),
        members=int(status.get("members", 0)) if is_counted else None,
        nodes=int(status.get("servingNodes", 0)) if is_counted else None,
        use=use,
        wrong=networkobjects.reasons([network]).get(label, ()) if status else ("unknown",),
    )


PAGE = Page(
    name="networks",
    path="/networks",
    title="Networks",
    reads=(Read(resources.NETWORKS),),
    view=view,
)
