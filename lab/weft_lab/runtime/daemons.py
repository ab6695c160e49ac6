"""The OVS and OVN daemons of a zone, with their arguments, as `Service` records. Pure.

One zone for each node: three databases, northd, ovn-controller and the switch, at the paths that
a real node has. Everything in the databases is derived and lives in the node's private /run.
"""

from __future__ import annotations

from weft_lab import layout, spec
from weft_lab.service import Ready, Service

QUIET = ("-vsyslog:off", "-vconsole:info")
# ovn-controller writes a line for each DHCPDECLINE of a guest, without any limit (pinctrl.c).
GUESTS_UNLOGGED = ("-vpinctrl:console:warn",)
# A file of what ACLs log and of nothing else, for the node's agent.
ACL_LOG = (f"--log-file={layout.ACL_LOG}", "-vfile:off", "-vacl_log:file:info")

SWITCH = "/vswitchd"  # how the name of the service ends that holds a node's links
BRIDGE = "br-int"
UNDERLAY_BRIDGE = "br-phy"

# file in /run, its schema, and the socket that clients expect
DATABASES = (
    ("ovsdb", layout.OVS_RUN / "conf.db", "vswitch", layout.OVS_RUN / "db.sock"),
    ("nb", layout.OVN_RUN / "ovnnb_db.db", "ovn-nb", layout.OVN_RUN / "ovnnb_db.sock"),
    ("sb", layout.OVN_RUN / "ovnsb_db.db", "ovn-sb", layout.OVN_RUN / "ovnsb_db.sock"),
)
NB = "unix:/run/ovn/ovnnb_db.sock"
SB = "unix:/run/ovn/ovnsb_db.sock"


def underlay_port(node: spec.Node) -> str:
    """The link between the node's switch and the lab's underlay bridge (15 characters at most)."""
    return f"ul-{node.name}"


def zone(node: spec.Node) -> tuple[Service, ...]:
    name = node.name
    return (
        *(_database(name, *database) for database in DATABASES),
        Service(
            f"{name}/ovs-settings",
            (),
            node=name,
            after=(f"{name}/ovsdb",),
            ready=Ready.KEPT,
        ),
        Service(
            f"{name}{SWITCH}",
            ("ovs-vswitchd", "--pidfile", *QUIET, "unix:/run/openvswitch/db.sock"),
            node=name,
            after=(f"{name}/ovs-settings",),
            ready=Ready.LISTENS,
            socket=f"{layout.OVS_RUN}/{BRIDGE}.mgmt",
        ),
        Service(
            f"{name}/northd",
            ("ovn-northd", "--pidfile", *QUIET, f"--ovnnb-db={NB}", f"--ovnsb-db={SB}"),
            node=name,
            after=(f"{name}/nb", f"{name}/sb"),
        ),
        Service(
            f"{name}/ovn-controller",
            (
                *("ovn-controller", "--pidfile", *QUIET, *GUESTS_UNLOGGED, *ACL_LOG),
                "unix:/run/openvswitch/db.sock",
            ),
            node=name,
            after=(f"{name}/sb", f"{name}/ovs-settings"),
        ),
    )


def _database(node: str, name: str, path: object, schema: str, socket: object) -> Service:
    base = str(socket).removesuffix(".sock")
    control = [f"--pidfile={base}.pid", f"--unixctl={base}.ctl"]
    if name == "ovsdb":
        control = ["--pidfile"]
    return Service(
        f"{node}/{name}",
        ("ovsdb-server", *control, *QUIET, f"--remote=punix:{socket}", str(path)),
        node=node,
        ready=Ready.LISTENS,
        socket=str(socket),
        database=(str(path), schema),
    )
