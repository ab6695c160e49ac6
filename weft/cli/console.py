"""Serves the console in the browser: `weft console`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated

import typer

from weft import errors
from weft.cli import clusters, flows, labs, matrix
from weft.console import libraries, server
from weft.console.nodes import PROBE
from weft.console.page import Object
from weft.observe import reading
from weft.observe.checks import SYSTEM
from weft.observe.explain import agentpods
from weft.observe.explain.collect import Explorer
from weft.observe.flows.collect import Way
from weft.observe.members import Objects
from weft.observe.reach import Matrix
from weft.observe.snapshot import Snapshot
from weft.policy import netpolicy


def command(
    port: Annotated[
        int, typer.Option(metavar="PORT", help="Port to listen on; by default a free one.")
    ] = 0,
    address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of this machine to listen on.")
    ] = "127.0.0.1",
    login: Annotated[
        bool,
        typer.Option("--login", help="Each viewer gives a bearer token, and sees what it may see."),
    ] = False,
    names: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="NAME", help="Name by which browsers reach it; repeatable."),
    ] = None,
    certificate: Annotated[
        str, typer.Option("--tls-certificate", metavar="FILE", help="Certificate in PEM form.")
    ] = "",
    key: Annotated[str, typer.Option("--tls-key", metavar="FILE", help="Its key.")] = "",
    system: Annotated[
        str,
        typer.Option("--weft-namespace", metavar="NAME", help="Namespace in which weft runs."),
    ] = SYSTEM,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
) -> None:
    """Serve pages about networks, nodes and machines to browsers, until you press Ctrl-C.

    It prints the address to open. Everything is read and written with your own rights, or with
    --login with each viewer's. It keeps nothing. With --login it also runs in a pod of the cluster.
    """
    is_in_pod = login and not (kubeconfig or context or lab) and clusters.is_in_pod()
    cluster = None if is_in_pod else clusters.choose(kubeconfig, context, lab)
    file, chosen = (cluster.existing(), cluster.context) if cluster else (None, "")
    nodes = ClusterNodes(cluster, system) if cluster else None
    settings = server.Settings(
        connect=server.connector(file, chosen),
        address=address,
        port=port,
        is_login=login,
        names=tuple(names or ()),
        certificate=certificate,
        key=key,
        nodes=nodes,
        lab=nodes if cluster and cluster.lab is not None else None,
        system=system,
    )
    if libraries.missing(libraries.LIVE):
        note = "Pages are not updated while they are open: run make prepare where npm is installed."
        typer.echo(note, err=True)
    # Pages say what cannot be followed; here it would only be repeated.
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.ERROR)
    asyncio.run(server.serve(settings, _announce))


class _Agents(agentpods.AgentPods):
    """Agents' pods of which a page asks."""

    offer = PROBE


@dataclass(frozen=True, slots=True)
class ClusterNodes:
    """Nodes of a lab, or of a cluster by kubectl, where weft runs in the namespace `system`."""

    cluster: clusters.Cluster
    system: str = SYSTEM

    def explorer(
        self, pods: Sequence[Object], *, probes: bool
    ) -> AbstractAsyncContextManager[Explorer]:
        if self.cluster.lab is not None:
            return labs.needed("a lab").explorer(self.cluster.lab)
        options = ("--context", self.cluster.context) if self.cluster.context else ()
        return nullcontext(
            _Agents(pods, options, self.cluster.kubeconfig, self.system, probes=probes)
        )

    async def way(self, found: Objects) -> Way:
        return flows.way(self.cluster, found, self.system)

    async def snapshots(self) -> tuple[Snapshot, ...]:
        if self.cluster.lab is None:
            what = "the databases of nodes are read in a lab only"
            raise errors.Unavailable(what, hint="weft topology --physical on a node")
        with labs.needed("a lab").databases(self.cluster.lab) as zones:
            return await reading.read(zones)

    async def measure(
        self, network: str, connection: netpolicy.Connection, *, ipv6: bool
    ) -> Matrix:
        if self.cluster.lab is None:
            what = "packets are sent in a lab only: no pod runs what its owner did not ask for"
            raise errors.Unavailable(what, where=f"network {network}")
        known, asked = labs.needed("a lab"), (network, "default")
        patience = matrix.PATIENCE
        return await known.measure(
            self.cluster.lab, asked, connection, ipv6=ipv6, patience=patience
        )


def _announce(address: str) -> None:
    typer.echo(f"Open {address}")
