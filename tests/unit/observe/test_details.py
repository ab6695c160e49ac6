"""What Kubernetes objects add to a graph: free addresses, MTUs, and what guests report."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import declared
from tests.support import topology as rows
from weft import names
from weft.observe import details, topology
from weft.observe.graph import Graph, Network, Port
from weft.observe.members import Objects

MAC = "0a:58:00:00:00:01"  # of every port in these rows


def graph(address: str = "10.5.0.2") -> Graph:
    made = rows.zones(1)
    rows.add_layer2(made, "blue", {1: [("shop", "virt-launcher-db-x1y2z", address)]})
    return topology.build(rows.snapshots(made))


def nad_object(**config: Any) -> dict[str, Any]:
    """The NAD ns1/blue, as the cluster manager has accepted it."""
    made = declared.nad_object(declared.GOOD, **config)
    made["metadata"]["annotations"] = {names.NETWORK_NAME: "blue"}
    return made


def instance(*addresses: str, source: str = "domain, guest-agent", name: str = "db") -> Any:
    nic = {"mac": MAC.upper(), "ipAddresses": list(addresses), "infoSource": source}
    return {"metadata": {"namespace": "shop", "name": name}, "status": {"interfaces": [nic]}}


def network(objects: Objects) -> Network:
    (found,) = details.detailed(graph(), objects).networks
    return found


def port(*instances: Any) -> Port:
    made = details.detailed(graph(), Objects(instances=instances))
    (found,) = made.switches[0].ports
    return found


def test_free_addresses_are_those_that_can_still_be_given() -> None:
    found = network(Objects(nads=[nad_object(subnets="10.5.0.0/29", mtu=1380)]))
    # Of six hosts one has a port.
    assert (found.mtu, found.free) == (1380, 5)


def test_excluded_and_claimed_addresses_are_not_free() -> None:
    claim = {
        "metadata": {"namespace": "shop", "name": "db.net1"},
        "spec": {"network": "blue", "interface": "net1"},
        "status": {"ips": ["10.5.0.6/29", "10.5.0.2/29"]},
    }
    nad = nad_object(subnets="10.5.0.0/29", excludeSubnets="10.5.0.4/31")
    assert network(Objects(nads=[nad], claims=[claim])).free == 2


def test_nothing_is_reported_of_a_network_without_subnets_or_nad() -> None:
    assert network(Objects(nads=[nad_object()])).free is None
    assert network(Objects()).free is None


@pytest.mark.parametrize("broken", [{"subnets": "10.5.0.0/33"}, {"topology": "layer9"}])
def test_a_nad_that_cannot_be_read_tells_nothing(broken: dict[str, str]) -> None:
    assert network(Objects(nads=[nad_object(**broken)])).free is None


def state(name: str, *false: str, refused: int = 0) -> dict[str, Any]:
    """A Network object with these conditions false."""
    conditions = [
        {"type": each, "status": "False", "reason": each, "message": f"why {each}"}
        for each in false
    ]
    listed = [{"name": f"x/{n}", "accepted": False, "message": "refused"} for n in range(refused)]
    nads = "networkAttachmentDefinitions"
    status = {"network": name, "conditions": conditions, nads: listed}
    return {"metadata": {"name": name}, "status": status}


def test_what_is_wrong_with_a_network_stands_at_it() -> None:
    found = network(Objects(states=[state("blue", "Served", "UpToDate"), state("other")]))
    assert found.reasons == ("Served", "UpToDate")
    assert found.troubles == ("why Served", "why UpToDate")


def test_a_network_that_exists_nowhere_is_listed_if_something_is_wrong_with_it() -> None:
    found = details.detailed(graph(), Objects(states=[state("red", "Accepted"), state("fine")]))
    assert [each.name for each in found.networks] == ["blue"]
    assert [(each.name, each.troubles) for each in found.absent] == [("red", ("why Accepted",))]


def test_any_number_of_refused_nads_is_a_few_lines() -> None:
    found = network(Objects(states=[state("blue", refused=100)]))
    assert found.reasons == ()
    assert len(found.troubles) == details.MAX_TROUBLES + 1
    assert "95 more" in found.troubles[-1]


def test_a_guest_with_another_address_is_a_mismatch() -> None:
    found = port(instance("10.5.0.9", "fe80::1"))
    assert (found.reported, found.mismatch) == (("10.5.0.9",), True)


def test_a_guest_with_its_own_address_is_none() -> None:
    assert not port(instance("10.5.0.2")).mismatch
    assert not port().mismatch


def test_what_no_guest_agent_says_is_not_the_guests_word() -> None:
    assert port(instance("10.5.0.9", source="domain")).reported == ()


def test_a_machine_cannot_speak_for_another_by_its_mac() -> None:
    assert port(instance("10.5.0.9", name="other")).reported == ()


def test_what_a_guest_reports_has_a_limit_and_is_an_address() -> None:
    many = [f"10.6.{number}.1" for number in range(200)]
    found = port(instance("<script>", "10.5.0.9/24", *many)).reported
    assert len(found) == details.MAX_REPORTED
    assert "<script>" not in found
