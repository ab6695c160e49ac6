"""The ACLs by which a machine's connections go on where it comes to."""

from __future__ import annotations

from ipaddress import ip_address

from tests.unit.control.zone.test_moves import SOURCE
from weft import model, rows
from weft.migration import Connection
from weft.ovn import connections

HOME = rows.Ref("Logical_Switch", "blue")
OWN, PEER = ip_address("10.1.0.5"), ip_address("10.1.0.11")
OUT = Connection("tcp", True, OWN, 40000, PEER, 80)
IN = Connection("udp", False, OWN, 53, PEER, 50000)


def made(*known: Connection, port: model.Port = SOURCE) -> dict[object, rows.Row]:
    found = connections.rows_of(port, HOME, known)
    return {each.columns["direction"]: each for each in found}


def test_what_the_machine_began_is_admitted_from_the_other_end_alone() -> None:
    """What the machine sends is judged and tracked: that is what makes OVN know the connection."""
    (row,) = made(OUT).values()
    assert row.columns["direction"] == "to-lport"
    assert row.columns["action"] == "allow-stateless"
    assert row.columns["match"] == (
        'outport == "default.blue_default_vm:5" && ((ip4.src == 10.1.0.11 && ip4.dst == 10.1.0.5'
        " && tcp.src == 80 && tcp.dst == 40000 && tcp.flags[1] == 0))"
    )


def test_what_others_began_is_admitted_from_the_machine_alone() -> None:
    (row,) = made(IN).values()
    assert row.columns["direction"] == "from-lport"
    assert row.columns["match"] == (
        'inport == "default.blue_default_vm:5" && ((ip4.src == 10.1.0.5 && ip4.dst == 10.1.0.11'
        " && udp.src == 53 && udp.dst == 50000))"
    )


def test_no_connection_needs_no_acl() -> None:
    assert made() == {}
    assert connections.rows_of(SOURCE, None, (OUT,)) == ()


def test_an_acl_leads_back_to_its_port() -> None:
    for row in made(OUT, IN).values():
        assert connections.port_of(row.key) == "default.blue_default_vm:5"
    assert connections.port_of("guard/trunk/blue") == ""
