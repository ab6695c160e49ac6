from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.tests.unit.vm import manifests
from weft_lab.vm import validation

TEMPLATE = "spec.template.spec."
DEVICES = TEMPLATE + "domain.devices."
BAD = [
    ("spec.runStrategy", "Sometimes", "spec.runStrategy", "Always, Halted"),
    ("spec.running", True, "spec.running", "excludes spec.runStrategy"),
    ("spec.runStrategy", None, "spec.runStrategy", "is required"),
    ("spec.template", None, "spec.template", "is required"),
    (TEMPLATE + "domain", None, "spec.domain", "is required"),
    (TEMPLATE + "networks.1", None, "interfaces[overlay]", "has no network of its name"),
    (DEVICES + "interfaces.1", None, "networks[overlay]", "has no interface of its name"),
    (TEMPLATE + "networks.1.name", "default", "networks[default]", "a second network"),
    (DEVICES + "interfaces.1.name", "default", "interfaces[default]", "a second interface"),
    (TEMPLATE + "networks.1.multus.networkName", "a/b/c", "networkName", "NetworkAttachment"),
    (TEMPLATE + "networks.1.multus.networkName", None, "networkName", "NetworkAttachment"),
    (TEMPLATE + "networks.1.multus.default", True, "multus.default", "not available"),
    (TEMPLATE + "networks.1.pod", {}, "networks[overlay]", "exactly one of pod and multus"),
    (TEMPLATE + "networks.1", {"name": "overlay", "pod": {}}, "networks", "only one network"),
    (TEMPLATE + "networks.0.pod", {"vmNetworkCIDR": "10.9.9.0/31"}, "vmNetworkCIDR", "four or"),
    (TEMPLATE + "networks.0.pod", {"vmNetworkCIDR": "fd00::/64"}, "vmNetworkCIDR", "an IPv4 net"),
    (TEMPLATE + "networks.0.pod", {"vmNetworkCIDR": "10.9.9.1;drop"}, "vmNetworkCIDR", "such as"),
    (TEMPLATE + "networks.0.pod", {"vmNetworkCIDR": "224.0.9.0/24"}, "vmNetworkCIDR", "hosts"),
    (TEMPLATE + "networks.0.pod", {"vmIPv6NetworkCIDR": 7}, "vmIPv6NetworkCIDR", "an IPv6 net"),
    (TEMPLATE + "networks.0.pod", "eth0", "networks[default].pod", "an object"),
    (DEVICES + "interfaces.1.masquerade", {}, "interfaces[overlay]", "one binding only"),
    (DEVICES + "interfaces.1", {"name": "overlay", "masquerade": {}}, "masquerade", "pod's own"),
    (DEVICES + "interfaces.1", {"name": "overlay", "sriov": {}}, "sriov", "not a binding"),
    (DEVICES + "interfaces.1.bridge", None, "interfaces[overlay]", "has no binding"),
    (DEVICES + "interfaces.1", {"name": "overlay", "binding": {"name": "x"}}, "binding.name", "no"),
    (TEMPLATE + "networks.1.multus", "blue", "networks[overlay].multus", "an object"),
    (TEMPLATE + "volumes.0", {"name": "root"}, "volumes[root]", "exactly one source"),
    (TEMPLATE + "volumes.0", {"name": "root", "hostDsk": {}}, "hostDsk", "not a kind of volume"),
    (
        TEMPLATE + "volumes.1.cloudInitNoCloud",
        {"userDataBase64": "!!"},
        "userDataBase64",
        "must be the base64 of a text",
    ),
    (DEVICES + "interfaces.1.macAddress", "02:00", "macAddress", "six pairs"),
    (DEVICES + "interfaces.1.macAddress", "03:00:00:00:00:01", "macAddress", "unicast"),
    (DEVICES + "interfaces.1.model", "ne9", "model", "must be one of"),
    (DEVICES + "interfaces.0.ports.0.port", 0, "ports[0].port", "1 to 65535"),
    (DEVICES + "interfaces", "eth0", "interfaces", "must be a list"),
    (DEVICES + "interfaces.1", {}, "interfaces[1]", "with a `name`"),
    (TEMPLATE + "volumes.0", None, "disks[root]", "has no volume of its name"),
    (TEMPLATE + "volumes.0.hostDisk", {}, "volumes[root]", "exactly one source"),
    (
        TEMPLATE + "volumes.0",
        {"name": "root", "hostDisk": {"path": "img"}},
        "hostDisk.path",
        "absolute",
    ),
    (
        TEMPLATE + "volumes.1.cloudInitNoCloud.userDataBase64",
        "eA==",
        "userDataBase64",
        "excludes userData",
    ),
    (TEMPLATE + "domain.resources.requests.memory", "lots", "requests.memory", "512Mi"),
    (TEMPLATE + "domain.resources.requests.memory", 0, "requests.memory", "above 0"),
    (TEMPLATE + "domain.memory", {"guest": "1GB"}, "memory.guest", "512Mi"),
    (TEMPLATE + "domain.cpu", {"cores": 0}, "cpu.cores", "from 1"),
    (TEMPLATE + "terminationGracePeriodSeconds", -1, "GracePeriodSeconds", "from 0"),
    (TEMPLATE + "hostname", "No Name", "hostname", "DNS label"),
    (TEMPLATE + "hostname", "a.b", "hostname", "DNS label"),
    (TEMPLATE + "volumes.0.name", "/tmp/x", "volumes[0].name", "DNS label"),
    (DEVICES + "disks.0.name", "x,share-rw=on", "disks[0].name", "DNS label"),
    (DEVICES + "disks.0.serial", "a,b", "disks[root].serial", "letters, digits"),
    (DEVICES + "interfaces.1.name", "a,id=b", "interfaces[1].name", "letters, digits"),
    (TEMPLATE + "networks.1.name", "a/b", "networks[1].name", "letters, digits"),
    (DEVICES + "interfaces.0.ports.0.port", True, "ports[0].port", "1 to 65535"),
    (DEVICES + "interfaces.0.ports.0.protocol", "tcp::1-:2,x", "ports[0].protocol", "TCP or UDP"),
    (DEVICES + "interfaces.0.ports.0", "80", "ports[0]", "an object"),
    (DEVICES + "interfaces.0.ports", "80", "ports", "must be a list"),
    (TEMPLATE + "volumes.0.containerDisk.image", "a b", "containerDisk.image", "name of an image"),
    (
        TEMPLATE + "volumes.0",
        {"name": "root", "hostDisk": {"path": "/img/../etc/shadow"}},
        "hostDisk.path",
        "without . and ..",
    ),
]  # fmt: skip


def test_a_good_manifest_has_no_findings() -> None:
    assert validation.machine_findings(manifests.machine()) == []
    assert validation.instance_findings(manifests.instance()) == []


@pytest.mark.parametrize(("path", "value", "field", "rule"), BAD, ids=lambda part: str(part)[:40])
def test_a_bad_field_is_named_with_value_and_rule(
    path: str, value: Any, field: str, rule: str
) -> None:
    findings = validation.machine_findings(manifests.bent(manifests.machine(), path, value))
    matching = [one for one in findings if field in one.field and rule in one.rule]
    assert matching, [str(one) for one in findings]
    assert str(matching[0]).startswith("VirtualMachine demo/web1: ")


@pytest.mark.parametrize(
    ("path", "value", "hint"),
    [
        ("spec.runStrategy", "always", "did you mean Always?"),
        (DEVICES + "interfaces.1", {"name": "overlay", "brigde": {}}, "did you mean bridge?"),
        (TEMPLATE + "volumes.0", {"name": "root", "hostdisk": {}}, "did you mean hostDisk?"),
        (TEMPLATE + "domain.memory", {"guest": "64MiB"}, "write 64Mi"),
    ],
)
def test_a_slip_is_asked_about(path: str, value: Any, hint: str) -> None:
    findings = validation.machine_findings(manifests.bent(manifests.machine(), path, value))
    assert hint in [one.hint for one in findings]


def test_one_address_on_two_cards_is_refused() -> None:
    vm = manifests.bent(
        manifests.machine(), DEVICES + "interfaces.0.macAddress", "02:00:00:aa:00:01"
    )
    (finding,) = validation.machine_findings(vm)
    assert "interface default" in finding.rule


WHATEVER = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
PLACES = st.sampled_from(sorted({path for path, *_ in BAD if "ports.0" not in path}))


@given(PLACES, WHATEVER.filter(lambda value: value is not None))
def test_nothing_that_a_user_writes_breaks_the_check(path: str, value: Any) -> None:
    try:
        vm = manifests.bent(manifests.machine(), path, value)
    except (KeyError, IndexError):
        return
    validation.machine_findings(vm)
