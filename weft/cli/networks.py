"""Lists the networks of a cluster with their state: `weft networks`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import typer

from weft import errors
from weft.cli import clusters, columns, output
from weft.kube import resources
from weft.kube.client import NotFound
from weft.observe import networkobjects


def command(
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: output.Option = output.Output.text,
) -> None:
    """List networks: their addresses, members and nodes, and what is wrong with each.

    It shows what the cluster manager writes to the Network objects: kubectl get wnet.
    """
    cluster = clusters.choose(kubeconfig, context, lab)
    found = asyncio.run(_read(cluster))
    output.emit(form, found, lambda: _show(found))


async def _read(cluster: clusters.Cluster) -> list[dict[str, Any]]:
    async with cluster.client() as api:
        try:
            return list(await api.list(resources.NETWORKS))
        except NotFound:
            what = "the cluster does not define Networks"
            hint = "kubectl create -f deploy/chart/crds/networks.yaml"
            raise errors.Unavailable(what, where=cluster.kubeconfig, hint=hint) from None


def _show(found: Sequence[dict[str, Any]]) -> None:
    if not found:
        typer.echo("There are no networks: create a NetworkAttachmentDefinition.")
        return
    for line in columns.aligned([networkobjects.HEADS, *networkobjects.rows(found)]):
        typer.echo(line)
    for number, (network, trouble) in enumerate(networkobjects.troubles(found)):
        typer.echo(("" if number else "\n") + f"{network}: {trouble}")
