"""NICs of running machines come, go and lose their cable, as their guests see it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.tests.e2e.test_machines import Kubectl
from lab.tests.support import labs
from lab.tests.support.lab_pods import Kubectl as Pods
from lab.tests.support.lab_pods import pinging, pod
from lab.tests.support.labs import LabHouse
from tests.support import objects
from tests.support.patience import await_true
from weft.kube.resources import VMS
from weft_lab import up
from weft_lab.demos import guestcommands, machines
from weft_lab.runtime import toolchain as toolchains

pytestmark = pytest.mark.lab
NAME = "hotnics"
Object = dict[str, Any]


class Machines:
    """The lab, edits of its virtual machines, and commands in their guests."""

    def __init__(self, house: LabHouse, kubeconfig: str) -> None:
        self.house, self.pods = house, Pods(house, kubeconfig)
        self.kubectl = Kubectl(house.tools.program("kubectl"), kubeconfig)

    def start(self, name: str, *nics: tuple[Object, Object]) -> None:
        made = objects.vmi(name, *nics)
        made["spec"]["terminationGracePeriodSeconds"] = 0
        vm = objects.named(VMS, name)
        vm["spec"] = {"runStrategy": "Always", "template": {"spec": made["spec"]}}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(vm))
        self.kubectl.connected(name)

    def edit(self, name: str, *nics: tuple[Object, Object]) -> None:
        """Gives the machine's template these NICs, and no others."""
        interfaces, networks = [one for one, _ in nics], [other for _, other in nics]
        spec = {"domain": {"devices": {"interfaces": interfaces}}, "networks": networks}
        patch = json.dumps({"spec": {"template": {"spec": spec}}})
        self.kubectl("patch", "vm", name, "--type=merge", "-p", patch)

    def interfaces(self, name: str) -> dict[str, Object]:
        """status.interfaces by name."""
        listed = self.kubectl.json("vmi", name)["status"].get("interfaces", ())
        return {one["name"]: one for one in listed if "name" in one}

    def has(self, name: str, interface: str, *sources: str) -> None:
        """Returns when the status says that an interface has these sources, none: it is gone."""

        def holds() -> bool:
            entry = self.interfaces(name).get(interface)
            found = set((entry or {}).get("infoSource", "").split(", ")) - {""}
            return found >= set(sources) if sources else entry is None

        await_true(holds, f"{name}: {interface}: {sources}")

    def guest(self, name: str, command: str) -> str:
        """What a shell in the guest prints; it must succeed."""
        with up.running(NAME) as peer:
            machine = machines.Machine("default", name, self.node(name), ())
            done = asyncio.run(machines.run(peer.pid, machine, "sh", "-c", command))
        assert done.status == 0, done
        return guestcommands.printed(done)

    def node(self, name: str) -> str:
        return str(self.kubectl.json("vmi", name)["status"]["nodeName"])

    def move(self, name: str) -> None:
        """To the other node; it fails if the guest stays."""
        before = self.node(name)
        self.house.weft("vm", "migrate", name, "--lab", NAME)
        assert self.node(name) != before

    def condition(self, name: str, kind: str) -> Object:
        listed = self.kubectl.json("vm", name)["status"].get("conditions", ())
        return next((one for one in listed if one["type"] == kind), {})


@pytest.fixture(scope="module")
def lab(
    toolchain: toolchains.Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    with labs.running(NAME, 2, tmp_path_factory.mktemp("state"), toolchain) as (house, kubeconfig):
        made = Machines(house, kubeconfig)
        made.pods.run_pods(
            objects.nad("blue", "10.9.0.0/24"),
            objects.nad("red", "10.8.0.0/24"),
            pod("peer", "node2", "blue, red"),
        )
        made.start("web", objects.nic("lan", "blue"))
        await_true(lambda: "ipAddress" in made.interfaces("web")["lan"], "its address")
        yield made


def test_a_nic_comes_loses_its_cable_and_goes(lab: Machines) -> None:
    lan, more = objects.nic("lan", "blue"), objects.nic("more", "red")
    before = lab.kubectl.json("vmi", "web")["metadata"]["uid"]
    blue = lab.pods.guest_address("web", "lan", "10.9.0.")
    lab.house.reach("default/peer", blue)
    with pinging(lab.house, "peer", blue) as pings:
        lab.edit("web", lan, more)
        lab.has("web", "more", "domain", "multus-status")
        mac = lab.interfaces("web")["more"]["mac"]
        await_true(lambda: mac in lab.guest("web", "ip -o link"), "the guest sees it")
        lab.guest("web", "ip link set eth1 up && udhcpc -i eth1 -s /etc/lease -n -q")
        address = lab.guest("web", "ip -4 -o addr show eth1").split()[3].partition("/")[0]
        assert address.startswith("10.8.0.")
        lab.house.reach("default/peer", address)
        lab.has("web", "more", "domain", "multus-status", "guest-agent")

        lab.edit("web", lan, objects.nic("more", "red", state="down"))
        await_true(
            lambda: lab.guest("web", "cat /sys/class/net/eth1/carrier").strip() == "0",
            "the guest sees no carrier",
        )
        assert lab.house.is_deaf("default/peer", address)
        await_true(lambda: lab.interfaces("web")["more"].get("linkState") == "down", "linkState")
        lab.edit("web", lan, more)
        lab.house.reach("default/peer", address)

        lab.edit("web", lan, objects.nic("more", "red", state="absent"))
        lab.has("web", "more")
        assert mac not in lab.guest("web", "ip -o link")
        template = lab.kubectl.json("vm", "web")["spec"]["template"]["spec"]
        await_true(
            lambda: len(lab.kubectl.json("vm", "web")["spec"]["template"]["spec"]["networks"]) == 1,
            f"both objects forget it: {template}",
        )
        lab.pods.run_pods(pod("heir", "node1", json.dumps([{"name": "red", "ips": [address]}])))
    assert pings.sent > 20
    assert not pings.is_cut, pings.lost
    assert lab.kubectl.json("vmi", "web")["metadata"]["uid"] == before
    assert not lab.condition("web", "RestartRequired")


def test_nics_that_were_plugged_move_with_their_guest(lab: Machines) -> None:
    """One in the second spare port, as another one has left the first; and it can go there."""
    lan, first = objects.nic("lan", "blue"), objects.nic("first", "blue")
    second, third = objects.nic("second", "red"), objects.nic("third", "red")
    lab.edit("web", lan, first)
    lab.has("web", "first", "domain", "multus-status")
    lab.edit("web", lan, first, second)
    lab.has("web", "second", "domain", "multus-status")
    lab.edit("web", lan, objects.nic("first", "blue", state="absent"), second)
    lab.has("web", "first")
    places = "for card in /sys/class/net/eth*; do readlink $card/device; cat $card/address; done"
    card = lab.guest("web", "ls /sys/class/net | grep eth | tail -n 1").strip()
    lab.guest("web", f"ip link set {card} up && udhcpc -i {card} -s /etc/lease -n -q")
    address = lab.guest("web", f"ip -4 -o addr show {card}").split()[3].partition("/")[0]
    lab.house.reach("default/peer", address)
    before = lab.guest("web", places)
    for _ in range(2):  # and back, to where it was before
        with pinging(lab.house, "peer", address) as pings:
            lab.move("web")
            lab.house.reach("default/peer", address)
        assert pings.sent > 20
        assert len(pings.lost) < 20, "a second, on a busy machine"
        assert lab.guest("web", places) == before
    lab.edit("web", lan, second, third)
    lab.has("web", "third", "domain", "multus-status")
    kept = lab.kubectl.json("vmi", "web")["metadata"]["annotations"]["lab.weft/nic-places"]
    buses = {"lan": "port0", "second": "spare1", "third": "spare0"}
    assert json.loads(kept) == {"ports": 1, "buses": buses}
    gone = [objects.nic(name, "red", state="absent") for name in ("second", "third")]
    lab.edit("web", lan, *gone)
    for name in ("second", "third"):
        lab.has("web", name)
    assert not lab.condition("web", "RestartRequired")


def test_a_nic_goes_to_another_network_while_the_guest_runs(lab: Machines) -> None:
    lan, there = objects.nic("lan", "blue"), objects.nic("more", "blue")
    lab.edit("web", lan, there)
    lab.has("web", "more", "domain", "multus-status")
    mac = lab.interfaces("web")["more"]["mac"]
    lab.guest("web", "ip link set eth1 up")
    lab.edit("web", lan, objects.nic("more", "red"))

    def leased() -> str:
        lab.guest("web", "udhcpc -i eth1 -s /etc/lease -n -q -t 2 -T 1 || true")
        found = lab.guest("web", "ip -4 -o addr show eth1").split()
        return next((word for word in found if word.startswith("10.8.0.")), "")

    await_true(leased, "a lease of the other network")
    lab.house.reach("default/peer", leased().partition("/")[0])
    assert lab.interfaces("web")["more"]["mac"] == mac
    assert not lab.condition("web", "RestartRequired")
    lab.edit("web", lan, objects.nic("more", "red", state="absent"))
    lab.has("web", "more")


def test_what_cannot_change_while_it_runs_needs_a_restart(lab: Machines) -> None:
    lab.edit("web", objects.nic("lan", "blue", macAddress="02:00:00:00:00:07"))
    await_true(lambda: lab.condition("web", "RestartRequired"), "RestartRequired")
    assert "interfaces[lan]" in lab.condition("web", "RestartRequired")["message"]
    lab.edit("web", objects.nic("lan", "blue"))
    await_true(lambda: not lab.condition("web", "RestartRequired"), "it is as it was")


def test_a_guest_that_releases_no_nic_is_reported_and_a_restart_helps(lab: Machines) -> None:
    lan, more = objects.nic("lan", "blue"), objects.nic("more", "red")
    lab.edit("web", lan, more)
    lab.has("web", "more", "domain", "multus-status")
    before = lab.kubectl.json("vmi", "web")["metadata"]["uid"]
    lab.guest("web", "echo 0 > /proc/sys/kernel/panic; echo 1 > /proc/sys/kernel/sysrq")
    lab.guest("web", "(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &")
    time.sleep(3)  # it answers nothing any more
    lab.edit("web", lan, objects.nic("more", "red", state="absent"))
    assert "interface more: the guest has not released" in lab.pods.event("web", "NicNotChanged")
    assert "domain" in lab.interfaces("web")["more"]["infoSource"]
    lab.house.weft("vm", "restart", "web", "--lab", NAME)
    lab.kubectl.replaced("web", before)
    lab.has("web", "more")
