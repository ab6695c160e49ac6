"""`weft daemon`: becomes one daemon of a node's OVN zone or Open vSwitch, in a container."""

from __future__ import annotations

from typing import Annotated

import typer

from weft.app import daemons, logging, settings
from weft.cli.options import option


def command(
    name: Annotated[daemons.Daemon, typer.Argument(help="Which one.")],
    switch: Annotated[
        daemons.Switch,
        typer.Option(help="Whose Open vSwitch the node uses; auto: its host's, where it has one."),
    ] = daemons.Switch.auto,
    acl_log: Annotated[str, option(settings.ACL_LOG)] = settings.ACL_LOG.default,
) -> None:
    """Make what a daemon of this node needs, such as a database that is not broken, and become it.

    The node agent's containers start so. On other machines, packages of Open vSwitch and OVN do it.
    """
    logging.set_up("info", "text")
    daemons.start(name, switch, acl_log)
