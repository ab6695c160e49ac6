"""`weft topology`: draws what the databases of a lab or of this node hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from weft import errors
from weft.app import settings
from weft.cli import labs
from weft.cli.output import deliver
from weft.observe import reading, snapshot, topology, underlay
from weft.observe.render import logical, mermaid, physical, svg, tree


class Format(StrEnum):
    tree = "tree"
    mermaid = "mermaid"
    svg = "svg"


JSON = "json"
# What a file's name says of its format, unless --format says it.
SUFFIXES = {".svg": Format.svg, ".mmd": Format.mermaid, ".mermaid": Format.mermaid}


def command(
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-n",
            help="Which lab; else that of $KUBECONFIG, the lab weft, or this node's zone.",
        ),
    ] = None,
    underneath: Annotated[
        bool, typer.Option("--physical", help="Nodes, underlay and tunnels instead of networks.")
    ] = False,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="How to draw; else as FILE is called, or tree."),
    ] = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE|json", help="Where to; json is for scripts."),
    ] = "-",
    nb: Annotated[str, typer.Option(metavar="ADDRESS", help=settings.NB.help)] = "",
    sb: Annotated[str, typer.Option(metavar="ADDRESS", help="Its Southbound database.")] = "",
    ovs: Annotated[str, typer.Option(metavar="ADDRESS", help=settings.OVS.help)] = "",
) -> None:
    """Draw the live topology: networks zone by zone, or what carries them.

    Of a lab, all zones are read; on a node its own, in which the others appear as it knows them.
    """
    if name and (nb or sb or ovs):
        raise errors.InvalidInput(
            "weft topology", "--name", name, "cannot be combined with --nb, --sb or --ovs"
        )
    if not (nb or sb or ovs):
        name = name or labs.meant(None)
    snapshots = _node(nb, sb, ovs) if _local(name, nb or sb or ovs) else _lab(name)
    if output == JSON:
        typer.echo(json.dumps(_data(snapshots, underneath), indent=2))
        return
    drawn = _drawn(snapshots, underneath, form or SUFFIXES.get(Path(output).suffix, Format.tree))
    deliver(drawn, output, screen="-")


def _local(name: str | None, address: str) -> bool:
    """Whether this node's own databases are meant: it is said, or there is no lab and they are."""
    if name or address:
        return bool(address)
    found = labs.installed()
    if found is None:
        return True
    if found.is_running(""):
        return False
    return Path(settings.NB.default.partition(":")[2]).exists()


def _node(nb: str, sb: str, ovs: str) -> tuple[snapshot.Snapshot, ...]:
    """This node's zone."""
    chosen = nb or settings.NB.default, sb or settings.SB.default, ovs or settings.OVS.default
    return asyncio.run(reading.read([reading.Addresses("", *chosen)]))


def _lab(name: str | None) -> tuple[snapshot.Snapshot, ...]:
    """All zones of a lab."""
    with labs.needed("a lab").databases(name or "") as zones:
        return asyncio.run(reading.read(zones))


def _drawn(snapshots: Sequence[snapshot.Snapshot], underneath: bool, form: Format) -> str:
    if underneath:
        below = underlay.build(snapshots)
        if form is Format.svg:
            return svg.render(physical.lay_out(below))
        return tree.physical(below) if form is Format.tree else mermaid.physical(below)
    graph = topology.build(snapshots)
    if form is Format.svg:
        return svg.render(logical.lay_out(graph))
    return tree.logical(graph) if form is Format.tree else mermaid.logical(graph)


def _data(snapshots: Sequence[snapshot.Snapshot], underneath: bool) -> dict[str, Any]:
    return asdict(underlay.build(snapshots) if underneath else topology.build(snapshots))
