"""Machines behind their pods' addresses in a whole lab of two address families."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.support import labs as support
from lab.tests.support.lab_pods import Kubectl, pod
from tests.support.objects import Object, nic, vmi
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
LAB = "behind"
DUAL = "10.128.0.0/14/23,fd00:10:128::/48/64"
CONNECTED = "jsonpath={.status.conditions[?(@.type=='AgentConnected')].status}=True"
SEED = {
    "networkData": json.dumps(
        {
            "version": 2,
            "ethernets": {
                "eth0": {
                    "dhcp4": True,
                    "addresses": ["fd10:0:2::2/120"],
                    "gateway6": "fd10:0:2::1",
                }
            },
        }
    ),
    "userData": """#cloud-config
write_files:
- path: /srv/cgi-bin/who
  permissions: '0755'
  content: |
    #!/bin/sh
    printf 'Content-Type: text/plain\\n\\n%s\\n' "$REMOTE_ADDR"
bootcmd:
- httpd -p 80 -h /srv
- httpd -p 8080 -h /srv
runcmd:
- curl -sS -m 30 http://172.31.1.1/ >/dev/console
""",
}


def machine(name: str, node: str, **interface: Any) -> Object:
    seed = [{"name": "seed", "cloudInitNoCloud": SEED}]
    return vmi(name, nic("default", masquerade={}, **interface), node=node, volumes=seed)


class House:
    """A lab with a client on node1, and machines on both nodes."""

    def __init__(self, labs: support.LabHouse, kubectl: Kubectl) -> None:
        self.labs, self.kubectl = labs, kubectl

    def addresses(self, name: str) -> list[str]:
        status = json.loads(self.kubectl("get", "vmi", name, "-o", "json"))["status"]
        found: list[str] = status["interfaces"][0]["ipAddresses"]
        return found

    def client(self) -> dict[str, str]:
        """By family: "" for IPv4, ":" for IPv6."""
        status = json.loads(self.kubectl("get", "pod", "client", "-o", "json"))["status"]
        ips = [each["ip"] for each in status["podIPs"]]
        return {":" if ":" in ip else "": ip for ip in ips}

    def ask(self, address: str, port: int) -> str:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{port}/cgi-bin/who"
        done = self.labs.run(
            "default/client", "wget", "-q", "-T", "20", "-O", "-", url, check=False
        )
        output = done.stdout.strip().strip("[]").removeprefix("::ffff:")
        return output or done.stderr.strip().rpartition(": ")[2]


@pytest.fixture(scope="module")
def house(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    state = tmp_path_factory.mktemp("state")
    with support.running(LAB, 2, state, toolchain, cluster_subnets=DUAL) as (labs, kubeconfig):
        kubectl = Kubectl(labs, kubeconfig)
        kubectl.apply(machine("open", "node2"), machine("closed", "node1", ports=[{"port": 80}]))
        kubectl.run_pods(pod("client", "node1"))
        for name in ("open", "closed"):
            kubectl("wait", f"vmi/{name}", f"--for={CONNECTED}", "--timeout=120s")
        yield House(labs, kubectl)


@pytest.mark.parametrize("port", [80, 8080])
def test_without_ports_a_pod_of_another_node_reaches_every_port(house: House, port: int) -> None:
    seen = {address: house.ask(address, port) for address in house.addresses("open")}
    assert len(seen) == 2
    assert seen == {address: house.client()[":" if ":" in address else ""] for address in seen}, (
        "the guest sees who asks"
    )


def test_with_ports_these_alone(house: House) -> None:
    found = house.addresses("closed")
    assert len(found) == 2
    own = [house.client()[":" if ":" in address else ""] for address in found]
    assert [house.ask(address, 80) for address in found] == own
    assert {house.ask(address, 8080) for address in found} == {"Connection refused"}


def test_a_guest_reaches_the_outside(house: House) -> None:
    log = "/run/weft/vm/default_open/console.log"
    script = f"until grep -q 'hello from outside' {log}; do sleep 0.1; done; grep hello {log}"
    done = house.labs.run("node2", "busybox", "timeout", "60", "sh", "-c", script)
    assert "172.31.1.102" in done.stdout, "the address of the node's gateway"


def test_nothing_is_reported_of_ports(house: House) -> None:
    events = json.loads(house.kubectl("get", "events", "-o", "json"))["items"]
    about = [each for each in events if each["involvedObject"]["name"] == "open"]
    assert "NoPortsForwarded" not in {each["reason"] for each in about}
