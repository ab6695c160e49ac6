"""Which NICs of a running machine come, go and change by an edit of its template."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.objects import nic
from weft_lab.vm import hotplug, launcherpod, machine

Object = dict[str, Any]
LAN, RED = nic("lan", "blue"), nic("more", "red")
DOWN, ABSENT = nic("more", "red", state="down"), nic("more", "red", state="absent")
POD, GONE = nic("default", masquerade={}), nic("default", masquerade={}, state="absent")
MAC = nic("lan", "blue", macAddress="02:00:00:00:00:07")
BOTH = "domain, multus-status"


def spec(*nics: tuple[Object, Object], **fields: Any) -> Object:
    interfaces, networks = [one for one, _ in nics], [other for _, other in nics]
    return {"domain": {"devices": {"interfaces": interfaces}}, "networks": networks, **fields}


def instance(*nics: tuple[Object, Object], **sources: str) -> Object:
    """With a status that has an interface of each name with these sources."""
    shown = [{"name": name, "infoSource": text} for name, text in sources.items()]
    meta = {"name": "web", "namespace": "default", "uid": "u"}
    return {"metadata": meta, "spec": spec(*nics), "status": {"interfaces": shown}}


def named(found: Object) -> dict[str, str]:
    """State by interface; the networks are those of the interfaces."""
    states = {each["name"]: each.get("state", "") for each in hotplug.interfaces_of(found)}
    assert {each["name"] for each in hotplug.networks_of(found)} == set(states)
    return states


@pytest.mark.parametrize(
    ("template", "vmi", "expected"),
    [
        (spec(LAN), instance(LAN, lan=BOTH), {"lan": ""}),
        (spec(LAN, RED), instance(LAN, lan=BOTH), {"lan": "", "more": ""}),
        (spec(LAN, DOWN), instance(LAN, lan=BOTH), {"lan": "", "more": "down"}),
        (spec(LAN, ABSENT), instance(LAN, lan=BOTH), {"lan": ""}),
        (spec(LAN, POD), instance(LAN, lan=BOTH), {"lan": ""}),  # not while it runs
        (spec(LAN, DOWN), instance(LAN, RED, more=BOTH), {"lan": "", "more": "down"}),
        (spec(LAN, RED), instance(LAN, DOWN, more=BOTH), {"lan": "", "more": ""}),
        (spec(LAN, ABSENT), instance(LAN, RED, more=BOTH), {"lan": "", "more": "absent"}),
        # Until guest and pod have lost it; and who changed his mind waits for that.
        (
            spec(LAN, ABSENT),
            instance(LAN, ABSENT, more="multus-status"),
            {"lan": "", "more": "absent"},
        ),
        (spec(LAN, ABSENT), instance(LAN, ABSENT), {"lan": ""}),
        (spec(LAN, RED), instance(LAN, ABSENT, more=BOTH), {"lan": "", "more": "absent"}),
        # Out of the template without a word: it stays until the restart.
        (spec(LAN), instance(LAN, RED, more=BOTH), {"lan": "", "more": ""}),
        (spec(LAN, GONE), instance(LAN, POD), {"lan": "", "default": ""}),
    ],
)
def test_what_reaches_the_instance(template: Object, vmi: Object, expected: object) -> None:
    assert named(hotplug.synced(template, vmi)) == expected


def test_another_network_reaches_the_instance() -> None:
    found = hotplug.synced(spec(nic("lan", "red")), instance(LAN, lan=BOTH))
    assert [each["multus"]["networkName"] for each in hotplug.networks_of(found)] == ["red"]


def test_the_template_forgets_what_is_gone_from_the_instance() -> None:
    template = spec(LAN, ABSENT)
    assert named(hotplug.cleared(template, instance(LAN, ABSENT))) == {"lan": "", "more": "absent"}
    there = instance(LAN, more="multus-status")
    assert named(hotplug.cleared(template, there)) == {"lan": "", "more": "absent"}
    assert named(hotplug.cleared(template, instance(LAN))) == {"lan": ""}
    assert named(hotplug.cleared(template, None)) == {"lan": ""}


@pytest.mark.parametrize(("sources", "stays"), [(BOTH, True), ("multus-status", False)])
def test_the_pod_keeps_what_the_guest_still_has(sources: str, stays: bool) -> None:
    followed = hotplug.of_pod(instance(LAN, ABSENT, lan=BOTH, more=sources))
    names = [each["name"] for each in launcherpod.selection(followed)]
    assert names == (["blue", "red"] if stays else ["blue"])


@pytest.mark.parametrize(
    ("template", "vmi", "fields"),
    [
        (spec(LAN), instance(LAN), []),
        (spec(LAN, RED), instance(LAN), []),
        (spec(LAN, DOWN), instance(LAN, RED), []),
        (spec(LAN, ABSENT), instance(LAN, RED), []),
        (spec(LAN), instance(LAN, ABSENT), []),
        (spec(LAN), instance(LAN, RED), ["interfaces[more]"]),
        (spec(LAN, POD), instance(LAN), ["interfaces[default]"]),
        (spec(MAC), instance(LAN), ["interfaces[lan]"]),
        (spec(nic("lan", "red")), instance(LAN), []),
        (
            spec(nic("lan", "red")),
            instance(nic("lan", masquerade={})),
            ["interfaces[lan]", "networks[lan]"],
        ),
        (spec(LAN, GONE), instance(LAN, POD), ["interfaces[default].state"]),
        (spec(LAN, hostname="other"), instance(LAN), ["spec.template.spec"]),
    ],
)
def test_what_needs_a_restart(template: Object, vmi: Object, fields: list[str]) -> None:
    assert hotplug.needs_restart(template, vmi) == fields


def test_a_screen_that_nobody_asked_for_needs_no_restart() -> None:
    template = spec(LAN)
    started = instance(LAN)
    started["spec"] = machine.completed(started)
    assert started["spec"] != template
    assert hotplug.needs_restart(template, started) == []
    template["domain"]["devices"]["autoattachGraphicsDevice"] = True
    assert hotplug.needs_restart(template, started) == ["spec.template.spec"]


def test_who_no_longer_forbids_a_screen_has_one_after_a_restart() -> None:
    template = spec(LAN)
    template["domain"]["devices"]["autoattachGraphicsDevice"] = False
    started = instance(LAN)
    started["metadata"]["annotations"] = {machine.DISK_ANNOTATION: "/images/debian.qcow2"}
    started["spec"] = copy.deepcopy(template)
    assert hotplug.needs_restart(template, started) == []
    del template["domain"]["devices"]["autoattachGraphicsDevice"]
    assert hotplug.needs_restart(template, started) == ["spec.template.spec"]
    started["metadata"]["annotations"] = {}
    assert hotplug.needs_restart(template, started) == [], "the built-in guest has none anyway"


def test_a_nic_takes_its_mac_to_another_network() -> None:
    def element(name: str, **more: str) -> Object:
        return {"name": name, "namespace": "default", "interface": "pod1", **more}

    blue, red, mac = element("blue"), element("red"), {"pod1": "0a:58:0a:09:00:01"}
    moved = element("red", mac=mac["pod1"])
    assert hotplug.with_macs([blue], [blue], mac) == [blue]
    assert hotplug.with_macs([red], [blue], mac) == [moved]
    assert hotplug.with_macs([red], [moved], mac) == [moved], "for as long as it is there"
    own = element("red", mac="02:00:00:00:00:07")
    assert hotplug.with_macs([own], [blue], mac) == [own]
    assert hotplug.with_macs([red], [], mac) == [red]
