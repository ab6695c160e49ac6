"""Virtual machines from manifest to guest in a whole lab: run, stop, restart, refuse, delete."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.support import labs
from lab.tests.support.labs import LabHouse
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
NAME = "machines"
NETWORK = """
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: flat, namespace: default}
spec:
  config: |2
    {
            "cniVersion": "0.3.1",
            "name": "flat",
            "type": "ovn-k8s-cni-overlay",
            "topology":"layer2",
            "netAttachDefName": "default/flat"
    }
---
"""
MACHINE = """
apiVersion: kubevirt.io/v1alpha3
kind: VirtualMachine
metadata: {{name: {name}}}
spec:
  runStrategy: Always
  template:
    spec:
      nodeSelector: {{kubernetes.io/hostname: {node}}}
      terminationGracePeriodSeconds: 5
      domain:
        devices:
          disks:
          - {{name: containerdisk, disk: {{bus: virtio}}}}
          - {{name: cloudinitdisk, disk: {{bus: virtio}}}}
          interfaces:
          - {{name: default, masquerade: {{}}}}
          - {{name: overlay, bridge: {{}}}}
          rng: {{}}
        machine: {{type: ""}}
        resources: {{requests: {{memory: 1024M}}}}
      networks:
      - {{name: default, pod: {{}}}}
      - {{name: overlay, multus: {{networkName: flat}}}}
      volumes:
      - {{name: containerdisk, containerDisk: {{image: "quay.io/x/fedora:1"}}}}
      - name: cloudinitdisk
        cloudInitNoCloud:
          networkData: |
            version: 2
            ethernets:
              eth1:
                addresses: [ {address}/24 ]
---
"""
INVALID = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: wrong}
spec:
  runStrategy: Always
  template:
    spec:
      domain: {devices: {interfaces: [{name: overlay, bridge: {}, macAddress: "zz"}]}}
      networks: [{name: overlay, multus: {networkName: flat}}]
"""


class Kubectl:
    """The real kubectl against the lab."""

    def __init__(self, program: str, kubeconfig: str) -> None:
        self._argv = [program, "--kubeconfig", kubeconfig]

    def __call__(self, *argv: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(
            [*self._argv, *argv], input=stdin, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def wait(self, target: str, condition: str) -> None:
        self("wait", target, f"--for={condition}", "--timeout=120s")

    def connected(self, *names: str) -> None:
        """Until the guests' agents answer."""
        for name in names:
            kind = 'jsonpath={.status.conditions[?(@.type=="AgentConnected")].status}=True'
            self.wait(f"vm/{name}", kind)

    def replaced(self, name: str, before: str) -> None:
        """Until the agent answers of another instance than that one; what the VM itself says may
        still be of the former."""
        form = 'jsonpath={.metadata.uid} {.status.conditions[?(@.type=="AgentConnected")].status}'
        argv = ("get", "vmi", "--watch", f"--field-selector=metadata.name={name}", "-o")
        watching = subprocess.Popen(
            [*self._argv, *argv, form + '{"\\n"}', "--request-timeout=120s"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert watching.stdout is not None
            changes = (line.split() for line in watching.stdout)
            assert any(words[0] != before and words[1:] == ["True"] for words in changes)
        finally:
            watching.kill()
            watching.wait()

    def json(self, *argv: str) -> Any:
        return json.loads(self("get", *argv, "-o", "json"))


@pytest.fixture(scope="module")
def house(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabHouse]:
    """One lab for all tests here: two nodes, a network, a machine on each."""
    with labs.running(NAME, 2, tmp_path_factory.mktemp("state"), toolchain) as (house, _):
        yield house


@pytest.fixture(scope="module")
def kubectl(house: LabHouse) -> Kubectl:
    kubeconfig = house.state / "weft" / NAME / "kubeconfig"
    run = Kubectl(house.tools.program("kubectl"), str(kubeconfig))
    one = MACHINE.format(name="one", node="node1", address="192.0.2.10")
    other = MACHINE.format(name="two", node="node2", address="192.0.2.20")
    run("apply", "-f", "-", stdin=NETWORK + one + other)
    run.connected("one", "two")
    return run


def vm(house: LabHouse, *argv: str) -> None:
    """`weft vm` on the lab of this module."""
    house.weft("vm", *argv, "--lab", NAME)


def test_a_manifest_becomes_a_guest_that_is_reported_of(kubectl: Kubectl) -> None:
    vmi = kubectl.json("vmi", "one")
    default, overlay = vmi["status"]["interfaces"]
    pod = kubectl.json("pods", "-l", "vm.kubevirt.io/name=one")["items"][0]
    assert overlay["ipAddress"] == "192.0.2.10"
    assert default["ipAddress"] == pod["status"]["podIP"]
    told = json.loads(pod["metadata"]["annotations"]["k8s.ovn.org/pod-networks"])
    assert told["default/flat"]["mac_address"] == overlay["mac"]
    assert vmi["status"]["guestOSInfo"]["id"] == "weft"
    assert pod["spec"]["nodeName"] == vmi["status"]["nodeName"] == "node1"
    events = kubectl("get", "events", "--field-selector", "involvedObject.name=one")
    assert "quay.io/x/fedora:1 is not on this machine" in events


def test_guests_on_two_nodes_reach_each_other(house: LabHouse, kubectl: Kubectl) -> None:
    command = "ping -c 3 -w 20 192.0.2.20\n"
    done = house.weft("lab", "console", "one", "--name", NAME, "--quiet", "8", stdin=command)
    assert "64 bytes from 192.0.2.20" in done.stdout


def test_listings_have_kubevirts_columns(kubectl: Kubectl) -> None:
    header, row, *_ = kubectl("get", "vm").splitlines()
    assert header.split() == ["NAME", "AGE", "STATUS", "READY"]
    assert row.split()[0::2] == ["one", "Running"]
    header, row, *_ = kubectl("get", "vmis").splitlines()
    assert header.split() == ["NAME", "AGE", "PHASE", "IP", "NODENAME", "READY"]


def test_stop_start_and_restart(house: LabHouse, kubectl: Kubectl) -> None:
    vm(house, "stop", "two")
    kubectl.wait("vm/two", "jsonpath={.status.printableStatus}=Stopped")
    assert not kubectl("get", "pods", "-l", "vm.kubevirt.io/name=two", "-o", "name")
    vm(house, "start", "default/two")
    kubectl.connected("two")
    before = kubectl.json("vmi", "two")["metadata"]["uid"]
    vm(house, "restart", "two")
    kubectl.replaced("two", before)


def test_a_killed_guest_is_started_again_and_the_reason_reported(
    house: LabHouse, kubectl: Kubectl
) -> None:
    kubectl.connected("one")
    before = kubectl.json("vmi", "one")["metadata"]["uid"]
    listed = house.run("node1", "busybox", "ps", "-o", "pid,args").stdout.splitlines()
    qemu = next(line.split()[0] for line in listed if "-name default_one" in line)
    house.run("node1", "busybox", "kill", "-9", qemu)
    kubectl.wait("vm/one", "jsonpath={.status.startFailure.consecutiveFailCount}=1")
    kubectl.replaced("one", before)
    assert "InstanceFailed" in kubectl("get", "events", "--field-selector", "reason=InstanceFailed")


def test_a_wrong_manifest_is_explained_and_harms_nothing(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=INVALID)
    kubectl.wait("vm/wrong", "jsonpath={.status.printableStatus}=Invalid")
    condition = next(
        one
        for one in kubectl.json("vm", "wrong")["status"]["conditions"]
        if one["type"] == "Failure"
    )
    assert "VirtualMachine default/wrong" in condition["message"]
    assert 'macAddress "zz": must be six pairs' in condition["message"]
    assert kubectl.json("vm", "one")["status"]["printableStatus"] == "Running"
    kubectl("delete", "vm", "wrong")


def test_deleting_waits_for_the_pod_and_leaves_nothing(house: LabHouse, kubectl: Kubectl) -> None:
    def left() -> list[str]:
        places = ("/run/netns", "/run/weft/vm")
        nodes = ("node1", "node2")
        return [house.run(node, "ls", place).stdout.strip() for node in nodes for place in places]

    assert all(left()), "a machine that runs has files on its node"
    kubectl("delete", "vm", "--all", "--timeout=60s")
    assert not kubectl("get", "vm,vmi,pods", "-o", "name")
    assert not any(left())
