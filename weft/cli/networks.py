"""Lists the networks of a cluster with their state: `weft networks`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from weft import errors
from weft.cli import clusters, columns
from weft.cli import output as views
from weft.kube import events, resources
from weft.kube.client import NotFound
from weft.observe import networkobjects


def command(
    networks: views.Networks = None,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: views.Option = views.Output.text,
) -> None:
    """List networks: their addresses, members and nodes, and what is wrong with each.

    SIZE, USED and FREE count addresses of the family that has fewest left. LASTS is the time until
    no address is free, at the earliest, at the rate of the last seven days.

    It shows what the cluster manager writes to the Network objects: kubectl get wnet.
    """
    cluster = clusters.choose(kubeconfig, context, lab)
    today = events.now()[: len("YYYY-MM-DD")]
    found = networkobjects.chosen(asyncio.run(_read(cluster)), networks or (), "weft networks")
    data = networkobjects.with_forecasts(found, today)
    views.emit(form, data, lambda: _show(found, today))


async def _read(cluster: clusters.Cluster) -> list[dict[str, Any]]:
    async with cluster.client() as api:
        try:
            return list(await api.list(resources.NETWORKS))
        except NotFound:
            what = "the cluster does not define Networks"
            hint = "kubectl create -f deploy/chart/crds/networks.yaml"
            raise errors.Unavailable(what, where=cluster.kubeconfig, hint=hint) from None


def _show(found: Sequence[Mapping[str, Any]], today: str) -> None:
    if not found:
        typer.echo("There are no networks: create a NetworkAttachmentDefinition.")
        return
    for line in columns.aligned([networkobjects.HEADS, *networkobjects.rows(found, today)]):
        typer.echo(line)
    notes = (*networkobjects.eligible(found), *networkobjects.troubles(found))
    for number, (network, note) in enumerate(notes):
        typer.echo(("" if number else "\n") + f"{network}: {note}")
