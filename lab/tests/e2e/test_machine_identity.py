"""A virtual machine keeps addresses and MAC where its network says so, and nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.e2e.test_machines import Kubectl
from lab.tests.support import labs
from lab.tests.support.lab_pods import pinging
from lab.tests.support.labs import LabHouse
from tests.support import objects
from tests.support.patience import PATIENCE, await_true
from weft_lab.runtime import daemons
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
NAME = "identity"
CUT, QEMU = "priority=60000", "-name default_db"
KEPT, PLAIN = "10.61.0.0/24", "10.62.0.0/24"
MACHINE = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: db}
spec:
  runStrategy: Always
  template:
    spec:
      terminationGracePeriodSeconds: 5
      domain:
        devices:
          disks: [{name: cloudinitdisk, disk: {bus: virtio}}]
          interfaces: [{name: lan, bridge: {}}, {name: other, bridge: {}}]
        resources: {requests: {memory: 128M}}
      networks:
      - {name: lan, multus: {networkName: kept}}
      - {name: other, multus: {networkName: plain}}
      volumes:
      - name: cloudinitdisk
        cloudInitNoCloud:
          networkData: |
            version: 2
            ethernets: {eth0: {dhcp4: true}, eth1: {dhcp4: true}}
"""


@pytest.fixture(scope="module")
def house(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabHouse]:
    with labs.running(NAME, 2, tmp_path_factory.mktemp("state"), toolchain) as (house, _):
        yield house


@pytest.fixture(scope="module")
def kubectl(house: LabHouse) -> Kubectl:
    kubeconfig = house.state / "weft" / NAME / "kubeconfig"
    run = Kubectl(house.tools.program("kubectl"), str(kubeconfig))
    kept = objects.nad("kept", KEPT, allowPersistentIPs=True, persistentIPs="vm")
    plain = objects.nad("plain", PLAIN, allowPersistentIPs=True)
    for each in (kept, plain):
        run("apply", "-f", "-", stdin=json.dumps(each))
    run("apply", "-f", "-", stdin=MACHINE)
    run.connected("db")
    return run


def pod(kubectl: Kubectl, name: str, node: str = "node2") -> str:
    """It takes an address of both networks; returns that of the first."""
    made = objects.pod(name, "kept,plain", terminationGracePeriodSeconds=0, nodeName=node)
    kubectl("apply", "-f", "-", stdin=json.dumps(made))
    kubectl.wait(f"pod/{name}", "condition=Ready")
    notes = kubectl.json("pod", name)["metadata"]["annotations"]
    entry = json.loads(notes["k8s.ovn.org/pod-networks"])["default/kept"]
    return str(entry["ip_address"]).partition("/")[0]


def running(kubectl: Kubectl, name: str = "db") -> Any:
    """The pod in which a machine runs."""
    phase = "--field-selector=status.phase=Running"
    (launcher,) = kubectl.json("pods", "-l", f"vm.kubevirt.io/name={name}", phase)["items"]
    return launcher


def given(kubectl: Kubectl, name: str = "db") -> dict[str, Any]:
    """Address and MAC of each NIC, as the pod's annotation has them."""
    entries = json.loads(
        running(kubectl, name)["metadata"]["annotations"]["k8s.ovn.org/pod-networks"]
    )
    return {
        nad: (entries[f"default/{nad}"]["ip_address"], entries[f"default/{nad}"]["mac_address"])
        for nad in ("kept", "plain")
    }


def test_a_machine_keeps_what_its_network_keeps(house: LabHouse, kubectl: Kubectl) -> None:
    first = given(kubectl)
    claim = kubectl.json("ipamclaim", "db.lan")
    assert claim["status"]["ips"] == [first["kept"][0]]
    house.weft("vm", "stop", "db", "--lab", NAME)
    kubectl.wait("vm/db", "jsonpath={.status.printableStatus}=Stopped")
    pod(kubectl, "peer")
    house.weft("vm", "start", "db", "--lab", NAME)
    kubectl.connected("db")
    started = given(kubectl)
    assert started["kept"] == first["kept"]
    assert started["plain"] != first["plain"], "the control: nothing keeps that one"
    before = kubectl.json("vmi", "db")["metadata"]["uid"]
    house.weft("vm", "restart", "db", "--lab", NAME)
    kubectl.replaced("db", before)
    assert given(kubectl)["kept"] == first["kept"]
    address, mac = first["kept"]
    lan = next(each for each in kubectl.json("vmi", "db")["status"]["interfaces"])
    assert lan["mac"] == mac
    house.reach("default/peer", address.partition("/")[0])


def node(kubectl: Kubectl) -> str:
    return str(kubectl.json("vmi", "db")["status"]["nodeName"])


def migrate(house: LabHouse, kubectl: Kubectl) -> None:
    house.weft("vm", "migrate", "db", "--lab", NAME)
    source = kubectl.json("vmi", "db")["status"]["migrationState"]["sourcePod"]
    kubectl("wait", f"pod/{source}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")


def test_a_machine_migrates_with_all_that_it_has(house: LabHouse, kubectl: Kubectl) -> None:
    """There and back, and with what nothing keeps over a restart, too."""
    before, source = given(kubectl), node(kubectl)
    migrate(house, kubectl)
    assert node(kubectl) != source
    assert given(kubectl) == before
    migrate(house, kubectl)
    assert node(kubectl) == source
    assert given(kubectl) == before


def processes(house: LabHouse, *words: str) -> set[str]:
    """The pids of a lab's processes with one of these words in their command lines."""
    listed = house.run("node1", "busybox", "ps", "-o", "pid,args").stdout.splitlines()
    return {line.split()[0] for line in listed if any(each in line for each in words)}


def test_the_machine_of_a_lost_node_is_itself_elsewhere_and_no_other_answers_for_it(
    house: LabHouse, kubectl: Kubectl
) -> None:
    """Its first guest runs on behind a cut underlay, with nobody to stop it."""
    if node(kubectl) != "node1":
        migrate(house, kubectl)
    before, uid = given(kubectl), kubectl.json("vmi", "db")["metadata"]["uid"]
    address = before["kept"][0].partition("/")[0]
    far = pod(kubectl, "far", "node1")
    house.reach("default/peer", address)
    agents, guest = processes(house, "{node1/agent}", "{node1/kubelet}"), processes(house, QEMU)
    assert (len(agents), len(guest)) == (2, 1)
    cut = daemons.UNDERLAY_BRIDGE
    house.run("node1", "busybox", "kill", "-STOP", *agents)
    try:
        house.run("node1", "ovs-ofctl", "add-flow", cut, f"{CUT},actions=drop")
        kubectl("cordon", "node1")
        assert house.is_deaf("default/peer", address), "the node is not lost"
        launcher = running(kubectl)["metadata"]["name"]
        kubectl("delete", "pod", launcher, "--force", "--grace-period=0")
        kubectl.replaced("db", uid)
        assert given(kubectl)["kept"] == before["kept"]
        assert given(kubectl)["plain"] != before["plain"], "the control"
        house.reach("default/peer", address)
        with pinging(house, "peer", address) as pings:
            house.run("node1", "ovs-ofctl", "--strict", "del-flows", cut, CUT)
            house.reach("default/peer", far)
            assert guest < processes(house, QEMU), "both guests run, and both are reached"
            house.run("node1", "busybox", "kill", "-CONT", *agents)
            end = time.monotonic() + PATIENCE
            while guest & processes(house, QEMU):
                assert time.monotonic() < end, "the first guest is never stopped"
    finally:
        house.run("node1", "busybox", "kill", "-CONT", *agents)
        kubectl("uncordon", "node1")
    assert pings.sent > 20
    assert (pings.lost, pings.doubled) == ((), 0)


def test_a_claim_passes_from_machine_to_machine(house: LabHouse, kubectl: Kubectl) -> None:
    kept = given(kubectl)["kept"]
    heir = MACHINE.replace("name: db", "name: heir").replace(
        "  template:\n",
        "  template:\n    metadata:\n      annotations:\n"
        """        weft/ipam-claims: '{"lan": "db.lan"}'\n""",
    )
    kubectl("apply", "-f", "-", stdin=heir)
    selector = "--field-selector=reason=MachineClaimRefused,involvedObject.name=heir"
    kubectl("wait", "event", selector, "--for=jsonpath={.type}=Warning", "--timeout=60s")
    assert "weft/transfer-to=heir" in kubectl("get", "events", selector)
    kubectl("wait", "vm/heir", "--for=condition=weft/IdentityConflict", "--timeout=60s")
    kubectl("annotate", "ipamclaim", "db.lan", "weft/transfer-to=heir")
    house.weft("vm", "stop", "db", "--lab", NAME)
    kubectl.connected("heir")
    assert given(kubectl, "heir")["kept"] == kept
    listed = "jsonpath={.status.conditions[*].type}"
    await_true(lambda: "weft/" not in kubectl("get", "vm", "heir", "-o", listed), "it is told of")
    house.reach("default/peer", kept[0].partition("/")[0])


def test_deleted_machines_leave_no_claim(kubectl: Kubectl) -> None:
    kubectl("delete", "vm", "db", "heir", "--timeout=120s")
    kubectl("wait", "ipamclaim", "--all", "--for=delete", "--timeout=60s")
