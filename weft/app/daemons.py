"""Starts one daemon of a node in this process's place, after what it needs is there.

A database server gets a file that it can open: made if it is missing, made anew if it is broken
(ADR 0078). Open vSwitch is the host's where the host has one (ADR 0091).
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from weft import errors
from weft.host import dbfiles
from weft.ovn import daemons

log = logging.getLogger(__name__)

SCHEMAS = (Path("/usr/share/openvswitch"), Path("/usr/share/ovn"))
# Settings of a new database of Open vSwitch. Without TSO, TCP in a userspace switch stalls:
# transmit
# offload of local links does not fit a tunnel else. The switch reads it once, when it starts.
FIRST = (
    '["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch",'
    ' "row": {"other_config": ["map", [["userspace-tso-enable", "true"]]]}}]'
)
# The database that packages of Open vSwitch make when they are installed on a host.
HOST_DATABASE = Path("/etc/openvswitch/conf.db")


class Daemon(StrEnum):
    nb = "nb"
    sb = "sb"
    northd = "northd"
    controller = "ovn-controller"
    ovsdb = "ovsdb"
    vswitchd = "vswitchd"


class Switch(StrEnum):
    """Whose Open vSwitch a node uses."""

    auto = "auto"
    host = "host"
    own = "own"


def start(name: Daemon, switch: Switch, acl_log: str) -> NoReturn:
    """Become the daemon; does not return. Raises Unavailable if what it needs cannot be made."""
    if name in (Daemon.ovsdb, Daemon.vswitchd) and is_hosts(switch):
        log.info("this node uses the Open vSwitch of its host: nothing to run here")
        _idle()
    match name:
        case Daemon.northd:
            _become(daemons.northd(), f"{daemons.OVN_RUN}/ovn-northd.ctl")
        case Daemon.controller:
            _become(daemons.controller(acl_log), f"{daemons.OVN_RUN}/ovn-controller.ctl")
        case Daemon.vswitchd:
            argv = daemons.vswitchd()
            _become((argv[0], "--pidfile", *argv[1:]))  # the agent finds the control socket by it
        case _:
            database = daemons.DATABASES[name]
            prepare(database)
            _become(daemons.server(database))


def is_hosts(switch: Switch) -> bool:
    """Whether the node uses its host's Open vSwitch."""
    if switch is Switch.auto:
        return HOST_DATABASE.exists()
    return switch is Switch.host


def prepare(database: daemons.Database) -> None:
    """Have a file that a server of this version can open."""
    path = Path(database.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tool = _found("ovsdb-tool")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        template = Path(folder, "empty")
        first = database.first or FIRST
        dbfiles.create(tool, _schema(database.schema), template, first, shown=database.path)
        corruption = ""
        if not dbfiles.defect(path, template.read_bytes()):
            corruption = dbfiles.unreadable(tool, path, database.database)
        done = dbfiles.mend(path, template, shown=database.path, corruption=corruption)
    if done:
        log.info("database %s: %s", database.path, done)


def _schema(name: str) -> Path:
    for folder in SCHEMAS:
        if (path := folder / f"{name}.ovsschema").exists():
            return path
    raise errors.Unavailable(
        f"{name}.ovsschema is missing", where=str(SCHEMAS[0]), hint="run it in weft's image"
    )


def _found(program: str) -> str:
    place = shutil.which(program, path=f"/usr/sbin:{os.environ.get('PATH', os.defpath)}")
    if place is None:
        raise errors.Unavailable(
            "is not on this machine", where=program, hint="run it in weft's image"
        )
    return place


def _become(argv: tuple[str, ...], control: str = "") -> NoReturn:
    """`control`: the daemon's control socket, which by default is named after its process."""
    known = (f"--unixctl={control}",) if control else ()
    os.execv(_found(argv[0]), (argv[0], *known, *argv[1:]))


def _idle() -> NoReturn:
    """Until a signal ends the process, which as process 1 of a container has to ask for it."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
    sys.exit(0)
