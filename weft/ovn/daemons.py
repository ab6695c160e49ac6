"""Lists the daemons of a node's OVN zone and of its Open vSwitch, with their arguments.

A zone is a Northbound and a Southbound database, northd and ovn-controller; all of them find each
other at sockets below /run, on a node as in a container.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OVS_RUN, OVN_RUN = "/run/openvswitch", "/run/ovn"
OVS = f"unix:{OVS_RUN}/db.sock"
NB = f"unix:{OVN_RUN}/ovnnb_db.sock"
SB = f"unix:{OVN_RUN}/ovnsb_db.sock"

QUIET = ("-vsyslog:off", "-vconsole:info")
# ovn-controller logs each DHCPDECLINE of a guest, without a rate limit (pinctrl.c).
GUESTS_UNLOGGED = ("-vpinctrl:console:warn",)


@dataclass(frozen=True, slots=True)
class Database:
    """A database file, its schema, and the row that a new one holds.

    The row is the one that OVN's own scripts put there (`ovn-sbctl init`). Without SB_Global,
    ovn-controller 25.03 crashes if it reads the database before northd has made that row.
    """

    name: str
    schema: str
    database: str
    path: str
    socket: str
    first: str = ""

    @property
    def control(self) -> str:
        """The server's own control socket."""
        return self.socket.removesuffix(".sock") + ".ctl"


DATABASES: Mapping[str, Database] = {
    each.name: each
    for each in (
        Database(
            *("ovsdb", "vswitch", "Open_vSwitch"),
            *(f"{OVS_RUN}/conf.db", f"{OVS_RUN}/db.sock"),
        ),
        Database(
            *("nb", "ovn-nb", "OVN_Northbound"),
            *(f"{OVN_RUN}/ovnnb_db.db", f"{OVN_RUN}/ovnnb_db.sock"),
            '["OVN_Northbound", {"op": "insert", "table": "NB_Global", "row": {}}]',
        ),
        Database(
            *("sb", "ovn-sb", "OVN_Southbound"),
            *(f"{OVN_RUN}/ovnsb_db.db", f"{OVN_RUN}/ovnsb_db.sock"),
            '["OVN_Southbound", {"op": "insert", "table": "SB_Global", "row": {}}]',
        ),
    )
}


def server(database: Database) -> tuple[str, ...]:
    """The command line of one database's ovsdb-server(1)."""
    return (
        *("ovsdb-server", f"--unixctl={database.control}", *QUIET),
        *(f"--remote=punix:{database.socket}", database.path),
    )


def northd() -> tuple[str, ...]:
    """The command line of ovn-northd(8)."""
    return ("ovn-northd", *QUIET, f"--ovnnb-db={NB}", f"--ovnsb-db={SB}")


def controller(acl_log: str) -> tuple[str, ...]:
    """The command line of ovn-controller(8); it writes only what ACLs log to file `acl_log`."""
    logged = (f"--log-file={acl_log}", "-vfile:off", "-vacl_log:file:info")
    return ("ovn-controller", *QUIET, *GUESTS_UNLOGGED, *logged, OVS)


def vswitchd() -> tuple[str, ...]:
    """The command line of ovs-vswitchd(8)."""
    return ("ovs-vswitchd", *QUIET, OVS)
