import json
from ipaddress import ip_address
from typing import Any

import pytest

from tests.support.reach import member
from weft import errors
from weft.api import podports
from weft.model import ObjectKey
from weft.observe import members
from weft.observe.members import Objects
from weft.observe.reach import Member
from weft.observe.remembered import Kept
from weft.policy import netpolicy


def nad(name: str, network: str, namespace: str = "default") -> dict[str, Any]:
    notes = {"k8s.ovn.org/network-name": network} if network else {}
    return {"metadata": {"namespace": namespace, "name": name, "annotations": notes}}


def pod(
    name: str,
    networks: str,
    allocated: dict[str, Any],
    *,
    namespace: str = "default",
    labels: dict[str, str] | None = None,
    phase: str = "Running",
    ports: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": labels or {},
            "annotations": {
                "k8s.v1.cni.cncf.io/networks": networks,
                "k8s.ovn.org/pod-networks": json.dumps(allocated),
            },
        },
        "spec": {"nodeName": "node1", "containers": [{"name": "c", "ports": ports or []}]},
        "status": {"phase": phase},
    }


def entry(number: int, *addresses: str) -> dict[str, Any]:
    return {"mac_address": f"0a:58:00:00:00:{number:02x}", "ip_addresses": list(addresses)}


BLUE = Objects(
    nads=[nad("blue", "blue"), nad("same", "blue", "shop"), nad("new", "")],
    namespaces=[{"metadata": {"name": "default"}}, {"metadata": {"name": "shop"}}],
)


def on_blue(*pods: dict[str, Any], **more: Any) -> tuple[Member, ...]:
    found = Objects(BLUE.nads, BLUE.namespaces, pods, **more)
    return members.on("blue", found)


def test_members_are_pods_with_an_allocation_by_any_nad_of_the_network() -> None:
    found = on_blue(
        pod("b", "blue", {"default/blue": entry(2, "10.9.0.2/24", "fd09::2/64")}),
        pod("a", "shop/same", {"shop/same": entry(1, "10.9.0.1/24")}, labels={"app": "a"}),
        pod("waits", "blue", {}),
        pod("other", "red", {"default/red": entry(3)}),
        pod("ended", "blue", {"default/blue": entry(4)}, phase="Succeeded"),
        pod("early", "blue", {"default/blue": entry(5)}, phase="Pending"),
    )
    assert [(one.id, one.running) for one in found] == [
        ("default/a", True),
        ("default/b", True),
        ("default/early", False),
    ]
    assert found[0].endpoint.labels == {"app": "a"}
    assert found[1].endpoint.addresses == (ip_address("10.9.0.2"), ip_address("fd09::2"))
    assert (found[1].interface, found[1].mac) == ("net1", "0a:58:00:00:00:02")


def test_a_pod_that_is_on_the_network_twice_is_two_members() -> None:
    allocated = {"default/blue": entry(1, "10.9.0.1/24"), "default/blue/1": entry(2)}
    found = on_blue(pod("a", "blue@left,blue@right", allocated))
    assert [(one.id, one.name, one.interface) for one in found] == [
        ("default/a@left", "a@left", "left"),
        ("default/a@right", "a@right", "right"),
    ]
    assert len({one.pod for one in found}) == 1


def guest(name: str, *addresses: str, namespace: str = "default") -> dict[str, Any]:
    """A VirtualMachineInstance whose guest reports these addresses of its NIC."""
    nic = {"mac": "0A:58:00:00:00:01", "ipAddress": addresses[0], "ipAddresses": [*addresses]}
    meta = {"namespace": namespace, "name": name}
    return {"metadata": meta, "status": {"interfaces": [nic]}}


def launcher() -> dict[str, Any]:
    labels = {"vm.kubevirt.io/name": "vm1"}
    return pod("virt-launcher-vm1-abcde", "blue", {"default/blue": entry(1)}, labels=labels)


def test_a_machines_addresses_are_those_of_its_guest_where_none_were_allocated() -> None:
    (found,) = on_blue(launcher(), instances=[guest("vm1", "10.9.0.7/24")])
    assert (found.name, found.endpoint.addresses) == ("vm1", (ip_address("10.9.0.7"),))


def test_a_guest_speaks_for_its_own_machine_alone() -> None:
    own = guest("vm1", "10.9.0.7")
    others = [guest("vm1", "10.9.0.66", namespace="shop"), guest("vm2", "10.9.0.67")]
    (found,) = on_blue(launcher(), instances=[own, *others])
    assert found.endpoint.addresses == (ip_address("10.9.0.7"),)
    (found,) = on_blue(launcher(), instances=others)
    assert found.endpoint.addresses == ()


def test_what_a_guest_reports_that_is_no_address_is_passed_over() -> None:
    reported = guest("vm1", "no address", "fe80::1%x || ip", "10.9.0.7", "fe80::1")
    (found,) = on_blue(launcher(), instances=[reported])
    assert found.endpoint.addresses == (ip_address("10.9.0.7"), ip_address("fe80::1"))


def test_of_pods_that_are_not_kept_only_members_of_the_network_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Explain asks network by network: the pods of all others would be made each time."""
    made, ports = list[str](), podports.NamedPorts

    def counted(of: Any) -> podports.NamedPorts:
        made.append(of["metadata"]["name"])
        return ports(of)

    monkeypatch.setattr(podports, "NamedPorts", counted)
    nads = [nad("blue", "blue"), nad("red", "red")]
    pods = [
        pod("a", "blue", {"default/blue": entry(2, "10.9.0.2/24")}),
        pod("b", "red", {"default/red": entry(3, "10.9.0.3/24")}),
    ]
    assert [each.pod for each in members.on("red", Objects(nads=nads, pods=pods))]
    assert made == ["b"]
    kept = Objects(nads=nads, pods=[Kept(each) for each in pods])
    for network in ("red", "blue"):
        assert len(members.on(network, kept)) == 1
    assert made == ["b", "a", "b"], "each is made once, for both"


def test_named_ports_are_those_of_the_pod() -> None:
    ports = [{"name": "web", "containerPort": 8080}]
    (found,) = on_blue(pod("a", "blue", {"default/blue": entry(1)}, ports=ports))
    assert found.endpoint.named_ports == {(netpolicy.Protocol.TCP, "web"): 8080}


def test_a_network_is_meant_by_its_name_or_by_a_nad_of_it() -> None:
    known = members.networks(BLUE)
    assert known == {ObjectKey("default", "blue"): "blue", ObjectKey("shop", "same"): "blue"}
    assert members.choose("blue", "nowhere", known) == "blue"
    assert members.choose("same", "shop", known) == "blue"
    assert members.choose("shop/same", "default", known) == "blue"
    with pytest.raises(errors.InvalidInput, match=r"NETWORK \"same\".*networks: blue"):
        members.choose("same", "default", known)
    with pytest.raises(errors.InvalidInput, match="networks: none"):
        members.choose("blue", "default", {})


@pytest.mark.parametrize(
    ("own", "seen", "all_of_them"),
    [
        ((), ("10.9.0.5", "fe80::5"), ("10.9.0.5", "fe80::5")),
        (("10.9.0.1",), ("10.9.0.5", "fe80::5"), ("10.9.0.1",)),
        (("fe80::1",), ("fe80::1", "10.9.0.5"), ("fe80::1", "10.9.0.5")),
    ],
)
def test_what_is_seen_on_an_interface_counts_where_nothing_was_allocated(
    own: tuple[str, ...], seen: tuple[str, ...], all_of_them: tuple[str, ...]
) -> None:
    found = members.learned(member("a", *own), seen)
    assert [str(address) for address in found.endpoint.addresses] == list(all_of_them)


def test_policies_that_never_said_anything_are_not_in_force() -> None:
    good = {
        "metadata": {
            "namespace": "default",
            "name": "good",
            "annotations": {"k8s.v1.cni.cncf.io/policy-for": "blue"},
        },
        "spec": {"podSelector": {}},
    }
    broken = {"metadata": {"namespace": "default", "name": "broken"}, "spec": {}}
    found = members.in_force(Objects(policies=[good, broken]))
    assert [one.key for one in found] == [ObjectKey("default", "good")]


def test_annotations_of_any_length_are_read_and_long_ones_not_kept() -> None:
    made = pod("a", "blue", {"default/blue": entry(1, "10.9.0.1/24")})
    made["metadata"]["annotations"]["note"] = "x" * 10_000
    before = len(members._remembered)
    assert [each.id for each in on_blue(made)] == ["default/a"]
    assert len(members._remembered) == before
    made["metadata"]["annotations"]["note"] = f"short {before}"
    assert [each.id for each in on_blue(made)] == ["default/a"]
    assert len(members._remembered) == before + 1
