"""Serves the console in the browser: `weft console`."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer

from weft.cli import clusters
from weft.console import libraries, server


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
    settings = server.Settings(
        connect=server.connector(file, chosen),
        address=address,
        port=port,
        is_login=login,
        names=tuple(names or ()),
        certificate=certificate,
        key=key,
    )
    if libraries.missing(libraries.LIVE):
        note = "Pages are not updated while they are open: run make prepare where npm is installed."
        typer.echo(note, err=True)
    # Pages say what cannot be followed; here it would only be repeated.
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.ERROR)
    asyncio.run(server.serve(settings, _announce))


def _announce(address: str) -> None:
    typer.echo(f"Open {address}")
