"""What others do to a zone's rows, and what its writer makes of it: real databases, no northd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from tests.support import policies
from tests.support.barezone import FAR, NODE, SWITCH, Bare, bare
from tests.support.ovsdb import Server
from tests.support.patience import PATIENCE
from weft import model, ranges, rows
from weft.api import policy
from weft.control.zone.objects import Namespace
from weft.control.zone.state import DeclaredNetwork
from weft.model import ObjectKey
from weft.ovn import ports, tables
from weft.ovsdb.session import Session

pytestmark = pytest.mark.real

PORT = ports.PORT
Json = Any


@pytest.fixture
async def zone(ovsdb: Callable[[str], Server]) -> AsyncIterator[Bare]:
    async with bare(ovsdb) as made:
        yield made


async def test_a_reference_that_the_server_drops_unseen_is_written_again(zone: Bare) -> None:
    """Somebody deletes what a new port refers to just before the port comes."""
    with zone.stopped():
        everything = {"op": "delete", "table": "DHCP_Options", "where": []}
        theirs = zone.stranger.request("transact", [tables.NORTHBOUND, everything])
        port = zone.pod("new", 12)
        await zone.sent()
    await theirs
    await zone.until(lambda: zone.nb.get(PORT, port) is not None)
    await zone.settled()
    options = zone.nb.uuid("DHCP_Options", "dhcp4/blue")
    assert options is not None
    assert zone.row(PORT, port)["dhcpv4_options"] == options
    assert zone.writer.figures.rebuilds == 1


async def test_a_row_is_deleted_though_the_server_changed_it_as_it_came(zone: Bare) -> None:
    """A pod that goes as soon as its row was written: nothing of it stays."""
    with zone.stopped():
        everything = {"op": "delete", "table": "DHCP_Options", "where": []}
        theirs = zone.stranger.request("transact", [tables.NORTHBOUND, everything])
        row = rows.Row(
            PORT,
            "direct",
            {"name": "direct", "dhcpv4_options": rows.Ref("DHCP_Options", "dhcp4/blue")},
            rows.Ref("Logical_Switch", SWITCH),
            "ports",
        )
        writing = asyncio.ensure_future(zone.nb.apply([row]))
        await zone.sent()
    await theirs
    await writing
    await zone.nb.apply((), [(PORT, "direct")])
    assert zone.nb.get(PORT, "direct") is None
    left = await zone.stranger.transact(
        tables.NORTHBOUND,
        [{"op": "select", "table": PORT, "where": [["name", "==", "direct"]], "columns": ["name"]}],
    )
    assert left == [{"rows": []}]


# What another does to the Northbound database, as operations of RFC 7047. `u(TABLE, KEY)` is a row.


def insert(table: str, named: str = "new", /, **row: Json) -> Json:
    return {"op": "insert", "table": table, "uuid-name": named, "row": row}


def into(table: str, uuid: str, column: str, *members: Json) -> Json:
    where = [["_uuid", "==", ["uuid", uuid]]]
    current_rows = ["set", list(members)]
    return {
        "op": "mutate",
        "table": table,
        "where": where,
        "mutations": [[column, "insert", current_rows]],
    }


def update(table: str, uuid: str, **row: Json) -> Json:
    return {"op": "update", "table": table, "where": [["_uuid", "==", ["uuid", uuid]]], "row": row}


NEW = ["named-uuid", "new"]
OPEN = {"direction": "to-lport", "priority": 32767, "match": "1", "action": "allow"}


async def everything(zone: Bare) -> Json:
    """All that the tables hold in which weft writes, every column, without UUIDs: references are by
    name or by what they say. Rows that live by themselves under another's name are left out."""
    names = sorted(table.name for table in tables.NB if table.name != "NB_Global")
    selects = [{"op": "select", "table": t, "where": []} for t in names]
    found = await zone.stranger.transact(tables.NORTHBOUND, selects)
    for table, result in zip(names, found, strict=True):
        result["rows"] = [row for row in result["rows"] if row.get("name") != "theirs"]
        if table == "DNS":  # has no names, and no row that refers to it
            result["rows"] = [row for row in result["rows"] if row["external_ids"][1]]
    known = {
        row["_uuid"][1]: f"{table} {row.get('name') or row.get('external_ids')}"
        for table, result in zip(names, found, strict=True)
        for row in result["rows"]
    }

    def plain(value: Json) -> Json:
        if isinstance(value, list) and value and value[0] == "uuid":
            return known.get(value[1], value[1])
        if isinstance(value, list) and value and value[0] in ("set", "map"):
            return sorted((plain(each) for each in value[1]), key=str)
        return value

    return {
        table: sorted(
            (
                sorted((c, str(plain(v))) for c, v in row.items() if not c.startswith("_"))
                for row in result["rows"]
            ),
            key=str,
        )
        for table, result in zip(names, found, strict=True)
    }


Harm = Callable[[Bare], list[Json]]


def u(zone: Bare, table: str, key: str = "") -> str:
    """A row of weft's: by its key, or the first that there is."""
    if key:
        found = zone.nb.uuid(table, key)
        assert found is not None
        return found
    return next(uuid for uuid, row in zone.nb.rows(table).items() if "weft/owner" in str(row))


def in_group(zone: Bare) -> list[Json]:
    group = u(zone, "Port_Group")
    return [insert("ACL", **OPEN), into("Port_Group", group, "acls", NEW)]


def with_our_marks(zone: Bare) -> list[Json]:
    acl = zone.nb.rows("ACL")[u(zone, "ACL")]["external_ids"]
    assert isinstance(acl, dict)
    marks = ["map", list({**acl, "weft/id": "forged"}.items())]
    group = u(zone, "Port_Group")
    return [insert("ACL", **OPEN, external_ids=marks), into("Port_Group", group, "acls", NEW)]


def duplicate_of(table: str) -> Harm:
    def duplicate(zone: Bare) -> list[Json]:
        row = zone.nb.rows(table)[u(zone, table)]
        ids = ["map", list(row["external_ids"].items())]  # type: ignore[union-attr]
        current_rows = {c: row[c] for c in ("name", "cidr") if c in row}
        return [insert(table, **current_rows, external_ids=ids)]

    return duplicate


def duplicate_in_group(zone: Bare) -> list[Json]:
    ids = zone.nb.rows("ACL")[u(zone, "ACL")]["external_ids"]
    assert isinstance(ids, dict)
    current_rows = ["map", list(ids.items())]
    return [
        insert("ACL", **OPEN, external_ids=current_rows),
        into("Port_Group", u(zone, "Port_Group"), "acls", NEW),
    ]


def row_into(table: str, column: str, child: str, **row: Json) -> Harm:
    return lambda zone: [insert(child, **row), into(table, u(zone, table), column, NEW)]


def column(table: str, **row: Json) -> Harm:
    return lambda zone: [update(table, u(zone, table), **row)]


HARM: dict[str, Harm] = {
    "an ACL in a group": in_group,
    "an ACL with our marks": with_our_marks,
    "a duplicate of an ACL": duplicate_in_group,
    "an ACL of a switch": row_into("Logical_Switch", "acls", "ACL", **OPEN),
    "an ACL's match": column("ACL", match="1"),
    "an ACL's action": column("ACL", action="allow"),
    "an ACL's tier": column("ACL", tier=3),
    "an ACL's marks": column("ACL", external_ids=["map", []]),
    "a port on a switch": row_into("Logical_Switch", "ports", PORT, name="theirs"),
    "a service on a switch": row_into(
        "Logical_Switch", "load_balancer", "Load_Balancer", name="lb"
    ),
    "a rate on a switch": row_into(
        "Logical_Switch",
        "qos_rules",
        "QoS",
        priority=1,
        direction="to-lport",
        match="1",
        bandwidth=["map", [["rate", 1]]],
    ),
    "names on a switch": row_into("Logical_Switch", "dns_records", "DNS", records=["map", []]),
    "a switch's config": column("Logical_Switch", other_config=["map", []]),
    "a switch's marks": column("Logical_Switch", external_ids=["map", []]),
    "a switch's ports": column("Logical_Switch", ports=["set", []]),
    "a duplicate of a switch": duplicate_of("Logical_Switch"),
    "a duplicate of DHCP": duplicate_of("DHCP_Options"),
    "DHCP's marks": column("DHCP_Options", external_ids=["map", []]),
    "DHCP's options": column("DHCP_Options", options=["map", [["router", "10.1.0.99"]]]),
    "a port that is off": column(PORT, enabled=False),
    "a port's tag": column(PORT, tag=5),
    "a port's security": column(PORT, port_security=["set", []]),
    "a port's marks": column(PORT, external_ids=["map", []]),
    "a port's DHCP": column(PORT, dhcpv4_options=["set", []]),
    "a port out of its groups": column("Port_Group", ports=["set", []]),
    "a group's rules": column("Port_Group", acls=["set", []]),
    "a stranger in a group": lambda zone: [
        insert(PORT, name="theirs"),
        insert("Logical_Switch", "switch", name="theirs", ports=NEW),
        into("Port_Group", u(zone, "Port_Group"), "ports", NEW),
    ],
    "a port of ours in a group": lambda zone: [
        into("Port_Group", u(zone, "Port_Group"), "ports",
             ["uuid", u(zone, PORT, "default.blue_default_plain")])
    ],
    "a stranger in a set": lambda zone: [
        into("Address_Set", u(zone, "Address_Set"), "addresses", "0a:58:00:00:00:66")
    ],
    "nobody in a set": column("Address_Set", addresses=["set", []]),
    "a set that is gone": lambda zone: [
        {"op": "delete", "table": "Address_Set", "where": []}
    ],
    "a group that is gone": lambda zone: [
        {"op": "delete", "table": "Port_Group", "where": []}
    ],
}  # fmt: skip


@pytest.fixture
async def guarded(zone: Bare) -> Bare:
    """Pod one hears from pods with role=friend alone; nobody selects pod plain."""
    current_rows = policies.written(ingress=[{"from": [{"podSelector": {"matchLabels": FRIEND}}]}])
    current_rows["spec"]["podSelector"] = {"matchLabels": {"role": "server"}}
    current_rows["metadata"]["namespace"] = "default"
    zone.zone.policies.set_namespace("default", Namespace())
    zone.zone.policies.set_policy(ObjectKey("default", "guard"), policy.parse(current_rows))
    zone.pod("one", 11, role="server")
    zone.pod("plain", 12)
    zone.pod("friend", 13, FAR, **FRIEND)
    await zone.settled()
    assert u(zone, "Port_Group")
    assert u(zone, "Address_Set")
    return zone


FRIEND = {"role": "friend"}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
async def test_what_another_does_inside_our_rows_is_undone(guarded: Bare, harm: Harm) -> None:
    before, done = await everything(guarded), guarded.writer.figures
    operations = done.operations
    await guarded.does(*harm(guarded))
    await restored(guarded, before)
    await guarded.until(lambda: done.operations > operations)
    assert guarded.writer.trouble == ""
    assert guarded.writer.figures.rebuilds == 1


# A row that lives by itself and lost its marks while nobody looked is anybody's.
UNKNOWN = "DHCP's marks"


@pytest.mark.parametrize(
    "harm", [h for n, h in HARM.items() if n != UNKNOWN], ids=[n for n in HARM if n != UNKNOWN]
)
async def test_what_another_did_while_nobody_looked_is_undone_at_the_start(
    guarded: Bare, harm: Harm
) -> None:
    before = await everything(guarded)
    guarded.pause()
    await guarded.does(*harm(guarded))
    assert await everything(guarded) != before
    guarded.resume()
    await restored(guarded, before)
    assert guarded.writer.trouble == ""


async def restored(zone: Bare, before: Json) -> None:
    """Returns when all is as it was, looked at after each round of the writer."""
    async with asyncio.timeout(PATIENCE):
        while (now := await everything(zone)) != before:
            try:
                async with asyncio.timeout(PATIENCE / 4):
                    await zone.looked.wait()
            except TimeoutError:
                different = {t: (before[t], now[t]) for t in before if before[t] != now[t]}
                raise AssertionError(f"stays different: {different}") from None
            zone.looked.clear()
    await zone.settled()


async def test_what_is_none_of_ours_stays(guarded: Bare) -> None:
    """Rows of another owner, whatever they are called and hold."""
    theirs = [
        insert("ACL", "acl", **OPEN),
        insert(PORT, "port", name="their port"),
        insert("Logical_Switch", "switch", name="theirs", ports=["named-uuid", "port"]),
        insert("Port_Group", "group", name="theirs", ports=["named-uuid", "port"],
               acls=["named-uuid", "acl"]),
        insert("Address_Set", "set", name="theirs", addresses="10.0.0.1"),
        insert("DHCP_Options", "dhcp", cidr="10.1.0.0/24"),
        insert("NB_Global", "global", options=["map", [["theirs", "1"]]]),
    ]  # fmt: skip
    await guarded.does(*theirs)
    before = await everything(guarded)
    guarded.writer.reset()
    guarded.pod("more", 14)
    await guarded.settled()
    guarded.zone.set_pod(ObjectKey("default", "more"), None)
    guarded.writer.wake()
    await guarded.settled()
    assert await everything(guarded) == before


async def test_a_rule_of_another_goes_from_our_group_and_stays_in_theirs(guarded: Bare) -> None:
    ours = u(guarded, "Port_Group")
    before, done = guarded.nb.rows("Port_Group")[ours]["acls"], guarded.writer.figures
    operations = done.operations
    acl = ["named-uuid", "acl"]
    await guarded.does(
        insert("ACL", "acl", **OPEN),
        insert("Port_Group", "group", name="theirs", acls=acl),
        into("Port_Group", ours, "acls", acl),
    )
    await guarded.until(lambda: done.operations > operations)
    await guarded.until(lambda: guarded.nb.rows("Port_Group")[ours]["acls"] == before)
    await guarded.settled()
    where = [["name", "==", "theirs"]]
    select = {"op": "select", "table": "Port_Group", "where": where, "columns": ["acls"]}
    (found,) = await guarded.stranger.transact(tables.NORTHBOUND, [select])
    assert found["rows"][0]["acls"][0] == "uuid"
    assert guarded.writer.trouble == ""
    assert (done.refused, done.rebuilds) == (0, 1)


async def test_a_set_that_another_makes_his_own_is_his(guarded: Bare) -> None:
    taken = u(guarded, "Address_Set")
    name = str(guarded.nb.rows("Address_Set")[taken]["name"])
    marks, operations = ["map", []], guarded.writer.figures.operations
    await guarded.does(update("Address_Set", taken, name="theirs", external_ids=marks))
    await guarded.until(lambda: guarded.writer.figures.operations > operations)
    await guarded.until(lambda: guarded.nb.uuid("Address_Set", name) not in (None, taken))
    await guarded.settled()
    assert guarded.nb.rows("Address_Set")[taken]["name"] == "theirs"
    assert guarded.nb.uuid("Address_Set", name) != taken


async def test_what_a_zone_relies_on_is_kept_in_the_row_that_all_share(guarded: Bare) -> None:
    row = insert("NB_Global", options=["map", [["theirs", "1"], ["default_acl_drop", "true"]]])
    await guarded.does({**row, "row": {**row["row"], "ipsec": True}})

    def is_kept() -> bool:
        found = guarded.nb.get("NB_Global", "")
        return found is not None and found[1] == {"options": {"theirs": "1"}, "ipsec": False}

    await guarded.until(is_kept)


async def test_our_own_doing_is_suspected_of_nothing(guarded: Bare) -> None:
    for number in range(20, 40):
        guarded.pod(f"p{number}", number, **({"role": "server"} if number % 2 else {}))
        if number % 5 == 0:
            await guarded.settled()
            assert len(guarded.writer._foreign_rows) == 0
    await guarded.settled()
    for number in range(20, 40):
        guarded.zone.set_pod(ObjectKey("default", f"p{number}"), None)
        guarded.writer.wake()
    await guarded.settled()
    assert len(guarded.writer._foreign_rows) == 0
    assert guarded.writer.figures.refused == 0


async def test_a_reset_that_comes_while_something_is_written_is_not_lost(zone: Bare) -> None:
    with zone.stopped():
        zone.pod("new", 12)
        await zone.sent()
        zone.writer.reset()
    await zone.until(lambda: zone.writer.figures.rebuilds == 2)


@pytest.fixture
async def routed(zone: Bare) -> Bare:
    """The default network in place of blue: routers, routes and a way out."""
    part = (ip_network("10.128.2.0/24"),)
    spec = model.NetworkSpec(
        "default", model.Topology.LAYER3, 1300, (ip_network("10.128.0.0/16"),), role="primary"
    )
    gateway = model.Gateway(
        mac="0a:58:c0:00:02:65",
        addresses=(ip_interface("192.0.2.102/24"),),
        next_hops=(ip_address("192.0.2.254"),),
        interface_id="physnet_node1",
    )
    zone.zone.set_pod(ObjectKey("default", "one"), None)
    zone.zone.set_nad(ObjectKey("", "default"), DeclaredNetwork(model.Network(spec, 0)))
    for name, number, own in ((NODE, 2, True), (FAR, 3, False)):
        chassis = "chassis-1" if own else "chassis-2"
        made = model.NodeInfo(
            name, chassis, (f"192.0.2.{number}",), id=number, transit=ranges.transit(number),
            subnets=(("default", part if own else (ip_network("10.128.3.0/24"),)),),
            gateway=gateway if own else None,
        )  # fmt: skip
        zone.zone.set_node(name, made)
    zone.writer.wake()
    await zone.settled()
    assert u(zone, "NAT")
    return zone


ROUTER = "Logical_Router"
ROUTE: Json = {"ip_prefix": "0.0.0.0/0", "nexthop": "10.128.2.66"}
HARM_ROUTED: dict[str, Harm] = {
    "a route": row_into(ROUTER, "static_routes", "Logical_Router_Static_Route", **ROUTE),
    "a translation": row_into(
        ROUTER, "nat", "NAT", type="dnat_and_snat", external_ip="192.0.2.9", logical_ip="10.128.2.3"
    ),
    "a reroute": row_into(
        ROUTER, "policies", "Logical_Router_Policy", priority=1, match="1", action="drop"
    ),
    "a router's port": row_into(
        ROUTER, "ports", "Logical_Router_Port", name="new", mac="0a:58:00:00:00:99",
        networks="10.77.0.1/24",
    ),
    "a router that is off": column(ROUTER, enabled=False),
    "a router's ports": column(ROUTER, ports=["set", []]),
    "a router's routes": column(ROUTER, static_routes=["set", []]),
    "a router's marks": column(ROUTER, external_ids=["map", []]),
    "a duplicate of a router": duplicate_of(ROUTER),
    "a port's address": column("Logical_Router_Port", mac="0a:58:00:00:00:99"),
    "a port's advertisements": column(
        "Logical_Router_Port", ipv6_ra_configs=["map", [["address_mode", "slaac"]]]
    ),
    "a route's hop": column("Logical_Router_Static_Route", nexthop="10.128.2.66"),
    "a route's table": column("Logical_Router_Static_Route", route_table="other"),
    "a route's marks": column("Logical_Router_Static_Route", external_ids=["map", []]),
    "a translation's address": column("NAT", external_ip="192.0.2.9"),
    "a translation's ports": column("NAT", external_port_range="1-2"),
    "a guard's rule": column("ACL", match="0"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM_ROUTED.values(), ids=HARM_ROUTED.keys())
async def test_what_another_does_to_routers_is_undone(routed: Bare, harm: Harm) -> None:
    before = await everything(routed)
    await routed.does(*harm(routed))
    await restored(routed, before)
    assert routed.writer.trouble == ""


HARM_CHASSIS: dict[str, tuple[str, Json]] = {
    "its endpoint": ("Encap", {"ip": "192.0.2.77"}),
    "how it is reached": ("Encap", {"options": ["map", [["csum", "false"]]]}),
    "that it is remote": ("Chassis", {"other_config": ["map", []]}),
    "its zones": ("Chassis", {"transport_zones": "elsewhere"}),
    "its marks": ("Chassis", {"external_ids": ["map", []]}),
}


@pytest.mark.parametrize("harm", HARM_CHASSIS.values(), ids=HARM_CHASSIS.keys())
async def test_what_another_does_to_a_chassis_is_undone(zone: Bare, harm: tuple[str, Json]) -> None:
    async def current_rows() -> Json:
        columns = {"Encap": ["chassis_name", "ip", "type", "options"],
                   "Chassis": ["name", "hostname", "other_config", "transport_zones",
                               "external_ids"]}  # fmt: skip
        selects = [
            {"op": "select", "table": t, "where": [], "columns": c} for t, c in columns.items()
        ]
        return await stranger.transact(tables.SOUTHBOUND, selects)

    stranger = await Session.connect(zone.sb.address)
    try:
        before = await current_rows()
        table, row = harm
        update = {"op": "update", "table": table, "where": [], "row": row}
        await stranger.transact(tables.SOUTHBOUND, [update])
        async with asyncio.timeout(PATIENCE):
            while await current_rows() != before:
                await zone.looked.wait()
                zone.looked.clear()
    finally:
        await stranger.close()


async def test_a_chassis_that_bears_our_mark_and_is_none_of_ours_goes(zone: Bare) -> None:
    stranger = await Session.connect(zone.sb.address)
    mark = ["map", [["weft/owner", "Node//forged"]]]
    encap = {"chassis_name": "forged", "ip": "192.0.2.66", "type": "geneve"}
    row = {"name": "forged", "encaps": NEW, "external_ids": mark}
    forged = [insert("Encap", **encap), insert("Chassis", "chassis", **row)]
    received: asyncio.Queue[bool] = asyncio.Queue()
    zone.sb.subscribe("Chassis", lambda uuid, old, new: received.put_nowait(new is not None))
    await stranger.transact(tables.SOUTHBOUND, forged)
    await stranger.close()
    async with asyncio.timeout(PATIENCE):
        assert [await received.get(), await received.get()] == [True, False]
    assert zone.sb.get("Chassis", "forged") is None
    assert zone.sb.get("Chassis", "chassis-2") is not None
