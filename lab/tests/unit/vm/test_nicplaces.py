"""Where the NICs of a machine sit, as a migration's target is told."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.objects import nic, vmi
from weft_lab.vm import launcherpod, machine, nicplaces, qemu

LAN, MORE = (machine.Nic(name, "bridge", "default/red") for name in ("lan", "more"))


def test_a_machine_that_starts_has_each_nic_in_a_port_of_its_own() -> None:
    places = nicplaces.at_start((LAN, MORE))
    assert places.buses == {"lan": "port0", "more": "port1"}
    assert nicplaces.annotation(places, (LAN, MORE)) is None
    assert nicplaces.of_annotations({}, (LAN, MORE)) == places


@pytest.mark.parametrize(
    "buses",
    [{"lan": "port0", "more": "spare1"}, {"more": "spare0"}, {"more": "port0", "lan": "spare2"}],
    ids=["plugged", "the first one is gone", "in another order"],
)
def test_places_that_are_others_are_written_and_read_again(buses: dict[str, str]) -> None:
    places = nicplaces.Places(1, buses)
    text = nicplaces.annotation(places, (LAN, MORE))
    assert text is not None
    assert nicplaces.of_annotations({nicplaces.ANNOTATION: text}, (LAN, MORE)) == places


@pytest.mark.parametrize("text", ["[" * 8000, '{"buses":' * 800, "ports", "\ud800"])
def test_an_annotation_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        nicplaces.of_annotations({nicplaces.ANNOTATION: text}, (LAN,))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"ports": 1},
        {"ports": True, "buses": {}},
        {"ports": 65, "buses": {}},
        {"ports": 1, "buses": {"lan": "port1"}},
        {"ports": 1, "buses": {"lan": "spare3"}},
        {"ports": 1, "buses": {"lan": "port00"}},
        {"ports": 1, "buses": {"lan": "pcie.0"}},
        {"ports": 1, "buses": {"lan": "port0,x=y"}},
        {"ports": 1, "buses": {"lan": "spare0", "more": "spare0"}},
        {"ports": 1, "buses": {"lan": 0}},
        {"ports": 64, "buses": {f"n{n}": "port0" for n in range(65)}},
    ],
)
def test_places_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|one port"):
        nicplaces.parse(value)
    text = json.dumps(value)
    with pytest.raises(ValueError, match=r"expected|one port"):
        nicplaces.of_annotations({nicplaces.ANNOTATION: text}, (LAN,))
    with pytest.raises(ValueError, match="longer"):
        nicplaces.of_annotations({nicplaces.ANNOTATION: "{" * 9000}, (LAN,))


def ports_of(launch: qemu.Launch) -> list[tuple[str, str]]:
    """The root ports in the order of the command line, each with the card that sits in it."""
    words = qemu.arguments(launch)
    pairs = itertools.pairwise(words)
    devices = [json.loads(after) for word, after in pairs if word == "-device"]
    cards = {each["bus"]: each["mac"] for each in devices if "mac" in each}
    ports = [each["id"] for each in devices if each["driver"] == "pcie-root-port"]
    assert set(cards) <= set(ports)
    return [(port, cards.get(port, "")) for port in ports]


def test_the_target_has_the_ports_of_the_source_in_the_same_order() -> None:
    """What the source plugged and unplugged since it started changes no other device's place."""
    sockets = tuple((name, 10 + at) for at, name in enumerate(qemu.SOCKETS))
    drives = (qemu.Drive("/x.iso", read_only=True),)

    def launch(*cards: qemu.Card) -> qemu.Launch:
        rest = {"sockets": sockets, "drives": drives, "console": 9, "ports": 2}
        return qemu.Launch("vm", 1 << 28, 1, "tcg", cards, **rest)  # type: ignore[arg-type]

    first = qemu.Card("02:00:00:00:00:01", "tap1", bus="port0")
    second = qemu.Card("02:00:00:00:00:02", "tap2", bus="port1")
    later = qemu.Card("02:00:00:00:00:03", "tap3", bus="spare1")
    before = ports_of(launch(first, second))
    after = ports_of(launch(later, second))
    assert [port for port, _ in before] == [port for port, _ in after]
    assert before == [("port0", first.mac), ("port1", second.mac), ("spare0", ""), ("spare1", "")]
    assert after == [("port0", ""), ("port1", second.mac), ("spare0", ""), ("spare1", later.mac)]


def test_a_target_pod_has_the_nics_that_the_guest_has_now() -> None:
    """One that was plugged, one on another network than it started on, one that is to go."""
    made = vmi("vm", nic("lan", "blue"), nic("more", "red"), nic("old", "red", state="absent"))
    made["metadata"] |= {"uid": "u", "annotations": {nicplaces.ANNOTATION: "{}"}}
    made["status"] = {
        "interfaces": [
            {"name": "more", "podInterfaceName": machine.pod_interface("more"), "mac": "aa"},
            {"name": "old", "infoSource": "domain, multus-status"},
        ]
    }
    moved = {"metadata": {"name": "m", "uid": "m1"}, "spec": {}}
    now = [{"name": "red", "namespace": "default", "interface": machine.pod_interface("more")}]
    now[0]["mac"] = "02:00:00:00:00:07"
    pod = launcherpod.render_target(made, moved, json.dumps(now), str(Path("python")))
    listed = json.loads(pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"])
    assert [each["name"] for each in listed] == ["blue", "red", "red"]
    assert listed[1]["mac"] == "02:00:00:00:00:07"
    brought = json.loads(pod["spec"]["containers"][0]["env"][0]["value"])
    assert [each.name for each in machine.read(brought).nics] == ["lan", "more", "old"]
    assert brought["metadata"]["annotations"] == {nicplaces.ANNOTATION: "{}"}


def test_a_seed_knows_the_nics_of_the_start_alone() -> None:
    first = nicplaces.Places(2, {"a": "port0", "b": "port1"})
    macs = {"a": "02:00:00:00:00:0a", "b": "02:00:00:00:00:0b", "c": "02:00:00:00:00:0c"}
    at_start = nicplaces.macs_at_start(first, macs)
    assert at_start == [macs["a"], macs["b"]]
    plugged = nicplaces.Places(2, {"c": "spare0", "a": "port0", "b": "port1"})
    assert nicplaces.macs_at_start(plugged, macs) == at_start
    unplugged = nicplaces.Places(2, {"b": "port1"})
    assert nicplaces.macs_at_start(unplugged, macs) == ["", macs["b"]]
