"""A virtual machine of a disk image, with its own system, boot loader and cloud-init."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lab.tests.support import debianimage, labs
from lab.tests.support.lab_pods import Kubectl
from tests.support.objects import nad, pod, vmi
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
LAB = "diskimage"
PATIENCE = 600  # seconds: an emulated processor boots systemd, and Python runs cloud-init
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


def test_a_debian_image_boots_and_cloud_init_does_all(
    toolchain: toolchains.Toolchain, tmp_path: Path
) -> None:
    image = debianimage.ensure()
    before = image.stat()
    folder = str(image.parent)
    with labs.running(LAB, 1, tmp_path, toolchain, disks=(folder,)) as (house, kubeconfig):
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
        began = time.monotonic()
        kubectl.apply(machine, pod("peer", networks="blue"))
        log = "/run/weft/vm/default_cloud/console.log"
        script = f"until grep -q '{WORDS}' {log}; do sleep 0.5; done 2>&-; echo seen"
        argv = ("busybox", "timeout", str(PATIENCE), "sh", "-c", script)
        seen = house.run("node1", *argv, check=False)
        assert seen.stdout == "seen\n", house.run("node1", "tail", "-c", "3000", log).stdout
        print(f"cloud-init was done after {time.monotonic() - began:.0f} s")
        card = "jsonpath={.status.interfaces[0]"
        expected = (f"{card}.interfaceName}}=eth1", f"{card}.ipAddress}}={ADDRESS}")
        for condition in ("condition=AgentConnected", *expected):
            kubectl("wait", "vmi/cloud", f"--for={condition}", f"--timeout={PATIENCE}s")
        status = json.loads(kubectl("get", "vmi", "cloud", "-o", "json"))["status"]
        assert status["guestOSInfo"]["id"] == "debian"
        assert status["interfaces"][0]["mac"] == MAC
        house.reach("default/peer", ADDRESS)
        events = kubectl("get", "events", "--field-selector=involvedObject.name=cloud")
        assert "BuiltInGuest" not in events
    after = image.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
