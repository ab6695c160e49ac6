"""A virtual machine keeps addresses and MAC where its network says so, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.e2e.test_machines import Kubectl
from lab.tests.support import labs
from lab.tests.support.labs import LabHouse
from tests.support import objects
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
NAME = "identity"
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


def pod(kubectl: Kubectl, name: str) -> None:
    """It takes an address of both networks."""
    made = objects.pod(name, "kept,plain", terminationGracePeriodSeconds=0)
    kubectl("apply", "-f", "-", stdin=json.dumps(made))
    kubectl.wait(f"pod/{name}", "condition=Ready")


def given(kubectl: Kubectl) -> dict[str, Any]:
    """Address and MAC of each NIC, as the pod's annotation has them."""
    launcher = kubectl.json("pods", "-l", "vm.kubevirt.io/name=db")["items"][-1]
    entries = json.loads(launcher["metadata"]["annotations"]["k8s.ovn.org/pod-networks"])
    return {
        name: (entries[f"default/{name}"]["ip_address"], entries[f"default/{name}"]["mac_address"])
        for name in ("kept", "plain")
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


def test_a_deleted_machine_leaves_no_claim(kubectl: Kubectl) -> None:
    kubectl("delete", "vm", "db", "--timeout=120s")
    kubectl("wait", "ipamclaim/db.lan", "--for=delete", "--timeout=60s")
