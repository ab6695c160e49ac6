"""Measures with packets, a millisecond apart, how soon a change of a pod's label is in force.

A lab of two zones with API server, cluster manager and agents. Its pods are objects with rows;
two of them have a device too: one on node2 sends to one on node1, which policies isolate and let
only one role reach. From when the label's change is sent to the API until a packet passes, or
passes no more. Beside it the same rows by hand: another switch with as many groups and ACLs that
name one set, where the sender's MAC is put into that set, or taken out.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from bench import burst, pulses, stream
from bench.figures import Figure
from lab.tests.support import orders
from weft import names
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab import spec, up
from weft_lab.runtime import toolchain

LAB = "bench-labels"
COMPONENTS = ("api", "cluster-manager", "agent")
SIZES = (10, 1000)
SPACES, APPS, ROLES = 50, 4, 10
REPEATS = 100  # fewer, and the 99th percentile would be the slowest of all
SERVER, CLIENT = "node1", "node2"
HAND = {SERVER: "0a:58:c0:00:02:01", CLIENT: "0a:58:c0:00:02:02"}
HAND_ADDRESS = {SERVER: "192.0.2.1", CLIENT: "192.0.2.2"}
SERVICES = "(tcp.dst == 80 || udp.dst == 53)"
Object = dict[str, Any]


def pod(name: str, namespace: str, node: str, app: str, role: str) -> Object:
    made = burst.pod(name, "default/burst")
    made["metadata"] |= {"namespace": namespace, "labels": {"app": app, "role": role}}
    made["spec"]["nodeName"] = node
    return made


def filler(number: int) -> Object:
    """Every policy selects some of node1."""
    app = f"a{number // SPACES % APPS}"
    node = (SERVER, CLIENT)[number // SPACES // APPS % 2]
    return pod(f"p{number}", f"s{number % SPACES}", node, app, f"r{number % ROLES}")


def policy(number: int) -> Object:
    """Lets one role of all namespaces reach one app of its own."""
    role, app = f"r{number % ROLES}", f"a{number // SPACES % APPS}"
    peer = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": role}}}
    ports = [{"port": 80}, {"protocol": "UDP", "port": 53}]
    return {
        "apiVersion": resources.MULTINETWORKPOLICIES.api_version,
        "kind": resources.MULTINETWORKPOLICIES.kind,
        "metadata": {
            "name": f"n{number}",
            "namespace": f"s{number % SPACES}",
            "annotations": {names.POLICY_FOR: "default/burst"},
        },
        "spec": {
            "podSelector": {"matchLabels": {"app": app}},
            "ingress": [{"from": [peer], "ports": ports}],
        },
    }


@dataclass
class Bench:
    api: client.Client
    pods: cache.Cache
    pulses: orders.Orders
    size: int = 0

    async def grow(self, size: int) -> None:
        """Policies and pods up to that many, all of them known to both zones."""
        first, self.size = self.size, size
        kind = resources.MULTINETWORKPOLICIES
        await burst.each(lambda n: self.api.create(kind, policy(first + n)), size - first)
        await burst.each(lambda n: self.api.create(resources.PODS, filler(first + n)), size - first)
        for number in range(first, size):
            made = filler(number)["metadata"]
            await self.pods.wait_for(ObjectKey(made["namespace"], made["name"]), is_allocated, 120)

    async def by_label(self, role: str) -> float:
        """When it was sent."""
        labels = {"metadata": {"labels": {"role": role}}}
        start = time.monotonic()
        await self.api.patch(resources.PODS, "client", "s0", labels)
        return start

    async def by_hand(self, mutator: str) -> float:
        mutation = ["addresses", mutator, HAND[CLIENT]]
        operation = {
            "op": "mutate",
            "table": "Address_Set",
            "where": [["name", "==", "handset"]],
            "mutations": [mutation],
        }
        return float(self.pulses("transact", node=SERVER, operations=[operation]))

    async def once(self) -> dict[str, float]:
        """Milliseconds until each way of each kind is open, and shut."""
        found = {}
        for name, pulse, change, (opening, shutting) in (
            ("weft", 0, self.by_label, ("r0", "none")),
            ("hand", 1, self.by_hand, ("insert", "delete")),
        ):
            start = await change(opening)
            found[f"{name} open"] = self.pulses("first", pulse=pulse, since=start) - start
            start = await change(shutting)
            found[f"{name} shut"] = self.pulses("last", pulse=pulse, since=start) - start
        return {key: 1000 * value for key, value in found.items()}


def is_allocated(made: Object | None) -> bool:
    return made is not None and names.POD_NETWORKS in made["metadata"].get("annotations", {})


def node(name: str, *argv: str) -> str:
    command = [sys.executable, "-m", "weft", "lab", "exec", "--name", LAB, name, "--"]
    done = subprocess.run([*command, *argv], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def plug(where: str, device: str, port: str, version: str = "") -> None:
    """A device of the node's own that is the port."""
    ids = [f"external_ids:iface-id={port}"]
    ids += [f"external_ids:iface-id-ver={version}"] if version else []
    add = ("ovs-vsctl", "--", "add-port", "br-int", device, "--", "set", "Interface", device)
    node(where, *add, "type=internal", *ids)
    node(where, "busybox", "ip", "link", "set", device, "up")


def wire_by_hand(groups: int, members: int) -> None:
    """One switch in both zones; on node1 groups, one of 20 with the receiver, and their ACLs."""
    for here in HAND:
        rows = ["ls-add", "hand", "--", "set", "Logical_Switch", "hand"]
        rows += ["other_config:requested-tnl-key=20000"]
        for key, (owner, mac) in enumerate(HAND.items(), 1):
            name = f"hand-{owner}"
            rows += ["--", "lsp-add", "hand", name, "--", "lsp-set-addresses", name, mac]
            chassis = node(owner, "ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:system-id")
            bound = chassis.strip('"') if owner == here else ",".join([chassis.strip('"')] * 2)
            rows += ["--", "set", "Logical_Switch_Port", name, f"options:requested-tnl-key={key}"]
            rows += [f'options:requested-chassis="{bound}"']
        if here == SERVER:
            others = ",".join(f'"0a:58:c0:00:03:{other:02x}"' for other in range(members))
            rows += ["--", "lsp-add", "hand", "other"]
            rows += ["--", "create", "Address_Set", "name=handset", f"addresses={others}"]
            for number in range(groups):
                inside = f"hand-{SERVER}" if number % 20 == 0 else "other"
                rows += ["--", "pg-add", f"hand{number}", inside]
                match = f"outport == @hand{number} && eth.src == $handset && {SERVICES}"
                rows += ["--", "--type=port-group", "acl-add", f"hand{number}"]
                rows += ["to-lport", "1001", match, "allow-related"]
            rows += ["--", "--type=port-group", "acl-add", "hand0", "to-lport", "1000"]
            rows += ["outport == @hand0", "drop"]
        node(here, "ovn-nbctl", *rows)
        plug(here, f"hand-{here}", f"hand-{here}")


async def wire(bench: Bench) -> None:
    """The two pods whose packets are measured, and the pulses of both contenders."""
    ends = []
    for name, where, app in (("client", CLIENT, "none"), ("server", SERVER, "a0")):
        await bench.api.create(resources.PODS, pod(name, "s0", where, app, "none"))
        made = await bench.pods.wait_for(ObjectKey("s0", name), is_allocated, 60)
        entry = orjson.loads(made["metadata"]["annotations"][names.POD_NETWORKS])["default/burst"]
        port = names.logical_port("default/burst", "s0", name)
        plug(where, f"weft-{name}", port, made["metadata"]["uid"])
        address = entry["ip_address"].partition("/")[0]
        ends.append(end(where, f"weft-{name}", entry["mac_address"], address))
    for where, mac in reversed(HAND.items()):
        ends.append(end(where, f"hand-{where}", mac, HAND_ADDRESS[where]))
    for source, target in (ends[:2], ends[2:]):
        bench.pulses("send", source=source, target=target)


def end(where: str, device: str, mac: str, address: str) -> dict[str, str]:
    return {"node": where, "device": device, "mac": mac, "address": address}


async def measure(kubeconfig: str) -> dict[int, dict[str, list[float]]]:
    found: dict[int, dict[str, list[float]]] = {}
    async with client.Client.from_kubeconfig(kubeconfig) as api:
        for name in (SERVER, CLIENT):
            await api.create(resources.NODES, {"kind": "Node", "metadata": {"name": name}})
        for number in range(SPACES):
            await api.create(resources.NAMESPACES, {"metadata": {"name": f"s{number}"}})
        await api.create(resources.NADS, burst.nad("burst"))
        kept = cache.Cache(api, resources.PODS)
        with orders.obeying(LAB, pulses.__name__) as inside:
            bench = Bench(api, kept, inside)
            task = asyncio.create_task(kept.run())
            await kept.synced()
            try:
                for size in SIZES:
                    await bench.grow(size)
                    if size == SIZES[0]:
                        await wire(bench)
                    await bench.once()
                    runs = [await bench.once() for _ in range(REPEATS)]
                    found[size] = {key: sorted(run[key] for run in runs) for key in runs[0]}
            finally:
                task.cancel()
                await asyncio.wait([task])
    return found


@contextmanager
def lab(state: str) -> Iterator[str]:
    """Its kubeconfig."""
    with stream.home(state):
        options = spec.Options(nodes=len(HAND), primary="none")
        try:
            found = up.up(LAB, options, tools=toolchain.ensure(), components=COMPONENTS)
            yield str(found["kubeconfig"])
        finally:
            up.down(LAB)


def run() -> Iterable[Figure]:
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as state, lab(state) as kubeconfig:
        wire_by_hand(SIZES[-1] // ROLES, SIZES[-1] // ROLES)
        found = asyncio.run(measure(kubeconfig))
    for size, times in found.items():
        for way in ("open", "shut"):
            for share, at in (("p50", 0.5), ("p99", 0.99)):
                mine, hand = (
                    times[f"{who} {way}"][int(at * (REPEATS - 1) + 0.5)] for who in ("weft", "hand")
                )
                name = f"a label {way}s a way, {size:,} policies and pods: {share}"
                if size == SIZES[-1]:  # as large as the set and the ACLs by hand
                    limit = 2.0 if share == "p50" else None
                    yield Figure(name, mine, "ms", "set by hand", hand, at_most=limit)
                else:
                    yield Figure(name, mine, "ms")
