"""Whose port a sighting is about, by the rows of a node's zone."""

from __future__ import annotations

from dataclasses import replace

from weft import names
from weft.observe.flows import conntrack, zone
from weft.observe.flows.sighting import Sighting, ZonePort

SERVER = ZonePort("server", "blue", "team/server", "0a:58:0a:01:00:06", ("10.1.0.6",), True)
CLIENT = ZonePort("client", "blue", "team/client", "0a:58:0a:01:00:07", ("10.1.0.7",), False)
OTHER = ZonePort("other", "red", "team/other", "0a:58:0a:01:00:07", ("10.1.0.7",), True)


def known(*ports: ZonePort) -> zone.Ports:
    rows = [
        {
            "logical_port": each.name,
            "mac": " ".join((each.mac, *each.addresses)),
            "external_ids": [
                "map",
                [[names.OWNER, f"Pod/{each.pod}"], [names.NETWORK, each.network]],
            ],
            "datapath": ["uuid", each.network],
            "tunnel_key": key,
        }
        for key, each in enumerate(ports, 1)
    ]
    datapaths = [{"_uuid": ["uuid", name], "tunnel_key": 7} for name in ("blue", "red")]
    interfaces = [
        {"name": f"w-{each.name}", "external_ids": ["map", [[names.IFACE_ID, each.name]]]}
        for each in ports
        if each.is_here
    ]
    return zone.ports([datapaths, rows], [[], interfaces])


def connection() -> Sighting:
    """From the client, which another node has, to the server here."""
    line = (
        "tcp,orig=(src=10.1.0.7,dst=10.1.0.6,sport=40000,dport=80),"
        "reply=(src=10.1.0.6,dst=10.1.0.7,sport=80,dport=40000),zone=5,"
        "protoinfo=(state=ESTABLISHED)"
    )
    (found,) = conntrack.sightings(line, {5: SERVER}, 7.0)
    return found


def test_the_other_end_of_a_connection_is_found_by_its_address_on_that_network() -> None:
    ends = {end.pod for end in zone.ends(connection(), known(SERVER, CLIENT, OTHER))}
    assert ends == {"team/server", "team/client"}


def test_an_end_that_nobody_has_is_of_no_pod() -> None:
    ends = {end.pod for end in zone.ends(connection(), known(SERVER, OTHER))}
    assert ends == {"team/server"}
    nowhere = replace(connection(), at="", target=replace(connection().target, port=""))
    assert [end.pod for end in zone.ends(nowhere, known(OTHER))] == []
