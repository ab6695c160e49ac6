"""A virtual machine of a disk image, with its own system, boot loader and cloud-init."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.tests.support import debianimage, labs
from lab.tests.support.lab_pods import Kubectl
from tests.support.objects import nad, pod, vmi
from tests.support.patience import await_true
from weft.kube import client, resources
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
LAB = "diskimage"
PATIENCE = 1200  # seconds: an emulated processor boots systemd, and Python runs cloud-init
MAC, ADDRESS = "02:00:00:0d:eb:01", "10.9.0.77"
# By the kernel's log: it is printed even while a login prompt takes the console for itself.
USER_DATA = """#cloud-config
hostname: named-by-cloud-init
users: [{name: ada, uid: 1815}]
write_files:
- {path: /etc/note, content: a-note}
runcmd:
- [sh, -c, 'echo "<2>cloud-init: $(. /etc/os-release; echo $ID) $(hostname) $(id -u ada) $(cat /etc/note)" >/dev/kmsg']
"""  # noqa: E501
WORDS = "cloud-init: debian named-by-cloud-init 1815 a-note"
NETWORK_DATA = f"""
version: 2
ethernets:
  any: {{match: {{macaddress: "{MAC}"}}, set-name: eth1, dhcp4: true}}
"""

BY_AGENT = """
import asyncio, sys
from pathlib import Path
from weft_lab.vm.agentclient import Agent

async def main(folder, command):
    async with Agent(Path(folder) / "agent.sock", deadline=120) as agent:
        done = await agent.execute("/bin/sh", "-c", command)
    print(done.text, end="")
    sys.exit(done.status)

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass(frozen=True)
class Booted:
    house: labs.LabHouse
    kubeconfig: str
    kubectl: Kubectl

    def status(self) -> dict[str, Any]:
        found = json.loads(self.kubectl("get", "vmi", "cloud", "-o", "json"))
        return dict(found["status"])

    def prints(self, words: str) -> None:
        """Wait until the guest has printed them, on whichever node it did."""
        log = "/run/weft/vm/default_cloud/console.log"
        script = f"until grep -q '{words}' {log}; do sleep 0.5; done 2>&-; echo seen"
        node = self.status()["nodeName"]
        argv = ("busybox", "timeout", str(PATIENCE), "sh", "-c", script)
        seen = self.house.run(node, *argv, check=False)
        assert seen.stdout == "seen\n", self.house.run(node, "tail", "-c", "3000", log).stdout

    def runs(self, command: str) -> str:
        """In the guest, by its agent; it must succeed."""
        folder = "/run/weft/vm/default_cloud"
        node = self.status()["nodeName"]
        return self.house.run(node, sys.executable, "-c", BY_AGENT, folder, command).stdout

    def shows(self, path: str, value: str) -> None:
        expected = f"--for=jsonpath={{{path}}}={value}"
        self.kubectl("wait", "vmi/cloud", expected, f"--timeout={PATIENCE}s")


@pytest.fixture(scope="module")
def booted(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Booted]:
    image = debianimage.ensure()
    before = image.stat()
    state = tmp_path_factory.mktemp("state")
    with labs.running(LAB, 2, state, toolchain, disks=(str(image.parent),)) as (house, kubeconfig):
        kubectl = Kubectl(house, kubeconfig)
        kubectl.apply(nad("blue", subnets="10.9.0.0/24"))
        nic = {"name": "net", "bridge": {}, "macAddress": MAC}
        network = {"name": "net", "multus": {"networkName": "blue"}}
        seed = {"cloudInitNoCloud": {"userData": USER_DATA, "networkData": NETWORK_DATA}}
        memory = {"memory": {"guest": "512Mi"}}
        machine = vmi("cloud", (nic, network), disks={"seed": seed}, domain=memory)
        machine["metadata"]["annotations"] = {
            "lab.weft/disk-image": str(image),
            "network.kubevirt.io/addresses": json.dumps({"net": [ADDRESS]}),
        }
        kubectl.apply(machine, pod("peer", networks="blue"))
        kubectl("wait", "vmi/cloud", "--for=jsonpath={.status.phase}=Running", "--timeout=120s")
        found = Booted(house, kubeconfig, kubectl)
        found.prints(WORDS)
        kubectl("wait", "vmi/cloud", "--for=condition=AgentConnected", f"--timeout={PATIENCE}s")
        found.shows(".status.interfaces[0].ipAddress", ADDRESS)
        yield found
    after = image.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_a_debian_image_boots_and_cloud_init_does_all(booted: Booted) -> None:
    booted.shows(".status.interfaces[0].interfaceName", "eth1")
    status = booted.status()
    assert status["guestOSInfo"]["id"] == "debian"
    assert status["interfaces"][0]["mac"] == MAC
    booted.house.reach("default/peer", ADDRESS)
    events = booted.kubectl("get", "events", "--field-selector=involvedObject.name=cloud")
    assert "BuiltInGuest" not in events


def test_its_file_systems_are_frozen_and_thawed(booted: Booted) -> None:
    async def order(verb: str, **body: str) -> None:
        path = resources.VMI_CONSOLES.path("default", "cloud", verb)
        async with client.Client.from_kubeconfig(booted.kubeconfig) as api:
            await api.act(path, "cloud", body)

    asyncio.run(order("freeze", unfreezeTimeout="0s"))
    booted.shows(".status.fsFreezeStatus", "frozen")
    asyncio.run(order("unfreeze"))
    booted.runs("touch /root/thawed && sync")
    asyncio.run(order("freeze", unfreezeTimeout="2s"))
    booted.shows(".status.fsFreezeStatus", "frozen")
    await_true(lambda: "fsFreezeStatus" not in booted.status(), "it thaws by itself")
    booted.runs("touch /root/thawed-again && sync")


def test_it_moves_with_what_it_has_written(booted: Booted) -> None:
    """Its disk is a layer of its own above the image: the target has the image alone."""
    before = booted.status()["nodeName"]
    boot = booted.runs("cat /proc/sys/kernel/random/boot_id")
    booted.runs("dd if=/dev/urandom of=/root/mine bs=1M count=16 && sync")
    written = booted.runs("sha256sum /root/mine")
    booted.house.weft("vm", "migrate", "cloud", "--lab", LAB)
    after = booted.status()["nodeName"]
    assert after != before
    booted.runs("echo 3 >/proc/sys/vm/drop_caches")  # what follows is read from the disk
    assert booted.runs("sha256sum /root/mine") == written
    assert booted.runs("cat /proc/sys/kernel/random/boot_id") == boot
    booted.runs("echo more >/root/more && sync && cat /etc/note")
    booted.house.reach("default/peer", ADDRESS)
