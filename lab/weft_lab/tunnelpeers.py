"""Tells a node's switch the MAC of a peer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from weft import errors
from weft.kube.backoff import Backoff
from weft_lab import layout, spec
from weft_lab.runtime import daemons, unixctl
from weft_lab.services import Services


async def introduce(services: Services, here: spec.Node, there: spec.Node) -> None:
    """Introduces `there` to the switch of `here`; returns when it has taken it, or is
    not a service any more.

    A switch that does not know the MAC drops a tunnel's first packet.
    """
    pauses = Backoff(0.05, 5.0)
    while (switch := services.running.get(here.name + daemons.SWITCH)) is not None:
        control_socket = layout.OVS_RUN / f"ovs-vswitchd.{switch.pid}.ctl"
        neighbour = daemons.UNDERLAY_BRIDGE, str(there.underlay), there.underlay_mac
        try:
            path = Path(layout.seen(here.name, control_socket))
            await unixctl.call(path, "tnl/neigh/set", *neighbour)
        except errors.WeftError as error:
            print(f"{here.name}: {error}", file=sys.stderr)
            await asyncio.sleep(pauses.next())
        else:
            return
