"""Shows who reaches whom on a network, and results that differ from policies: `weft matrix`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from weft import errors
from weft.api import notation
from weft.cli import clusters, labs
from weft.cli import output as views
from weft.kube import resources
from weft.observe import members, objects, reach
from weft.observe.render import matrix_picture, matrix_text, svg
from weft.observe.render.grid_text import Line, Span
from weft.policy import netpolicy

PATIENCE = 2.0  # seconds
FORMS = (views.TEXT, *views.DATA, views.SVG)


def command(
    network: Annotated[
        str, typer.Argument(help="The network, or a NAD that declares it: NAME or NAMESPACE/NAME.")
    ],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of the NAD, if NETWORK names none.")
    ] = "default",
    port: Annotated[
        str,
        typer.Option(
            "--port",
            metavar="PROTOCOL/PORT",
            help="Connect to tcp/80 or udp/53, for example; by default ping.",
        ),
    ] = "",
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Use IPv6 where both ends have it.")] = False,
    patience: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a probe waits for its reply.")
    ] = PATIENCE,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    name: clusters.Name = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="text|json|svg|FILE",
            help="Format, or a file whose suffix names the format.",
        ),
    ] = views.TEXT,
) -> None:
    """Show which pods and guests reach which on a network.

    In a lab, every pair is tried from inside pods and guests; the exit status is 1 if a result
    differs from what policies allow. In other clusters, only what policies allow is shown.
    """
    target = views.target("weft matrix", output, FORMS)
    connection = question(port)
    cluster = clusters.choose(kubeconfig, context, lab, name)
    quiet = target.form in views.DATA
    with views.working(views.Output.json if quiet else views.Output.text, "trying every pair"):
        matrix, left_out = asyncio.run(
            _matrix(cluster, (network, namespace), connection, ipv6, patience)
        )
    for each in left_out if not quiet else ():
        typer.echo(f"Left out: {each}", err=True)
    if target.form in views.DATA:
        whole = {**data(matrix), "left_out": list(left_out)}
        views.deliver(views.document(whole, target.form), target)
    elif target.form == views.SVG:
        views.deliver(svg.render(matrix_picture.lay_out(matrix)), target)
    else:
        views.write(written(matrix), target)
    if matrix.differing:
        raise typer.Exit(1)


def question(port: str, command: str = "weft matrix") -> netpolicy.Connection:
    """Parse --port. Raise InvalidInput."""
    try:
        return notation.connection(port)
    except ValueError as error:
        raise errors.InvalidInput(command, "--port", port, str(error)) from None


def written(matrix: reach.Matrix) -> Iterator[Line]:
    """The matrix as text, as wide as the terminal, and a summary."""
    yield from matrix_text.lines(matrix, views.width())
    yield ()
    yield (Span(matrix_text.summary(matrix), "bad" if matrix.differing else "title"),)


def data(matrix: reach.Matrix) -> dict[str, Any]:
    """The matrix for scripts."""
    connection = matrix.question
    return {
        "network": matrix.network,
        "protocol": connection.protocol or "ICMP",
        "port": connection.port or None,
        "members": [_member(member) for member in matrix.members],
        "pairs": [_result(result) for result in matrix.results],
        "measured": matrix.is_measured,
        "holds": not matrix.differing if matrix.is_measured else None,
    }


def _member(member: reach.Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "namespace": member.endpoint.namespace,
        "pod": member.endpoint.pod,
        "vm": member.machine or None,
        "node": member.node,
        "interface": member.interface,
        "mac": member.mac,
        "addresses": [str(address) for address in member.endpoint.addresses],
        "labels": dict(member.endpoint.labels),
        "running": member.running,
    }


def _result(result: reach.PairResult) -> dict[str, Any]:
    return {
        "source": result.source,
        "target": result.target,
        "addresses": [str(address) for address in result.addresses or ()],
        "expected": result.expected,
        "reason": result.reason,
        "measured": result.reaches,
        "seen": result.seen,
        "differs": result.differs,
    }


async def _matrix(
    cluster: clusters.Cluster,
    network: tuple[str, str],
    connection: netpolicy.Connection,
    ipv6: bool,
    patience: float,
) -> tuple[reach.Matrix, tuple[str, ...]]:
    """The matrix, and what it lacks because the user may not list it."""
    if cluster.lab is not None:
        found = labs.needed("a lab", otherwise="set KUBECONFIG")
        measured = await found.measure(
            cluster.lab, network, connection, ipv6=ipv6, patience=patience
        )
        return measured, ()
    home = network[0].rpartition("/")[0]
    namespaces = tuple(dict.fromkeys(each for each in (home, network[1]) if each))
    async with cluster.client() as api:
        read, partial = await objects.read_allowed(api, namespaces)
        for kind in (resources.PODS, resources.MULTINETWORKPOLICIES):
            if partial.get(kind.plural) == frozenset():
                await objects.listed(api, kind)  # it raises what the server says
        seen = partial.get(resources.PODS.plural)
    there = tuple(each for each in namespaces if seen is None or each in seen)
    whole = objects.stand_in(read, partial, there)
    left_out = objects.left_out(partial, there)
    return _expected(whole, network, connection, ipv6), left_out


def _expected(
    found: members.Objects, chosen: tuple[str, str], connection: netpolicy.Connection, ipv6: bool
) -> reach.Matrix:
    known = members.networks(found)
    network = members.choose(*chosen, known)
    there, policies = members.on(network, found), members.in_force(found)
    return reach.expect(network, there, policies, known, connection, ipv6=ipv6)
