from __future__ import annotations

from weft import rows
from weft.control.zone import portrows

PORT, LIMIT = rows.Row("Logical_Switch_Port", "p"), rows.Row("QoS", "p/egress")


def test_a_row_belongs_to_its_port() -> None:
    assert portrows.port_of("Logical_Switch_Port", "p") == "p"
    assert portrows.port_of("QoS", "p/egress") == "p"
    assert portrows.port_of("ACL", "p/egress") == ""


def test_what_a_port_has_no_more_is_gone_once() -> None:
    beside = portrows.RowsBeside()
    assert beside.note("p", (PORT, LIMIT)) == []
    assert beside.has("QoS", "p/egress")
    assert not beside.has("QoS", "p/ingress")
    assert beside.note("p", (PORT,)) == [("QoS", "p/egress")]
    assert beside.note("p", ()) == []
