from __future__ import annotations

from weft import rows
from weft.control.zone import portrows, standins

PORT, LIMIT = rows.Row("Logical_Switch_Port", "p"), rows.Row("QoS", "qos/egress/p")


def test_a_row_belongs_to_its_port() -> None:
    assert portrows.port_of("Logical_Switch_Port", "p") == "p"
    assert portrows.port_of("Logical_Switch_Port", "p:source") == "p"
    assert portrows.port_of("QoS", "qos/egress/p") == "p"
    assert portrows.port_of("DHCP_Options", "dhcp/v4/p") == "p"
    assert portrows.port_of("DHCP_Options", "dhcp4/blue") == ""
    assert portrows.port_of("ACL", "qos/egress/p") == ""


def test_what_a_port_has_no_more_is_gone_once() -> None:
    beside = portrows.RowsBeside(standins.StandIns())
    assert beside.note("p", (PORT, LIMIT)) == []
    assert beside.has("QoS", "qos/egress/p")
    assert not beside.has("QoS", "qos/ingress/p")
    assert beside.note("p", (PORT,)) == [("QoS", "qos/egress/p")]
    assert beside.note("p", ()) == []


def test_what_stands_in_for_a_port_goes_before_it() -> None:
    beside, other = (
        portrows.RowsBeside(standins.StandIns()),
        rows.Row("Logical_Switch_Port", "p:source"),
    )
    assert beside.note("p", (other, PORT)) == []
    assert beside.has("Logical_Switch_Port", "p:source")
    assert beside.note("p", (PORT,)) == [("Logical_Switch_Port", "p:source")]
