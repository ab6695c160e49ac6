"""What nodes see of flows, and the objects beside it, for tests of `weft flows`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support import objects
from weft import names
from weft.observe.flows.collect import Question, made
from weft.observe.flows.record import Evidence, Report
from weft.observe.flows.sighting import Look, Side, Sighting, ZonePort
from weft.observe.members import Objects

AT = 1_796_000_000.0


def zone_port(name: str, number: int, network: str = "blue", *, here: bool = True) -> ZonePort:
    """A port of a network with both families; the same number has the same addresses on each."""
    own = f"10.1.0.{number}", f"fd01::{number}"
    mac = f"0a:58:0a:01:00:{number:02x}"
    return ZonePort(f"{network}_{name}", network, f"default/{name}", mac, own, here)


def pod(name: str, number: int, node: str, *networks: str, **labels: str) -> dict[str, Any]:
    """The pod of such ports."""
    found = objects.pod(name, ",".join(networks or ("blue",)), node=node, labels=labels or None)
    entry = {
        "ip_addresses": [f"10.1.0.{number}/24", f"fd01::{number}/64"],
        "mac_address": f"0a:58:0a:01:00:{number:02x}",
    }
    held = {f"default/{network}": entry for network in networks or ("blue",)}
    found["metadata"]["annotations"][names.POD_NETWORKS] = json.dumps(held)
    return {**found, "status": {"phase": "Running"}}


def nad(network: str) -> dict[str, Any]:
    found = objects.nad(network)
    found["metadata"]["annotations"] = {names.NETWORK_NAME: network}
    return found


def world(*policies: dict[str, Any], pods: tuple[dict[str, Any], ...] = ()) -> Objects:
    """Networks blue and red, pods a (node1), b and c (node2), and policies."""
    usual = (
        pod("a", 1, "node1", "blue", "red", app="a"),
        pod("b", 2, "node2", "blue", "red", app="b"),
        pod("c", 3, "node2", "blue", app="c"),
    )
    return Objects(
        nads=[nad("blue"), nad("red")],
        namespaces=[objects.namespace("default")],
        pods=[*usual, *pods],
        policies=policies,
    )


def tracked(
    source: str,
    target: str,
    at: str,
    *,
    port: int | None = 80,
    protocol: str = "TCP",
    network: str = "blue",
    passes: bool | None = True,
    **more: Any,
) -> Sighting:
    """A connection between addresses of blue (".1", "::2"), tracked at a pod's port."""
    own = {"a": 1, "b": 2, "c": 3}
    ends = [_side(text, f"{network}_{at}", own.get(at, 0)) for text in (source, target)]
    return Sighting(
        evidence=Evidence.CONNECTION,
        network=network,
        source=ends[0],
        target=ends[1],
        passes=passes,
        family=6 if ":" in ends[1].address else 4,
        protocol=protocol,
        port=port,
        at=f"{network}_{at}",
        **{"connections": 1, "last": AT, **more},
    )


def _side(text: str, port: str, own: int) -> Side:
    address = {".": f"10.1.0{text}", ":": f"fd01{text}"}.get(text[0], text)
    is_own = text in (f".{own}", f"::{own}")
    return Side(port if is_own else "", address)


def switched(
    source: Side, target: Side, *, passes: bool, network: str = "blue", **more: Any
) -> Sighting:
    """A flow of the switch."""
    return Sighting(Evidence.SWITCH, network, source, target, passes, **{"last": AT - 1, **more})


def report(
    found: Objects,
    seen: Mapping[str, tuple[Sighting, ...]],
    question: Question | None = None,
    partial: Mapping[str, frozenset[str]] | None = None,
) -> Report:
    """What is made of it, where node1 has a's ports, and node2 those of b and c."""
    here = {"node1": ("a",), "node2": ("b", "c")}
    looks = {
        node: Look(
            AT,
            tuple(
                zone_port(name, number, network, here=name in here[node])
                for network in ("blue", "red")
                for number, name in enumerate(("a", "b", "c"), 1)
                if (network, name) != ("red", "c")
            ),
            sightings,
        )
        for node, sightings in seen.items()
    }
    return made(looks, found, question or Question(), AT, partial or {})
