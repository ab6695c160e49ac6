"""Shows who reaches whom on a network: what policies allow, and in a lab what packets say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from weft import errors, names
from weft.api import notation, podnetworks
from weft.api.objects import key as key_of
from weft.api.podnetworks import nad_of
from weft.console.page import JobAccess, Object, Page, Question, Read, Reading
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe import members, objects, outcomes, reach
from weft.observe.outcomes import Difference, Outcome
from weft.observe.reach import Matrix, Member
from weft.observe.render import matrix_text
from weft.policy import netpolicy

READS = (
    Read(resources.NADS),
    Read(resources.NAMESPACES),
    Read(resources.PODS),
    Read(resources.MULTINETWORKPOLICIES),
    Read(resources.VMIS, is_aside=True),
    Read(resources.REPLICASETS, is_aside=True),
    Read(resources.JOBS, is_aside=True),
    Read(resources.VMS, is_aside=True),
    Read(resources.NETWORKS, is_aside=True),
)
MOST_MEMBERS = 150
_NOTE = names.POD_NETWORKS
_CONTROLLERS = (resources.REPLICASETS, resources.JOBS, resources.VMS)
_MOST_REASONS = 8  # of a cell


@dataclass(frozen=True, slots=True)
class GridField:
    """Pairs of a row and a column. `style`: good, silent, unknown, warn or bad; "" for a pod and
    itself. `reason`: why it is so, a line for each reason."""

    sign: str = ""
    style: str = ""
    text: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """Sources are rows, targets columns, in one order. `legend` has the signs that appear."""

    labels: tuple[str, ...]
    rows: tuple[tuple[GridField, ...], ...]
    legend: tuple[GridField, ...]
    differences: tuple[Difference, ...]
    summary: str
    differs: bool
    grouped: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """`problem`: why the query cannot be answered; there is no grid then, nor without a network."""

    networks: tuple[str, ...]
    network: str
    port: str
    ipv6: bool
    grid: Grid | None = None
    problem: str = ""


def view(reading: Reading, asked: Question) -> Shown:
    """The matrix that policies make of the query: network, port (as in tcp/80), ipv6."""
    found = gathered(reading)
    known = members.networks(found)
    networks = tuple(sorted(set(known.values())))
    network = asked.query.get("network", "") or (networks[0] if len(networks) == 1 else "")
    port, ipv6 = asked.query.get("port", "").strip(), bool(asked.query.get("ipv6"))
    shown = Shown(networks, network, port, ipv6)
    if not network:
        return shown
    if unknown := _unknown(reading):
        problem = f"who reaches whom is not known, as policies are missing: {unknown}"
        return Shown(networks, network, port, ipv6, problem=problem)
    try:
        if network not in networks:
            rule = "is no network that you may see"
            raise errors.InvalidInput("address", "network", network, rule)
        there, policies = members.on(network, found), members.in_force(found)
        _bound(network, len(there), asked.namespace)
        question = connection(port)
    except errors.InvalidInput as error:
        reading.memo.clear()  # the members may be very many, and nothing is made of them
        return Shown(networks, network, port, ipv6, problem=error.in_full())
    given = there, policies, known, question, ipv6
    made = reading.memo.of("grid", (network, *given), lambda: _expected(network, *given))
    return Shown(networks, network, port, ipv6, made)


def _expected(
    network: str,
    there: Sequence[Member],
    policies: Sequence[netpolicy.Policy],
    known: Mapping[ObjectKey, str],
    question: netpolicy.Connection,
    ipv6: bool,
) -> Grid:
    merge = len(there) > outcomes.MOST  # a field is of two workloads then
    return grid(reach.expect(network, there, policies, known, question, ipv6=ipv6, merge=merge))


def _unknown(reading: Reading) -> str:
    """Why not all policies, or whom they are about, were read; "" if all that there is was."""
    policies = resources.MULTINETWORKPOLICIES
    for kind in (policies, resources.NAMESPACES):
        if kind in reading.left_out:
            return reading.lack(kind)
    return "" if reading.of(policies) else reading.lack(policies)


def _bound(network: str, count: int, namespace: str = "") -> None:
    """Raise InvalidInput for more members than the page can show: pairs are their square."""
    if count > MOST_MEMBERS:
        rule = f"has {count} members, and a page shows the pairs of {MOST_MEMBERS}"
        hint = f"weft matrix {network}, in a terminal"
        if not namespace:
            hint = f"choose a namespace at the top; or run {hint}"
        raise errors.InvalidInput("address", "network", network, rule, hint=hint)


def gathered(reading: Reading) -> members.Objects:
    """The objects that decide who reaches whom."""
    nads, pods = reading.of(resources.NADS), reading.of(resources.PODS)
    return members.Objects(
        nads=(*nads, *_declared_elsewhere(reading.of(resources.NETWORKS), nads, pods)),
        namespaces=reading.of(resources.NAMESPACES),
        pods=pods,
        policies=reading.of(resources.MULTINETWORKPOLICIES),
        instances=reading.of(resources.VMIS),
        controllers=tuple(one for kind in _CONTROLLERS for one in reading.of(kind)),
        memo=reading.memo,
    )


def _declared_elsewhere(
    networks: Sequence[Object], nads: Sequence[Object], pods: Sequence[Object]
) -> Iterator[Object]:
    """NADs that pods name and that were not read, since a namespace was asked for: as far as the
    Network objects tell."""
    read, missing = {key_of(each) for each in nads}, {}
    for network in networks:
        status = network.get("status") or {}
        for each in status.get("networkAttachmentDefinitions") or ():
            key = ObjectKey.parse(str(each.get("name")))
            if each.get("accepted") and key not in read:
                missing[key] = str(status.get("network"))
    if not missing:
        return
    texts = ((each["metadata"].get("annotations") or {}).get(_NOTE, "") for each in pods)
    named = {nad_of(each) for text in texts for each in podnetworks.keys(text)}
    for key, name in missing.items():
        if key in named:
            notes = {names.NETWORK_NAME: name}
            meta = {"namespace": key.namespace, "name": key.name, "annotations": notes}
            yield {"metadata": meta}


def connection(port: str) -> netpolicy.Connection:
    """The connection of a query; raises InvalidInput."""
    try:
        return notation.connection(port)
    except ValueError as error:
        raise errors.InvalidInput("address", "port", port, str(error)) from None


def grid(matrix: Matrix) -> Grid:
    """The grid of a matrix."""
    found = outcomes.grid(matrix)
    numbers = range(len(found.rows))
    known: dict[Outcome | None, dict[str, GridField]] = {}
    return Grid(
        labels=tuple(each.label for each in found.rows),
        rows=tuple(
            tuple(_field(found.places.get((row, column)), known) for column in numbers)
            for row in numbers
        ),
        legend=tuple(_signed(each) for each in found.outcomes),
        differences=outcomes.differences(found)[: matrix_text.MAX_DIFFERENCES],
        summary=matrix_text.summary(matrix),
        differs=bool(matrix.differing),
        grouped=found.grouped,
    )


def _signed(outcome: Outcome, reason: str = "") -> GridField:
    sign, style = matrix_text.SIGNS[outcome], matrix_text.STYLES[outcome]
    return GridField(sign, style, outcome.value, reason)


def _field(
    entry: outcomes.GridEntry | None, known: dict[Outcome | None, dict[str, GridField]]
) -> GridField:
    """The field of an entry; one object for all that are alike, which are most."""
    if entry is None:
        return GridField()
    pairs = entry.pairs
    reason = pairs[0].reason if len(pairs) == 1 and not pairs[0].differs else _of_several(entry)
    alike = known.setdefault(entry.outcome, {})
    found = alike.get(reason)
    if found is None:
        found = alike[reason] = _signed(entry.outcome, reason)
    return found


def _of_several(entry: outcomes.GridEntry) -> str:
    """The reasons of several pairs, a line for each."""
    reasons = list(dict.fromkeys(_reasons(entry)))
    more = len(reasons) - _MOST_REASONS
    return "\n".join(reasons[:_MOST_REASONS] + ([f"and {more} more reasons"] if more > 0 else []))


def _reasons(entry: outcomes.GridEntry) -> Iterator[str]:
    for each in entry.pairs:
        yield outcomes.explained(each) if each.differs else each.reason


async def measure(access: JobAccess, asked: Question) -> AsyncGenerator[object, None]:
    """The same grid with what packets say. Raises Unavailable where none are sent."""
    network = asked.query.get("network", "")
    question, ipv6 = connection(asked.query.get("port", "")), bool(asked.query.get("ipv6"))
    found = await objects.read(access.client)
    known = members.networks(found)
    if network not in known.values():
        raise errors.InvalidInput("address", "network", network, "is no network")
    _bound(network, len(await access.computing.run(members.on, network, found)), "-")
    matrix = await access.nodes.measure(network, question, ipv6=ipv6)
    yield await access.computing.run(grid, matrix)


PAGE = Page(
    name="matrix",
    path="/matrix",
    title="Matrix",
    heading="Who reaches whom",
    reads=READS,
    view=view,
    jobs={"measure": measure},
    is_live=False,
    is_timeless=True,
)
