"""`weft daemon`: becomes one daemon of a node's OVN zone or Open vSwitch, in a container."""

from __future__ import annotations

from typing import Annotated

import typer

from weft.app import daemons, logging, settings
from weft.cli.options import option


def command(
    name: Annotated[daemons.Daemon, typer.Argument(help="The daemon to run.")],
    switch: Annotated[
        daemons.Switch,
        typer.Option(help="Open vSwitch that the node uses; auto: its host's, if it has one."),
    ] = daemons.Switch.auto,
    acl_log: Annotated[str, option(settings.ACL_LOG)] = settings.ACL_LOG.default,
) -> None:
    """Prepare what a daemon of this node needs, such as a sound database, and run the daemon.

    The node agent's containers start it. On other machines, packages of Open vSwitch and OVN do it.
    """
    logging.set_up("info", "text")
    daemons.start(name, switch, acl_log)
