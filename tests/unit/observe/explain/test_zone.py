"""A node's answer, in the forms in which OVSDB, ovn-trace and Open vSwitch write."""

import json
from typing import Any

import pytest

from weft.observe.explain import zone
from weft.observe.explain.evidence import NodeFacts, Trace, Unseen
from weft.policy import netpolicy

PORTS = ("blue_default_a", "blue_default_b")
PACKET = {
    "source": PORTS[0],
    "target": PORTS[1],
    "macs": ["0a:58:0a:09:00:01", "0a:58:0a:09:00:02"],
    "addresses": ["10.9.0.1", "10.9.0.2"],
    "protocol": "TCP",
    "port": 443,
}
REACHES = """
ingress(dp="blue_ovn_layer2_switch", inport="blue_default_a")
 0. ls_in_check_port_sec (northd.c:9365): 1, priority 50, uuid 051fd26c
    next;
12. ls_out_apply_port_sec (northd.c:5843): 1, priority 0, uuid 6c33f2cd
    output;
    /* output to "blue_default_b", type "" */
"""
DROPPED = """
 6. ls_out_acl_eval (northd.c:7099): reg0[10] == 1 && outport == @a33, priority 2000, uuid a70998be
    reg8[17] = 1;
    next;
 8. ls_out_acl_action (northd.c:7243): reg8[17] == 1, priority 1000, uuid 2f863fca
    reg8[17] = 0;
"""


def strings(*pairs: tuple[str, str]) -> Any:
    return ["map", [list(pair) for pair in pairs]]


def interface(name: str, port: str = "", **columns: Any) -> dict[str, Any]:
    external = [("iface-id", port), ("ovn-installed", "true")] if port else []
    row = {
        "name": name,
        "ofport": 7,
        "external_ids": strings(*external),
        "error": ["set", []],
        "options": strings(),
        "type": "",
        "status": strings(),
    }
    return {**row, **columns}


def answer(**changes: Any) -> dict[str, Any]:
    def lsp(name: str) -> list[Any]:
        return [
            {
                "name": name,
                "enabled": ["set", []],
                "port_security": "0a 10.9.0.1",
                "addresses": "0a",
            }
        ]

    def binding(name: str, chassis: Any) -> list[Any]:
        return [
            {
                "logical_port": name,
                "chassis": chassis,
                "requested_chassis": ["uuid", "u2"],
                "datapath": ["uuid", "d1"],
            }
        ]

    geneve = interface("ovn-1-0", type="geneve", options=strings(("remote_ip", "172.31.1.12")))
    whole = {
        "north": [lsp(PORTS[0]), lsp(PORTS[1])],
        "south": [
            [{"_uuid": ["uuid", "u1"], "name": "c1"}, {"_uuid": ["uuid", "u2"], "name": "c2"}],
            [
                {
                    "_uuid": ["uuid", "d1"],
                    "external_ids": strings(("name", "blue_switch")),
                    "tunnel_key": 1,
                }
            ],
            binding(PORTS[0], ["uuid", "u1"]),
            binding(PORTS[1], ["set", []]),
        ],
        "switch": [
            [{"external_ids": strings(("system-id", "c1"))}],
            [interface("wpa", PORTS[0]), geneve],
            [{"name": "ovn-1-0", "external_ids": strings()}],
        ],
        "trace": REACHES,
        "acls": {},
    }
    return {**whole, **changes}


def test_ports_bindings_interfaces_and_tunnels() -> None:
    found = zone.facts(answer(), PORTS)
    assert isinstance(found, NodeFacts)
    own, other = (found.ports[name] for name in PORTS)
    assert (own.bound, own.requested, other.bound) == ("c1", "c2", "")
    assert own.interface is not None
    assert (own.interface.name, own.interface.is_installed) == ("wpa", True)
    assert other.interface is None
    assert found.tunnels == {"172.31.1.12": True}
    assert found.keys == {1}
    assert found.trace == Trace(reaches=True)
    assert zone.datapath(answer()["south"], PORTS[1]) == "blue_switch"
    assert zone.ofport(answer()["switch"], PORTS[0]) == 7
    assert zone.ofport(answer()["switch"], PORTS[1]) == 0


def test_a_tunnel_that_the_agent_marked_does_not_answer() -> None:
    switch = answer()["switch"]
    switch[2][0]["external_ids"] = strings(("weft/tunnel", "down"))
    found = zone.facts(answer(switch=switch), PORTS)
    assert isinstance(found, NodeFacts)
    assert found.tunnels == {"172.31.1.12": False}


def test_a_database_that_does_not_answer_is_not_seen() -> None:
    found = zone.facts(answer(south={"error": "OVN_Southbound: cannot connect"}), PORTS)
    assert found == Unseen("OVN_Southbound: cannot connect")


@pytest.mark.parametrize(
    "changes",
    [
        {"north": None},
        {"south": [[]]},
        {"switch": [[], [{}], []]},
        {"south": "text"},
        {"north": [[{}], [{}]]},
        {"south": [[{"_uuid": 1}], [], [], []]},
    ],
)
def test_an_answer_in_another_form_is_not_seen(changes: dict[str, Any]) -> None:
    assert isinstance(zone.facts(answer(**changes), PORTS), Unseen)
    assert zone.drops({"drops": [["x"]]}, ()) == ()


def test_a_drop_names_the_acl_that_decided_and_whose_it_is() -> None:
    acl = {"external_ids": strings(("weft/owner", "Namespace//default")), "name": ["set", []]}
    found = zone.trace(DROPPED, PORTS[1], {"a70998be": {**acl, "match": "1"}})
    assert found == Trace(
        False, "ls_out_acl_eval", "reg0[10] == 1 && outport == @a33", "Namespace default"
    )
    assert list(zone.acl_flows(DROPPED)) == ["a70998be"]
    foreign = {"external_ids": strings(), "name": "mine", "match": "1"}
    assert zone.trace(DROPPED, PORTS[1], {"a70998be": foreign}).acl == (
        "ACL 'mine', which is not weft's"
    )


def test_an_output_to_another_port_is_no_arrival() -> None:
    found = zone.trace(REACHES, "elsewhere", {})
    assert (found.reaches, found.port) == (False, "blue_default_b")


def test_packets_in_the_words_of_the_tools() -> None:
    assert zone.microflow(PACKET).endswith("ip4.dst == 10.9.0.2 && ip.ttl == 64 && tcp.dst == 443")
    switch, south = answer()["switch"], answer()["south"]
    assert zone.openflow(switch, south, PACKET) == (
        "in_port=7,tcp,dl_src=0a:58:0a:09:00:01,dl_dst=0a:58:0a:09:00:02,nw_src=10.9.0.1,"
        "nw_dst=10.9.0.2,nw_ttl=64,tp_dst=443"
    )
    six = {**PACKET, "addresses": ["fd09::1", "fd09::2"], "protocol": "ICMP", "port": 0}
    assert zone.microflow(six).endswith("ip6.dst == fd09::2 && ip.ttl == 64 && icmp6.type == 128")
    found = zone.openflow(switch, south, six)
    assert found.endswith("ipv6_dst=fd09::2,nw_ttl=64,icmpv6_type=128")


def test_where_it_comes_from_another_node_a_packet_is_traced_out_of_the_tunnel() -> None:
    there = answer()
    there["switch"][1][0] = interface("wpb", PORTS[1])
    there["switch"][1][1]["ofport"] = 3
    for number, rows in enumerate(there["south"][2:], 5):
        rows[0]["tunnel_key"] = number
    packet = {**PACKET, "tunnels": ["172.31.1.12"]}
    found = zone.openflow(there["switch"], there["south"], packet)
    assert found.startswith("in_port=3,tun_id=1,tun_metadata0=327686,tcp,")  # 5 << 16 | 6
    assert zone.openflow(there["switch"], there["south"], PACKET) == ""
    elsewhere = {**packet, "tunnels": ["172.31.1.13"]}
    assert zone.openflow(there["switch"], there["south"], elsewhere) == ""


def test_no_packet_is_traced_between_ends_without_addresses() -> None:
    asked = zone.order(PORTS, netpolicy.Connection(None), ("a", "b"))
    assert asked["packet"] is None


def test_drops_are_told_apart_by_whose_flow_it_is() -> None:
    found = zone.drops(
        {
            "drops": [
                ["86e2ea02", "9", 3, "priority=50,metadata=0x1", "ls_in_apply_port_sec", "1"],
                ["0", "0", 5, "priority=50000,icmp", "", ""],
                ["7766000000000001", "0", 1, "priority=60001,ipv6", "", ""],
                ["0", "0", 1, "priority=0", "", ""],
                ["86e2ea02", "9", 3, "priority=50,metadata=0x2", "ls_in_apply_port_sec", "1"],
            ]
        },
        {1},
    )
    assert [(each.packets, each.stage, each.is_foreign, each.is_weft) for each in found] == [
        (5, "", True, False),
        (3, "ls_in_apply_port_sec", False, False),
        (1, "", False, True),
        (1, "", False, False),
    ]


@pytest.mark.parametrize(
    "text", ["\n" * 200_000, "1. a (\n" * 30_000, "1. a (b): , priority 1\n" * 9_000, " " * 200_000]
)
def test_a_trace_is_read_in_the_time_that_its_length_needs(text: str) -> None:
    """A search that began anew at each line would take minutes."""
    found = zone.facts(answer(trace=text, datapath=text), PORTS)
    assert isinstance(found, NodeFacts)


@pytest.mark.parametrize("miss", ["No match.", 'No match, and a "packet-in" is called for.'])
def test_a_packet_for_which_there_is_no_flow_is_dropped_by_none(miss: str) -> None:
    """The flow before it, which sent it to that table, does what it should."""
    begun = "Flow: icmp\n\n 0. in_port=5, priority 100, cookie 0x1\n    resubmit(,8)\n"
    end = "    drop\n\nFinal flow: unchanged\nDatapath actions: drop\n"
    for last, match in (
        (f" 8. {miss}\n", ""),
        (f"68. {miss}\n 9. ip, priority 7, cookie 0x2\n", "ip, priority 7, cookie 0x2"),
    ):
        found = zone.facts(answer(datapath=begun + last + end), PORTS)
        assert isinstance(found, NodeFacts)
        assert found.datapath == Trace(reaches=False, match=match)


def test_a_trace_is_read_as_far_as_a_node_sends_it() -> None:
    """`onnode` cuts it there itself; who sends more is no agent."""
    found = zone.facts(answer(trace=" " * zone.MOST + f'output to "{PORTS[1]}"'), PORTS)
    assert isinstance(found, NodeFacts)
    assert found.trace == Trace(reaches=False)


@pytest.mark.parametrize("count", ["1e999", "[]", "null", '"x"', "NaN"])
def test_a_count_that_is_no_number_is_no_drop(count: str) -> None:
    assert zone.drops(json.loads(f'{{"drops": [["0", "0", {count}, "ip"]]}}'), ()) == ()
