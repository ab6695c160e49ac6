from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_interface

from weft import model, rows
from weft.ovn import qos

HOME = rows.Ref("Logical_Switch", "blue_ovn_layer2_switch")
FAST, SLOW = model.Rate(10_000_000), model.Rate(64_000, 1600)


def port(bandwidth: model.Bandwidth) -> model.Port:
    return model.Port(
        model.PodRef(model.ObjectKey("default", "web"), "u"),
        "default/blue",
        model.ObjectKey("default", "blue"),
        "blue",
        "node1",
        model.Allocation(
            "0a:58:0a:01:00:05",
            (ip_interface("10.1.0.5/24"),),
            11,
            nic=model.NicOptions(bandwidth),
        ),
    )


def spec(bandwidth: model.Bandwidth | None = None) -> model.NetworkSpec:
    nic = model.NicOptions(bandwidth or model.Bandwidth())
    return model.NetworkSpec("blue", model.Topology.LAYER2, 1300, nic=nic)


def test_a_port_without_limits_has_no_rows() -> None:
    assert qos.of_port(spec(), port(model.Bandwidth()), HOME) == ()


def test_each_direction_has_a_row_on_the_ports_switch() -> None:
    ingress, egress = qos.of_port(spec(), port(model.Bandwidth(SLOW, FAST)), HOME)
    assert ingress.columns["direction"] == "to-lport"
    assert ingress.columns["match"] == 'outport == "default.blue_default_web"'
    assert egress.columns["direction"] == "from-lport"
    assert egress.columns["match"] == 'inport == "default.blue_default_web"'
    assert egress.columns["bandwidth"] == {"rate": 10_000, "burst": 10_000}
    assert egress.parent == HOME
    assert qos.port_of(egress.key) == "default.blue_default_web"
    assert ingress.key != egress.key


def test_the_pods_limit_replaces_the_networks_in_its_direction() -> None:
    network = spec(model.Bandwidth(SLOW, SLOW))
    ingress, egress = qos.of_port(network, port(model.Bandwidth(egress=FAST)), HOME)
    assert ingress.columns["bandwidth"] == {"rate": 64, "burst": 524}
    assert egress.columns["bandwidth"] == {"rate": 10_000, "burst": 10_000}


def test_a_burst_lets_at_least_a_second_and_one_large_packet_pass() -> None:
    assert qos.burst(SLOW) == 8 * 65536
    assert qos.burst(FAST) == 10_000_000
    assert qos.burst(model.Rate(1_000_000, 3_000_000)) == 3_000_000


def test_what_ovn_cannot_count_is_the_most_that_it_can() -> None:
    (row,) = qos.of_port(spec(), port(model.Bandwidth(egress=model.Rate(10**15))), HOME)
    assert row.columns["bandwidth"] == {"rate": 2**32 - 1, "burst": 2**32 - 1}


def test_nothing_in_a_name_ends_the_name() -> None:
    name = 'x" || ip || outport == "x'
    limited = port(model.Bandwidth(SLOW))
    pod = model.PodRef(model.ObjectKey("default", name), "u")
    limited = replace(limited, pod=pod)
    (row,) = qos.of_port(spec(), limited, HOME)
    end, _, text = str(row.columns["match"]).partition(" == ")
    assert (end, json.loads(text)) == ("outport", f"default.blue_default_{name}")
