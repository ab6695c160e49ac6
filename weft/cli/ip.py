"""Lists addresses and who holds them: `weft ip`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from weft.cli import clusters, columns, ipreservations
from weft.cli import output as views
from weft.observe import addresses, members, networkobjects, objects
from weft.observe.addresses import HeldAddress

HEADS = ("NETWORK", "ADDRESS", "MAC", "HOLDER", "CLAIM", "NODE", "SINCE", "UNUSED")

app = typer.Typer(invoke_without_command=True)
app.command("reserve")(ipreservations.reserve)
app.command("release")(ipreservations.release)


@app.callback()
def command(
    typed: typer.Context,
    networks: views.Networks = None,
    namespaces: views.Namespaces = None,
    unused: Annotated[
        bool, typer.Option("--unused", help="Only addresses that nobody uses.")
    ] = False,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: views.Option = views.Output.text,
) -> None:
    """List the addresses of networks: holder, IPAMClaim, node, since when, and whether unused.

    It reads pods and IPAMClaims, in all namespaces or in those of -n. `weft networks` says how many
    addresses are free.
    """
    if typed.invoked_subcommand is not None:
        return
    cluster = clusters.choose(kubeconfig, context, lab)
    with views.working(form, "reading pods and claims"):
        found, warnings = asyncio.run(_read(cluster, networks or (), namespaces or ()))
    found = [each for each in found if each.unused or not unused]
    for each in warnings:
        typer.echo(f"Warning: {each}", err=True)
    views.emit(form, [asdict(each) for each in found], lambda: _show(found))


async def _read(
    cluster: clusters.Cluster, networks: Sequence[str], namespaces: Sequence[str]
) -> tuple[list[HeldAddress], list[str]]:
    async with cluster.client() as api:
        there, warnings = await objects.read_holders(api, namespaces)
    found, problems = addresses.held(there, namespaces)
    known = members.networks(members.Objects(nads=there.nads)).values()
    networkobjects.check(networks, {*known, *(each.network for each in found)}, "weft ip")
    found = [each for each in found if not networks or each.network in networks]
    return found, [*warnings, *problems]


def _show(found: Sequence[HeldAddress]) -> None:
    if not found:
        typer.echo("No address is held.")
        return
    for line in columns.aligned([HEADS, *map(_row, found)]):
        typer.echo(line)
    messages = dict.fromkeys(f"{each.network}: {each.message}" for each in found if each.message)
    for number, message in enumerate(messages):
        typer.echo(("" if number else "\n") + message)


def _row(each: HeldAddress) -> tuple[str, ...]:
    cells = (
        *(each.network, each.address, each.mac, each.held_by.replace(" ", ":"), each.claim),
        *(",".join(each.nodes), each.since, each.unused),
    )
    return tuple(cell or "-" for cell in cells)
