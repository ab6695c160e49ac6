from typing import Any

import pytest

from weft_lab.demos import machines, manifests, three_vms


def vmi(*, agent: bool, addresses: tuple[str, ...]) -> dict[str, Any]:
    interfaces = [
        {
            "name": name,
            "interfaceName": f"eth{place}",
            "mac": "0a:58:00:00:00:01",
            "ipAddresses": [address] if address else [],
        }
        for place, (name, address) in enumerate(zip(("default", "overlay"), addresses, strict=True))
    ]
    return {
        "metadata": {"namespace": "default", "name": "one"},
        "spec": {
            "domain": {
                "devices": {
                    "interfaces": [
                        {"name": "default", "masquerade": {}},
                        {"name": "overlay", "bridge": {}},
                    ]
                }
            }
        },
        "status": {
            "nodeName": "node1",
            "conditions": [{"type": "AgentConnected", "status": "True" if agent else "False"}],
            "interfaces": interfaces,
        },
    }


@pytest.mark.parametrize(
    ("agent", "addresses", "settled"),
    [
        (True, ("10.244.1.2", "10.100.200.1"), True),
        (True, ("10.244.1.2", ""), False),
        (True, ("10.244.1.2", "fe80::1"), False),
        (False, ("10.244.1.2", "10.100.200.1"), False),
    ],
)
def test_a_machine_is_settled_with_an_address_on_each_nic(
    agent: bool, addresses: tuple[str, ...], settled: bool
) -> None:
    assert machines.settled(vmi(agent=agent, addresses=addresses)) is settled


def test_a_machine_is_read_as_its_manifest_and_its_agent_tell() -> None:
    machine = machines.read(vmi(agent=True, addresses=("10.244.1.2", "10.100.200.1")))
    assert machine.key == "default/one"
    assert machine.address("overlay") == "10.100.200.1"
    assert machine.address("absent") == ""
    assert [nic.binding for nic in machine.nics] == ["masquerade", "bridge"]


def test_the_demo_knows_every_machine_of_its_manifests() -> None:
    objects = manifests.read(three_vms.NAME)
    vms = {
        f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
        for obj in objects
        if obj["kind"] == "VirtualMachine"
    }
    assert vms == {*three_vms.MEMBERS, three_vms.OUTSIDER}
    assert all(manifests.resource(obj) for obj in objects)
