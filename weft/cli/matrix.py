"""`weft matrix`: who reaches whom on a network, and what of it policies do not explain."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from weft import errors
from weft.cli import labs
from weft.cli.output import deliver
from weft.kube.client import Client
from weft.observe import members, objects, reach
from weft.observe.render import matrix_picture, matrix_text, svg
from weft.policy import netpolicy

TABLE, JSON, SVG = "table", "json", "svg"
PATIENCE = 2.0  # seconds
PIPE_WIDTH = 100  # characters a line, where no terminal says how many fit
STYLES = {
    "title": "bold",
    "connects": "green",
    "silent": "dim",
    "unknown": "yellow",
    "differs": "bold red",
    "muted": "dim",
}


def command(
    network: Annotated[
        str, typer.Argument(help="The network, or a definition of it: NAME or NAMESPACE/NAME.")
    ],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Of the definition, if not said.")
    ] = "default",
    port: Annotated[
        str, typer.Option("--port", metavar="PROTOCOL/PORT", help="tcp/80, udp/53; else ping.")
    ] = "",
    ipv6: Annotated[bool, typer.Option("--ipv6", help="By IPv6 where both ends have it.")] = False,
    patience: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a probe waits for its answer.")
    ] = PATIENCE,
    name: Annotated[
        str | None, typer.Option("--name", help="Which lab, whatever $KUBECONFIG says.")
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="table|json|svg|FILE.svg", help="Where to.")
    ] = TABLE,
) -> None:
    """Show who reaches whom on a network, as policies say and as it is.

    In a lab every pair is tried, from inside pods and guests, and the exit status is 1 if one is
    not as expected. Of any other cluster in $KUBECONFIG is told what its policies say.
    """
    _check(output)
    asked = question(port)
    matrix = asyncio.run(_look(name, (network, namespace), asked, ipv6, patience))
    if output == TABLE:
        show(console(), matrix)
    elif output == JSON:
        typer.echo(json.dumps(data(matrix), indent=2))
    else:
        deliver(svg.render(matrix_picture.lay_out(matrix)), output, screen=SVG)
    if matrix.differing:
        raise typer.Exit(1)


def question(port: str) -> netpolicy.Connection:
    """Of `tcp/80`, of a bare number TCP, of nothing a ping."""
    if not port:
        return netpolicy.Connection(None)
    protocol, _, number = port.rpartition("/")
    try:
        known = netpolicy.Protocol(protocol.upper() or netpolicy.Protocol.TCP)
    except ValueError:
        known = None
    if known is None or not number.isdecimal() or not 0 < int(number) < 65536:
        rule = "must be tcp, udp or sctp with a port from 1 to 65535, as in tcp/80"
        raise errors.InvalidInput("weft matrix", "--port", port, rule)
    return netpolicy.Connection(known, int(number))


def console() -> Console:
    """Standard output, with room for a table where it is no terminal."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PIPE_WIDTH)


def show(console: Console, matrix: reach.Matrix) -> None:
    """The matrix as a table, as wide as the console is."""
    for line in matrix_text.lines(matrix, console.width):
        text = Text.assemble(*((span.text, STYLES.get(span.style, "")) for span in line))
        console.print(text, soft_wrap=True)
    console.print(
        Text(f"\n{matrix_text.summary(matrix)}", "bold red" if matrix.differing else "bold")
    )


def data(matrix: reach.Matrix) -> dict[str, Any]:
    """The matrix for scripts."""
    asked = matrix.question
    return {
        "network": matrix.network,
        "protocol": asked.protocol or "ICMP",
        "port": asked.port or None,
        "members": [_member(member) for member in matrix.members],
        "pairs": [_cell(cell) for cell in matrix.cells],
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


def _cell(cell: reach.Cell) -> dict[str, Any]:
    return {
        "source": cell.source,
        "target": cell.target,
        "addresses": [str(address) for address in cell.addresses or ()],
        "expected": cell.expected,
        "reason": cell.reason,
        "measured": cell.reaches,
        "seen": cell.seen,
        "differs": cell.differs,
    }


def _check(output: str) -> None:
    if output not in (TABLE, JSON, SVG) and not output.endswith(".svg"):
        rule = "must be table, json, svg or a file that ends in .svg"
        raise errors.InvalidInput("weft matrix", "--output", output, rule)


async def _look(
    name: str | None,
    wanted: tuple[str, str],
    asked: netpolicy.Connection,
    ipv6: bool,
    patience: float,
) -> reach.Matrix:
    lab = labs.meant(name)
    if lab is None:
        async with Client.from_kubeconfig(os.environ["KUBECONFIG"]) as api:
            return _expected(await objects.read(api), wanted, asked, ipv6)
    found = labs.needed("a lab", otherwise="set KUBECONFIG")
    return await found.measure(lab, wanted, asked, ipv6=ipv6, patience=patience)


def _expected(
    found: members.Objects, wanted: tuple[str, str], asked: netpolicy.Connection, ipv6: bool
) -> reach.Matrix:
    known = members.networks(found)
    network = members.choose(*wanted, known)
    there, policies = members.on(network, found), members.standing(found)
    return reach.expect(network, there, policies, known, asked, ipv6=ipv6)
