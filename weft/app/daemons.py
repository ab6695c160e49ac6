"""Replaces this process with one daemon of a node, after preparing its database file.

A database server needs a file that it can open: a missing or broken one is made (ADR 0078). A node
uses its host's Open vSwitch where the host has one (ADR 0091).
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import stat
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from weft import errors
from weft.host import dbfiles, sockets
from weft.ovn import daemons

log = logging.getLogger(__name__)

SCHEMAS = (Path("/usr/share/openvswitch"), Path("/usr/share/ovn"))
# Settings of a new database of Open vSwitch. Without TSO, TCP in a userspace switch stalls: the
# segmentation offload of local links does not fit a tunnel. The switch reads it only at its start.
FIRST = (
    '["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch",'
    ' "row": {"other_config": ["map", [["userspace-tso-enable", "true"]]]}}]'
)
# Root's group may connect to the sockets of daemons that are not root, and the reverse.
SHARED = 0o007
# The database that packages of Open vSwitch create on a host.
HOST_DATABASE = Path("/etc/openvswitch/conf.db")
# What weft's own database server has beside its socket, and no other.
_SWITCH = daemons.DATABASES["ovsdb"]
OWN_FILES = (Path(_SWITCH.path), Path(_SWITCH.control))
SWITCH_SOCKET = Path(_SWITCH.socket)


class Daemon(StrEnum):
    """The daemons of a node, and what prepares the folder of those that are not root."""

    nb = "nb"
    sb = "sb"
    northd = "northd"
    controller = "ovn-controller"
    ovsdb = "ovsdb"
    vswitchd = "vswitchd"
    ovn_folder = "ovn-folder"


class Switch(StrEnum):
    """Whose Open vSwitch a node uses."""

    auto = "auto"
    host = "host"
    own = "own"


def start(name: Daemon, switch: Switch, acl_log: str) -> None:
    """Becomes the daemon (execve(2)), or prepares a folder and returns.

    Raises Unavailable if it cannot.
    """
    if name in (Daemon.ovsdb, Daemon.vswitchd) and is_hosts(switch):
        log.info("this node uses the Open vSwitch of its host: nothing to run here")
        _idle()
    os.umask(SHARED)
    match name:
        case Daemon.ovn_folder:
            share(Path(daemons.OVN_RUN))
        case Daemon.northd:
            _become(daemons.northd(), f"{daemons.OVN_RUN}/ovn-northd.ctl")
        case Daemon.controller:
            _become(daemons.controller(acl_log), f"{daemons.OVN_RUN}/ovn-controller.ctl")
        case Daemon.vswitchd:
            argv = daemons.vswitchd()
            # The agent finds the control socket by the PID.
            _become((argv[0], "--pidfile", *argv[1:]))
        case _:
            database = daemons.DATABASES[name]
            prepare(database)
            _become(daemons.server(database))


def is_hosts(switch: Switch) -> bool:
    """Whether the node uses its host's Open vSwitch.

    `auto`: its packages have made a database, or a server answers that weft did not start.
    """
    if switch is not Switch.auto:
        return switch is Switch.host
    if HOST_DATABASE.exists():
        return True
    return not any(path.exists() for path in OWN_FILES) and sockets.accepts(SWITCH_SOCKET)


def share(folder: Path) -> None:
    """Lets root's group write in a folder: the databases' servers have that group, and no root."""
    folder.chmod(0o770)
    for path in folder.iterdir():
        found = path.lstat()
        # Files of others are theirs to open; without CAP_FOWNER nobody else may.
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            path.chmod(0o660)


def prepare(database: daemons.Database) -> None:
    """Makes or repairs a database file, so that a server of this version can open it."""
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
    """Executes a daemon. `control`: its control socket, whose default name contains its PID."""
    known = (f"--unixctl={control}",) if control else ()
    os.execv(_found(argv[0]), (argv[0], *known, *argv[1:]))


def _idle() -> NoReturn:
    """Waits for a signal: process 1 of a container ignores those that it does not handle."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
    sys.exit(0)
