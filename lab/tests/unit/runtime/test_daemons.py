from __future__ import annotations

from weft_lab import spec
from weft_lab.runtime import daemons


def test_databases_are_where_clients_look() -> None:
    services = daemons.zone(spec.Node(spec.DEFAULT_NAME, 1))
    sockets = {one.name: one.socket for one in services if one.socket}
    assert sockets["node1/ovsdb"] == "/run/openvswitch/db.sock"
    assert sockets["node1/nb"] == "/run/ovn/ovnnb_db.sock"
    assert sockets["node1/sb"] == "/run/ovn/ovnsb_db.sock"
