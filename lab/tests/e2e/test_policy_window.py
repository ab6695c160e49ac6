"""No packet passes a pod before its policies are in force: floods from before its first instant.

Each guarded pod is flooded by an open pod of each node from before it exists, and floods them from
the moment it has a NIC, on networks of layer2 with and without subnets and of layer3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from lab.tests.support import lab_pods, orders, pods, policylab
from lab.tests.support.inside import window
from lab.tests.support.inside.window import OPEN, SHUT
from tests.support.objects import Object, nad, policy
from tests.support.patience import PATIENCE
from weft import names, ranges
from weft.api import podnetworks
from weft.kube import client, resources
from weft.model import ObjectKey
from weft_lab.runtime import databases
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.lab
LAB = "window"
STARTS = 52
AT_ONCE = 4
CHANGES = 30
NETWORKS = {"flat": "net1", "bare": "net2", "routed": "net3"}
# A node's part of `routed` is small, so that all addresses that a pod may get can be flooded.
SUBNETS = {"flat": "10.60.0.0/24,fd60::/64", "bare": "", "routed": "10.50.0.0/16/29,fd50::/48/64"}


def own(network: str, number: int) -> list[str]:
    """MAC and addresses of a pod by its number."""
    four, six = {"flat": ("10.60.0", "fd60:"), "bare": ("10.70.0", "fd70:")}[network]
    address = f"{four}.{number}"
    return [names.address_mac(address), address, f"{six}:{number:x}"]


def pod(name: str, node: str, number: int, labels: dict[str, str]) -> Object:
    """Its container's first act is to flood, too."""
    flat, bare = own("flat", number), own("bare", number)
    networks = [
        {"name": "flat", "ips": flat[1:], "mac": flat[0]},
        {"name": "bare", "mac": bare[0]},
        {"name": "routed"},
    ]
    flooding = ["ping", "-A", own("flat", 10)[1]]
    return lab_pods.pod(name, node, networks, labels=labels, command=flooding)


def guard() -> Object:
    """Of guarded pods only datagrams to one port pass, in and out."""
    rules = [{"ports": [{"protocol": "UDP", "port": OPEN}]}]
    return policy(
        "guard",
        ",".join(NETWORKS),
        podSelector={"matchLabels": {"guarded": "yes"}},
        policyTypes=["Ingress", "Egress"],
        ingress=rules,
        egress=rules,
    )


@dataclass
class Floods:
    """The program inside the lab that floods and counts, and the pods that it watches."""

    lab: policylab.Small
    order: orders.Orders
    made: int = 0

    @contextmanager
    def pods(self, count: int) -> Iterator[list[str]]:
        """New guarded pods on both nodes in turn; their names when they are ready."""
        numbers = range(self.made, self.made + count)
        self.made += count
        labels = {"guarded": "yes"}
        objects = [
            pod(f"g{number}", f"node{number % 2 + 1}", 100 + number % 8, labels)
            for number in numbers
        ]
        made = [obj["metadata"]["name"] for obj in objects]
        try:
            self.lab.run(create(self.lab.api, objects))
            yield made
        finally:
            self.lab.run(remove(self.lab.api, made))

    def kill(self, service: str) -> None:
        """End it hard; the lab starts it again."""
        self.lab.house.weft("lab", "up", "--name", LAB)  # who was ended before is back
        services = self.lab.house.json("lab", "status", "--name", LAB)["services"]
        pid = next(each["pid"] for each in services if each["name"] == service)
        assert pid, f"{service} does not run"
        self.lab.house.run("lab", "busybox", "kill", "-9", str(pid), lab=LAB)

    def lose(self, node: str, database: str) -> None:
        """A new database in the place of one, whose server is ended hard."""
        path = f"/run/ovn/ovn{database}_db.db"
        fresh = databases.ensure(self.lab.house.tools) / f"ovn-{database}.db"
        run = self.lab.house.run
        run(node, "busybox", "cp", str(fresh), f"{path}.new", lab=LAB)
        run(node, "busybox", "mv", "-f", f"{path}.new", path, lab=LAB)
        self.kill(f"{node}/{database}")

    def seen(self, made: Sequence[str]) -> dict[str, Any]:
        """The counts of those pods once what is open came through, on every network."""
        keys = [f"default/{name}" for name in made]
        results = self.order("until", pods=keys, patience=PATIENCE)
        found = {key: results.get(key) for key in keys}
        assert results["open"], found
        return found


async def create(api: client.Client, objects: Sequence[Object]) -> None:
    async with pods.following(api, resources.PODS) as there:
        for obj in objects:
            await api.create(resources.PODS, obj)
        for obj in objects:
            key = ObjectKey("default", obj["metadata"]["name"])
            await there.wait_for(key, pods.is_ready, PATIENCE)


async def remove(api: client.Client, made: Sequence[str]) -> None:
    async with pods.following(api, resources.PODS) as there:
        for name in made:
            with suppress(client.NotFound):
                await api.delete(resources.PODS, name, "default", grace=0)
        await pods.gone(there, {ObjectKey("default", name) for name in made})


async def prepare(api: client.Client) -> dict[str, Object]:
    """Networks, the policy, and the two open pods."""
    for name, subnets in SUBNETS.items():
        config = {"subnets": subnets, "topology": "layer3" if name == "routed" else "layer2"}
        await api.create(resources.NADS, nad(name, mtu=1300, **config))
    await api.create(resources.MULTINETWORKPOLICIES, guard())
    outers = [pod(f"o{number}", f"node{number}", 9 + number, {}) for number in (1, 2)]
    for outer in outers:
        outer["spec"]["containers"][0]["command"] = ["sleep", "99999"]
    await create(api, outers)
    return {name: await api.get(resources.PODS, name, "default") for name in ("o1", "o2")}


def start(order: orders.Orders, outers: dict[str, Object]) -> None:
    """Flood from the open pods to all that guarded ones may be."""
    layer2 = ("flat", "bare")
    targets = {net: [["", *own(net, 100 + host)] for host in range(8)] for net in layer2}
    targets["routed"], told = [], []
    for number, (name, made) in enumerate(outers.items(), 1):
        node = f"node{number}"
        for key, allocation in podnetworks.parse(made).items():
            network, router = key.partition("/")[2], ""
            addresses = [str(each.ip) for each in allocation.addresses]
            if network == "routed":
                subnets = [each.network for each in allocation.addresses]
                router = names.address_mac(str(ranges.router(subnets[0]).ip))
                for host in range(3, 7):
                    there = [str(subnet[host]) for subnet in subnets]
                    targets["routed"].append([node, names.address_mac(there[0]), *there])
            told.append(
                {
                    "pod": f"default/{name}",
                    "node": node,
                    "network": network,
                    "mac": allocation.mac,
                    "router_mac": router,
                    "addresses": addresses or own(network, 9 + number)[1:],
                }
            )
    order("start", prefix="g", interfaces=NETWORKS, outers=told, targets=targets)


@pytest.fixture(scope="module")
def floods(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Floods]:
    with (
        policylab.small_lab(LAB, tmp_path_factory.mktemp(LAB), toolchain) as lab,
        orders.obeying(LAB, window.__name__) as order,
    ):
        start(order, lab.run(prepare(lab.api)))
        yield Floods(lab, order)


def shut(seen: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """What came through that must not."""
    return {
        (name, network): counts
        for name, told in seen.items()
        for network, counts in told["networks"].items()
        if counts["came"][str(SHUT)] or counts["left"][str(SHUT)]
    }


def test_nothing_passes_from_the_first_instant(floods: Floods) -> None:
    early = 0
    for _ in range(STARTS // AT_ONCE):
        with floods.pods(AT_ONCE) as made:
            seen = floods.seen(made)
            assert shut(seen) == {}
            early += sum(told["early"] for told in seen.values())
    assert early == STARTS, "every pod was heard from before it had a NIC"


@pytest.mark.parametrize(
    "service", ["node1/agent", "node2/agent", "node1/northd", "node1/ovn-controller"]
)
def test_nothing_passes_across_a_killed_process(floods: Floods, service: str) -> None:
    """Nor while it is away, nor of pods that start when it is back."""
    with floods.pods(2) as made:
        floods.seen(made)
        floods.kill(service)
        with floods.pods(2) as later:
            floods.order("forget_open")
            assert shut(floods.seen([*made, *later])) == {}


@pytest.mark.parametrize("lost", [("nb",), ("sb",), ("nb", "sb")], ids="+".join)
def test_nothing_passes_across_lost_databases(floods: Floods, lost: tuple[str, ...]) -> None:
    with floods.pods(2) as made:
        floods.seen(made)
        for database in lost:
            floods.lose("node1", database)
        with floods.pods(2) as later:
            floods.order("forget_open")
            assert shut(floods.seen([*made, *later])) == {}


def test_nothing_passes_while_policies_change(floods: Floods) -> None:
    """Rules come and go, so does another policy of the same pods, and labels change."""
    with floods.pods(2) as made:
        floods.seen(made)
        floods.lab.run(change(floods.lab.api, made))
        floods.order("forget_open")
        assert shut(floods.seen(made)) == {}


async def change(api: client.Client, made: Sequence[str]) -> None:
    kind, extra = resources.MULTINETWORKPOLICIES, guard()
    extra["metadata"]["name"] = "extra"
    rules = extra["spec"]["ingress"]
    far = [{"podSelector": {"matchLabels": {"turn": "1"}}}]
    more = {end: [*rules, {end: far, "ports": [{"port": 80}]}] for end in ("from", "to")}
    for turn in range(CHANGES):
        spec = {
            "ingress": (rules, more["from"])[turn % 2],
            "egress": (more["to"], rules)[turn % 2],
        }
        await api.patch(kind, "guard", "default", {"spec": spec})
        if turn % 3 == 0:
            await api.create(kind, extra)
        elif turn % 3 == 2:
            await api.delete(kind, "extra", "default")
        for name in made:
            labels = {"metadata": {"labels": {"turn": str(turn % 2)}}}
            await api.patch(resources.PODS, name, "default", labels)


def test_without_the_policy_the_same_passes(floods: Floods) -> None:
    """That the floods find what is open."""
    floods.lab.run(floods.lab.api.delete(resources.MULTINETWORKPOLICIES, "guard", "default"))
    with floods.pods(2) as made:
        seen = floods.seen(made)
        assert len(shut(seen)) == len(made) * len(NETWORKS), seen
