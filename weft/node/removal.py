"""Removes what weft has made of a node: bridges, settings, devices, plugins, files."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from weft import rows
from weft.cni import install
from weft.host import linkconfig, netlink, netns, process
from weft.nic import port, switchsettings
from weft.node import advertise, uplink
from weft.ovn import daemons
from weft.ovsdb import replica

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds for the switch's database to answer
# Keys that the agent writes wherever it runs (ADR 0082).
ALWAYS = ("ovn-is-interconn",)


@dataclass(frozen=True, slots=True)
class Places:
    """Where weft's files are on a node; `is_hosts`: its Open vSwitch is the host's, and stays."""

    cni_bin: Path
    is_hosts: bool
    state: Path = Path("/run/weft")
    switch: Path = Path(daemons.OVS_RUN)
    advertiser: Path = advertise.NAMESPACE


async def remove(places: Places) -> None:
    """Removes bridges, settings, devices, plugins and files of weft from this node."""
    for plugin in install.remove(places.cni_bin):
        log.info("removed %s", plugin)
    if places.is_hosts:
        await _leave_host_switch(f"unix:{places.switch}/db.sock")
        await asyncio.to_thread(_give_back, places.state / "uplink.json")
    else:
        await _remove_own_switch(places)
    _empty(places.state)
    netns.unbind(places.advertiser)
    log.info("nothing of weft is left on this node")


async def _leave_host_switch(address: str) -> None:
    """Removes weft's bridges and settings from a switch that stays."""
    async with await replica.Replica.open(
        address, port.DATABASE, port.TABLES, patience=PATIENCE
    ) as ovs:
        found = ovs.get("Open_vSwitch", "")
        ids = port.external_ids(found[1]) if found is not None else {}
        keys = switchsettings.written(ids)
        absent = frozenset({*keys, *ALWAYS, switchsettings.KEYS})
        top = rows.Row("Open_vSwitch", "", {"external_ids": rows.MapEntries(absent=absent)})
        mine = (port.BRIDGE, switchsettings.UNDERLAY_BRIDGE) if keys else ()
        gone = [("Bridge", each) for each in mine if ovs.get("Bridge", each) is not None]
        await ovs.apply([top], delete=gone)


async def _remove_own_switch(places: Places) -> None:
    """Removes what weft's own switch, whose processes have ended, left in kernel and folder."""
    await _remove_datapath()
    await asyncio.to_thread(_remove_devices, places.state / "uplink.json")
    _empty(places.switch)


async def _remove_datapath() -> None:
    """Removes the kernel datapath, which outlives its switch."""
    if await asyncio.to_thread(netlink.has_family, "ovs_datapath"):
        with contextlib.suppress(process.Failed):  # there is no datapath
            await process.run(["ovs-dpctl", "del-dp", "system@ovs-system"], timeout=10.0)


def _remove_devices(memory: Path) -> None:
    for device in (port.BRIDGE, switchsettings.UNDERLAY_BRIDGE, "ovs-netdev"):
        if netlink.remove(device):
            log.info("removed device %s", device)
    _give_back(memory)


def _give_back(memory: Path) -> None:
    """Gives a userspace switch's interface the addresses that it had."""
    taken = uplink.stored(memory)
    if taken is not None:
        linkconfig.restore(linkconfig.renamed(taken, taken.name))
        log.info("gave %s its addresses back", taken.name)


def _empty(folder: Path) -> None:
    """Empties a folder; the folder itself may be a mount point, which cannot be removed."""
    for path in _inside(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _inside(folder: Path) -> Iterable[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
