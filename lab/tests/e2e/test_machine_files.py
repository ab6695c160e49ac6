"""Virtual machines that ask for files of the machine, and manifests that ask QEMU for more."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.tests.real.test_local_disk import WORDS, boot_sector
from lab.tests.support import labs
from lab.tests.support.lab_pods import Kubectl
from tests.support.objects import Object, vmi
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
LAB = "files"


class House:
    def __init__(self, house: labs.LabHouse, kubeconfig: str, images: Path) -> None:
        self.house, self.images = house, images
        self.kubectl = Kubectl(house, kubeconfig)

    def node(self, *argv: str) -> str:
        return self.house.run("node1", *argv, lab=LAB).stdout


@pytest.fixture(scope="module")
def house(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    images = tmp_path_factory.mktemp("images")
    state = tmp_path_factory.mktemp("state")
    with labs.running(LAB, 1, state, toolchain, disks=(str(images),)) as (made, kubeconfig):
        yield House(made, kubeconfig, images)


def machine(name: str, disk: Path | str, **devices: Any) -> Object:
    return vmi(
        name, disks={"d": {"hostDisk": {"path": str(disk), "type": "Disk"}}}, devices=devices
    )


def test_a_disk_of_a_folder_that_the_owner_named(house: House) -> None:
    """Whoever runs the lab may read it alone; QEMU has no right to anything."""
    disk = house.images / "fine.raw"
    disk.write_bytes(boot_sector() + bytes(1 << 20))
    disk.chmod(0o600)
    house.kubectl.apply(machine("fine", disk))
    log = "/run/weft/vm/default_fine/console.log"
    script = f"until grep -q '{WORDS.decode().strip()}' {log}; do sleep 0.1; done 2>&-; echo booted"
    assert house.node("timeout", "60", "sh", "-c", script) == "booted\n"
    status = house.node("sh", "-c", "cat /proc/$(pgrep -f name.default_fine | head -1)/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"
    if os.geteuid() == 0:
        assert int(fields["Uid"].split()[0]) >= 0x70000000
    house.kubectl("delete", "vmi", "fine")
    house.kubectl("wait", "--for=delete", "vmi/fine", "--timeout=60s")
    assert "default_fine" not in house.node("ls", "/run/weft/vm")


@pytest.mark.parametrize(
    ("name", "rule"), [("away", "is outside the folders that the lab's owner allows"),
                       ("link", "cannot be opened below"), ("inner", "cannot be opened below"),
                       ("pipe", "is not a regular file"), ("none", "No such file")]
)  # fmt: skip
def test_no_other_file_is_opened(house: House, tmp_path: Path, name: str, rule: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(boot_sector() + bytes(1 << 20))
    paths = {
        "away": secret,
        "link": house.images / "link.raw",
        "inner": house.images / "inner" / "secret",
        "pipe": house.images / "pipe",
        "none": house.images / "none",
    }
    for link, target in (("link", secret), ("inner", tmp_path)):
        if not paths[link].is_symlink() and link == name:
            (house.images / ("link.raw" if link == "link" else "inner")).symlink_to(target)
    if name == "pipe":
        os.mkfifo(paths["pipe"])
    house.kubectl.apply(machine(name, paths[name]))
    house.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", f"vmi/{name}", "--timeout=60s")
    pod = house.kubectl("get", "pods", "-o", "name", "-l", "kubevirt.io=virt-launcher")
    (mine,) = [one.removeprefix("pod/") for one in pod.split() if f"-{name}-" in one]
    told = house.kubectl.event(mine, "Failed")
    assert rule in told
    assert str(paths[name])[:50] in told  # a long value is cut
    house.kubectl("delete", "vmi", name)


def test_a_manifest_says_values_and_no_options(house: House) -> None:
    token = secrets.token_hex(4)
    bad = machine("inj", f"{house.images}/../{token}")
    devices = bad["spec"]["domain"]["devices"]
    devices["disks"] += [{"name": f"/tmp/{token}", "disk": {}, "serial": "a,drive=b"}]
    ports = [{"port": 1, "protocol": "tcp::2-:2,tftp=/,hostfwd=udp"}]
    devices["interfaces"] = [{"name": "default", "masquerade": {}, "ports": ports}]
    bad["spec"]["networks"] = [{"name": "default", "pod": {}}]
    bad["spec"]["volumes"] += [{"name": f"/tmp/{token}", "emptyDisk": {"capacity": "8Mi"}}]
    house.kubectl.apply(bad)
    synchronized = 'jsonpath={.status.conditions[?(@.type=="Synchronized")].status}=False'
    house.kubectl("wait", f"--for={synchronized}", "vmi/inj", "--timeout=60s")
    told = house.kubectl("get", "vmi", "inj", "-o", "jsonpath={.status.conditions[*].message}")
    for field in (
        "ports[0].protocol",
        "disks[1].name",
        "].serial",
        "volumes[1].name",
        "hostDisk.path",
    ):
        assert field in told
    # A pod can be written without a controller: whoever would run the machine looks again.
    container = {"name": "c", "image": "lab.weft/virt-launcher"}
    container["env"] = [{"name": "WEFT_VMI", "value": json.dumps(bad)}]  # type: ignore[assignment]
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "forged"}}
    house.kubectl.apply({**pod, "spec": {"restartPolicy": "Never", "containers": [container]}})
    assert "must be" in house.kubectl.event("forged", "Failed")
    assert token not in house.node(
        "sh", "-c", "ls /tmp; ps -ef | grep -v grep | grep qemu-system || true"
    )


def test_the_longest_names_run_and_log(house: House) -> None:
    name = ("n" * 62 + ".") * 3 + "n" * 63
    container = {
        "name": "c" * 63,
        "image": "busybox",
        "command": ["sh", "-c", "hostname; sleep 99"],
    }
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}}
    house.kubectl.run_pods({**pod, "spec": {"containers": [container]}})
    assert house.kubectl("logs", name).strip() == name[:62]
    vmi = machine(name, "/none")
    del vmi["spec"]["volumes"]
    vmi["spec"]["domain"]["devices"] = {}
    house.kubectl.apply(vmi)
    house.kubectl("wait", "--for=condition=AgentConnected", f"vmi/{name}", "--timeout=120s")
    house.kubectl("delete", f"pod/{name}", f"vmi/{name}", "--grace-period=0")
