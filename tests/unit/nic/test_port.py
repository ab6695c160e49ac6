"""A pod's OVS port as rows, and back."""

from ipaddress import ip_interface, ip_network

import pytest

from weft import model, names, rows
from weft.nic import plan, port

SPEC = model.NetworkSpec("blue", model.Topology.LAYER2, 1300, (ip_network("10.1.0.0/24"),))
ALLOCATION = model.Allocation(
    "0a:58:0a:01:00:02", (ip_interface("10.1.0.2/24"), ip_interface("fd01::2/64"))
)
OWNER = port.PortOwner(
    model.PodRef(model.ObjectKey("ns", "web"), "uid-1"),
    "abc",
    "/run/netns/abc",
    "blue",
    "ns/blue",
    "ns/blue",
)


def make(kind: plan.NicKind) -> tuple[plan.Nic, dict[str, rows.Row]]:
    nic = plan.plan(kind, "abc", "net1", SPEC, ALLOCATION)
    return nic, {row.table: row for row in port.desired(nic, OWNER)}


def stored(row: rows.Row, **more: rows.Value) -> dict[str, rows.Value]:
    """The row as the database would hold it."""
    found: dict[str, rows.Value] = {}
    for column, desired in row.columns.items():
        found[column] = desired.present if isinstance(desired, rows.MapEntries) else desired  # type: ignore[assignment]
    return {"ofport": frozenset(), "error": frozenset(), **found, **more}


def test_rows_say_whose_they_are() -> None:
    nic, made = make(plan.NicKind.INTERNAL)
    columns = stored(made["Interface"])
    ids = port.external_ids(columns)
    assert columns["type"] == "internal"
    assert columns["mtu_request"] == 1300
    assert ids["iface-id"] == names.logical_port("ns/blue", "ns", "web")
    assert ids["iface-id-ver"] == "uid-1"
    assert ids["ip_addresses"] == "10.1.0.2/24,fd01::2/64"
    bound = port.bound(columns)
    assert bound is not None
    assert (bound.device, bound.pod, bound.sandbox, bound.interface, bound.netns) == (
        nic.device,
        OWNER.pod,
        "abc",
        "net1",
        "/run/netns/abc",
    )
    assert made["Port"].parent == rows.Ref("Bridge", "br-int")


def test_a_veth_is_not_asked_of_vswitchd() -> None:
    columns = stored(make(plan.NicKind.VETH)[1]["Interface"])
    assert columns["type"] == ""
    assert columns["mtu_request"] == frozenset()


def test_ovn_controllers_own_keys_are_left_alone() -> None:
    desired = make(plan.NicKind.VETH)[1]["Interface"].columns["external_ids"]
    assert isinstance(desired, rows.MapEntries)
    assert names.OVN_INSTALLED not in desired.present
    assert not desired.absent


def test_strangers_are_not_ours() -> None:
    assert port.bound({"name": "x", "external_ids": {"iface-id": "vm1"}}) is None
    assert port.bound({"name": "x", "external_ids": {}}) is None


def test_what_vswitchd_and_ovn_answer() -> None:
    row = make(plan.NicKind.VETH)[1]["Interface"]
    assert port.number(stored(row)) == 0
    assert port.number(stored(row, ofport=4)) == 4
    assert port.failure(stored(row, error="no such device")) == "no such device"
    assert not port.failure(stored(row))
    assert not port.installed(stored(row))
    assert port.installed(stored(row, external_ids={"ovn-installed": "true"}))


@pytest.mark.parametrize(
    ("number", "error", "is_pending", "works"),
    [
        (frozenset(), frozenset(), True, False),
        (7, frozenset(), False, True),
        (-1, frozenset(), False, False),
        (frozenset(), "no such device", False, False),
        (7, "no such device", False, False),
    ],
)
def test_a_port_is_pending_until_the_switch_has_made_it_or_failed(
    number: rows.Value, error: rows.Value, is_pending: bool, works: bool
) -> None:
    row = make(plan.NicKind.VETH)[1]["Interface"]
    made = stored(row, ofport=number, error=error, external_ids={"ovn-installed": "true"})
    assert port.pending(made) == is_pending
    assert port.works(made) == works
    assert not port.works({**made, "external_ids": {}})


def bound(sandbox: str, interface: str, network: str = "blue", iface: str = "p") -> port.Bound:
    device = names.host_device(sandbox, interface)
    pod = model.PodRef(model.ObjectKey("ns", "web"), "u")
    return port.Bound(device, interface, sandbox, "", network, "ns/blue", iface, pod)


def test_a_newer_sandbox_takes_over_and_only_from_its_own_logical_port() -> None:
    old, new, other = bound("a", "net1"), bound("b", "net1"), bound("c", "net1", iface="q")
    assert port.rivals([old, new, other], "p", new.device) == [old.device]


def test_gc_stays_within_its_network() -> None:
    kept, gone = bound("a", "net1"), bound("a", "net2")
    other = bound("z", "net1", network="red")
    assert port.abandoned([kept, gone, other], "blue", [("a", "net1")]) == [gone]


def test_a_tag_that_somebody_set_would_cut_the_pod_off() -> None:
    _, made = make(plan.NicKind.VETH)
    there = made["Port"].columns
    assert [there[column] for column in ("tag", "trunks", "vlan_mode")] == [port.NOTHING] * 3
