"""An attachment as text and back."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from weft import errors, model
from weft.nic import plan, port, record

NIC = plan.Nic(
    plan.NicKind.INTERNAL,
    "wp0123456789abc",
    "net1",
    "0a:58:0a:00:00:05",
    1300,
    (ip_interface("10.0.0.5/24"), ip_interface("fd00::5/64")),
    (model.Route(ip_network("10.1.0.0/16"), ip_address("10.0.0.1")),),
    (ip_address("10.0.0.1"),),
    (plan.Sysctl("net/ipv6/conf/net1/accept_ra", "0", True),),
    ("net2",),
    (ip_network("10.0.0.0/24"),),
)
OWNER = port.PortOwner(
    model.PodRef(model.ObjectKey("a", "web"), "u1"),
    "box",
    "/run/netns/box",
    "blue",
    "a/blue",
    "a/blue",
)


def test_what_is_written_is_read_and_says_what_its_rows_say() -> None:
    made = record.Record(NIC, OWNER)
    assert record.parse(record.render(made), "file") == made
    assert made.bound.iface_id == made.logical_port
    assert port.owner(made.bound, OWNER.nad) == OWNER


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"version": 2}', b"\xff", b'{"version": 1}'])
def test_what_is_no_record_is_refused_by_its_file(text: bytes) -> None:
    with pytest.raises(errors.InvalidInput, match=r"/run/x\.json"):
        record.parse(text, "/run/x.json")
