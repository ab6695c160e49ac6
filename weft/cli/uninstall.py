"""`weft uninstall`: removes what weft has made on a node, or in a cluster's objects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weft import errors
from weft.app import daemons, logging, settings
from weft.cli.options import option

if TYPE_CHECKING:
    from weft.kube.client import Client


class What(StrEnum):
    check = "check"
    cluster = "cluster"
    nodes = "nodes"
    node = "node"


def command(
    what: Annotated[
        What,
        typer.Argument(
            help="check: whether pods would lose a network; cluster: annotations, finalizers, keys "
            "and lease; node: bridges, settings, devices, plugins and files of this node; nodes: "
            "wait until the chart has done so everywhere."
        ),
    ],
    kubeconfig: Annotated[str, option(settings.KUBECONFIG)] = settings.KUBECONFIG.default,
    lease_name: Annotated[str, option(settings.LEASE_NAME)] = settings.LEASE_NAME.default,
    lease_namespace: Annotated[
        str, option(settings.LEASE_NAMESPACE)
    ] = settings.LEASE_NAMESPACE.default,
    cni_bin: Annotated[str, option(settings.CNI_BIN)] = settings.CNI_BIN.default,
    switch: Annotated[
        daemons.Switch,
        typer.Option(help="Open vSwitch that the node uses; auto: its host's, if it has one."),
    ] = daemons.Switch.auto,
    force: Annotated[
        bool, typer.Option(help="Uninstall even if running pods lose their networks.")
    ] = False,
) -> None:
    """Remove what weft has made and its pods leave behind.

    The chart does all of it when it is uninstalled.
    """
    from weft.app import uninstall  # slow to import: not for --help

    logging.set_up("info", "text")
    match what:
        case What.node:
            _clean_node(cni_bin, switch)
        case What.check:
            _with_client(kubeconfig, lambda api, _: uninstall.check(api, force=force))
        case What.cluster:
            _with_client(
                kubeconfig,
                lambda api, own: uninstall.cluster(api, lease_namespace or own, lease_name),
            )
        case What.nodes:
            _with_client(kubeconfig, lambda api, own: uninstall.nodes(api, lease_namespace or own))


def _clean_node(cni_bin: str, switch: daemons.Switch) -> None:
    from weft.node import removal

    if not cni_bin:
        rule = "must name the folder of CNI plugins"
        raise errors.InvalidInput("weft uninstall", "--cni-bin", None, rule)
    places = removal.Places(Path(cni_bin), is_hosts=daemons.is_hosts(switch))
    asyncio.run(removal.remove(places))


def _with_client(kubeconfig: str, work: Callable[[Client, str], Awaitable[None]]) -> None:
    """Call `work` with a client of the cluster and the caller's own namespace."""
    from weft.kube.client import Client

    async def run() -> None:
        async with Client.from_kubeconfig(kubeconfig or None) as client:
            await work(client, client.namespace)

    asyncio.run(run())
