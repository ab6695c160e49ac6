"""Defines the OVS and OVN daemons of a zone, with their arguments, as `Service` records. Pure.

One zone for each node: three databases, northd, ovn-controller and the switch, at the paths that
a real node has. Everything in the databases is derived and lives in the node's private /run.
"""

from __future__ import annotations

from weft.ovn import daemons
from weft_lab import layout, spec
from weft_lab.service import Ready, Service

SWITCH = "/vswitchd"  # suffix of the service that keeps a node's links
BRIDGE = "br-int"
UNDERLAY_BRIDGE = "br-phy"
_OVS = "ovsdb"  # the database of Open vSwitch


def underlay_port(node: spec.Node) -> str:
    """The link between the node's switch and the lab's underlay bridge (15 characters at most)."""
    return f"ul-{node.name}"


def zone(node: spec.Node) -> tuple[Service, ...]:
    name = node.name
    return (
        *(_database(name, each) for key, each in daemons.DATABASES.items() if key != _OVS),
        *switch(name, BRIDGE),
        Service(
            f"{name}/northd",
            _with_pidfile(daemons.northd()),
            node=name,
            after=(f"{name}/nb", f"{name}/sb"),
        ),
        Service(
            f"{name}/ovn-controller",
            _with_pidfile(daemons.controller(str(layout.ACL_LOG))),
            node=name,
            after=(f"{name}/sb", f"{name}/ovs-settings"),
        ),
    )


def switch(name: str, bridge: str) -> tuple[Service, ...]:
    """An Open vSwitch, its database and its settings; it is ready when it has `bridge`."""
    return (
        _database(name, daemons.DATABASES[_OVS]),
        Service(
            f"{name}/ovs-settings",
            (),
            node=name,
            after=(f"{name}/{_OVS}",),
            ready=Ready.KEPT,
        ),
        Service(
            f"{name}{SWITCH}",
            _with_pidfile(daemons.vswitchd()),
            node=name,
            after=(f"{name}/ovs-settings",),
            ready=Ready.LISTENS,
            socket=f"{layout.OVS_RUN}/{bridge}.mgmt",
        ),
    )


def _database(node: str, each: daemons.Database) -> Service:
    pidfile = "" if each.name == _OVS else each.socket.removesuffix(".sock") + ".pid"
    return Service(
        f"{node}/{each.name}",
        _with_pidfile(daemons.server(each), pidfile),
        node=node,
        ready=Ready.LISTENS,
        socket=each.socket,
        database=(each.path, each.schema),
    )


def _with_pidfile(argv: tuple[str, ...], path: str = "") -> tuple[str, ...]:
    """With a pidfile, by which ovs-appctl finds the daemon on a node."""
    return (argv[0], f"--pidfile={path}" if path else "--pidfile", *argv[1:])
