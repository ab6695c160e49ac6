"""Measures one TCP stream between pods of two nodes, beside the same two ports wired by hand.

Both run in one lab, through the same vswitchds, tunnel and MTU, in turns. By hand: a logical switch
in both zones, one plain port here and one bound to the other chassis, an internal port of br-int
moved into a namespace.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.figures import Figure, interleave
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab import spec, up
from weft_lab.runtime import toolchain

LAB = "bench-stream"
MTU = 1300
PORT = 5001
SECONDS = 3
REPEATS = 5
PODS = {"one": "node1", "two": "node2"}
HAND = {"node1": "192.0.2.1", "node2": "192.0.2.2"}

RECEIVER = """
import socket, sys, time
with socket.create_server(("", int(sys.argv[1]))) as door:
    print("ready", flush=True)
    link, _ = door.accept()
    buffer, count, start = bytearray(1 << 20), 0, time.monotonic()
    while got := link.recv_into(buffer):
        count += got
    print(count * 8 / (time.monotonic() - start) / 1e6)
"""
SENDER = """
import socket, sys, time
link = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
block, end = bytes(1 << 20), time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    link.sendall(block)
"""


def run() -> Iterable[Figure]:
    """Gbit/s of weft's pods over those of the ports wired by hand."""
    with (
        tempfile.TemporaryDirectory(prefix="weft-bench-") as state,
        lab(LAB, len(PODS), state) as found,
    ):
        addresses = asyncio.run(_pods(found["kubeconfig"]))
        _wire_by_hand()
        weft = [inside(LAB, node, name) for name, node in PODS.items()]
        hand = [("exec", node, "--", "nsenter", "--net=/run/netns/hand") for node in PODS.values()]
        speed = interleave(
            REPEATS,
            weft=lambda: _stream(weft[0], weft[1], addresses["two"]),
            hand=lambda: _stream(hand[0], hand[1], HAND["node2"]),
        )
    yield Figure(
        "TCP stream between nodes",
        speed["weft"],
        "Mbit/s",
        peer="wired by hand",
        peer_value=speed["hand"],
        at_least=0.95,
    )


@contextmanager
def lab(name: str, nodes: int, state: str) -> Iterator[dict[str, Any]]:
    """A lab that keeps its state in a folder of its own, and what `up` returns."""
    with home(state):
        try:
            yield up.up(name, spec.Options(nodes=nodes), tools=toolchain.ensure())
        finally:
            up.down(name)


@contextmanager
def home(state: str) -> Iterator[None]:
    """The folder in which labs keep their state, until the block ends."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = state
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_STATE_HOME"]
        else:
            os.environ["XDG_STATE_HOME"] = before


async def _pods(kubeconfig: str) -> dict[str, str]:
    """Make the network and a pod of it on each node; the pods' addresses."""
    config = {
        "cniVersion": "1.0.0",
        "name": "stream",
        "type": "ovn-k8s-cni-overlay",
        "topology": "layer2",
        "subnets": "10.98.0.0/24",
        "mtu": MTU,
        "netAttachDefName": "default/stream",
    }
    async with client.Client.from_kubeconfig(kubeconfig) as api:
        await api.create(
            resources.NADS,
            {
                "apiVersion": "k8s.cni.cncf.io/v1",
                "kind": "NetworkAttachmentDefinition",
                "metadata": {"name": "stream", "namespace": "default"},
                "spec": {"config": json.dumps(config)},
            },
        )
        ready = await running(api, [pod(name, node, "stream") for name, node in PODS.items()])
    return {made["metadata"]["name"]: _address(made) for made in ready}


async def running(api: client.Client, created: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Makes these pods, and gives them back when all run."""
    for each in created:
        await api.create(resources.PODS, each)
    pods = cache.Cache(api, resources.PODS)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(pods.run())
        keys = [ObjectKey("default", each["metadata"]["name"]) for each in created]
        ready = [await pods.wait_for(key, _running, 60) for key in keys]
        watch.cancel()
    return ready


def pod(name: str, node: str, networks: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {"k8s.v1.cni.cncf.io/networks": networks} if networks else {},
        },
        "spec": {
            "nodeName": node,
            "containers": [
                {"name": "c", "image": "busybox", "command": ["sleep", "9999"]},
            ],
        },
    }


def inside(lab: str, node: str, name: str) -> tuple[str, ...]:
    """Arguments of `weft lab` that run a command in a pod's network namespace.

    The command runs with the node's files: the pod has no Python.
    """
    show = "for each in /run/weft/*/*/pod.json; do cat $each; echo; done"
    command = (sys.executable, "-m", "weft", "lab", "exec", "--name", lab, node, "--")
    done = subprocess.run(
        [*command, "busybox", "sh", "-c", show], capture_output=True, text=True, check=True
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    (path,) = [each["netns"] for each in records if each["pod"] == name]
    return ("exec", node, "--", "nsenter", f"--net={path}")


def _running(pod: dict[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running"


def _address(pod: dict[str, Any]) -> str:
    entries = json.loads(pod["metadata"]["annotations"]["k8s.ovn.org/pod-networks"])
    return str(entries["default/stream"]["ip_addresses"][0]).partition("/")[0]


def _weft(*argv: str) -> list[str]:
    return [sys.executable, "-m", "weft", "lab", argv[0], "--name", LAB, *argv[1:]]


def _node(node: str, *argv: str) -> str:
    done = subprocess.run(
        _weft("exec", node, "--", *argv), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _wire_by_hand() -> None:
    chassis = {
        node: _node(node, "ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:system-id")
        for node in HAND
    }
    for node in HAND:
        rows = ["--", "ls-add", "hand"]
        rows += ["--", "set", "Logical_Switch", "hand", "other_config:requested-tnl-key=20000"]
        for key, (owner, address) in enumerate(HAND.items(), 1):
            name = f"hand-{owner}"
            where = chassis[owner].strip('"')
            bound = where if owner == node else f"{where},{where}"
            rows += ["--", "lsp-add", "hand", name]
            rows += ["--", "lsp-set-addresses", name, f"{_mac(key)} {address}"]
            rows += ["--", "set", "Logical_Switch_Port", name]
            rows += [f'options:requested-chassis="{bound}"', f"options:requested-tnl-key={key}"]
        _node(node, "ovn-nbctl", *rows[1:])
    for key, (node, address) in enumerate(HAND.items(), 1):
        _node(
            node,
            *("ovs-vsctl", "--", "add-port", "br-int", "hand0", "--", "set", "Interface", "hand0"),
            *("type=internal", f"external_ids:iface-id=hand-{node}", f"mtu_request={MTU}"),
        )
        _node(node, "busybox", "touch", "/run/netns/hand")
        _node(node, "unshare", "--net=/run/netns/hand", "true")
        inside = ("nsenter", "--net=/run/netns/hand", "busybox", "ip")
        holder = f"import os; fd = os.open('/run/netns/hand', os.O_RDONLY); {_MOVE}"
        _node(node, sys.executable, "-c", holder)
        _node(node, *inside, "link", "set", "hand0", "address", _mac(key), "mtu", str(MTU))
        _node(node, *inside, "addr", "add", f"{address}/24", "dev", "hand0")
        _node(node, *inside, "link", "set", "hand0", "up")
    deadline = time.monotonic() + 20
    ping = ("nsenter", "--net=/run/netns/hand", "busybox", "ping", "-c", "1", "-W", "1")
    while subprocess.run(
        _weft("exec", "node1", "--", *ping, HAND["node2"]), capture_output=True, check=False
    ).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError("the ports wired by hand do not reach each other")


_MOVE = (
    "from pyroute2 import IPRoute; link = IPRoute(); "
    "link.link('set', index=link.link_lookup(ifname='hand0')[0], net_ns_fd=fd)"
)


def _mac(key: int) -> str:
    return f"0a:58:c0:00:02:{key:02x}"


def _stream(sender: tuple[str, ...], receiver: tuple[str, ...], address: str) -> float:
    """Mbit/s of one stream of SECONDS."""
    command = _weft(*receiver, sys.executable, "-c", RECEIVER, str(PORT))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as door:
        assert door.stdout is not None
        door.stdout.readline()
        subprocess.run(
            _weft(*sender, sys.executable, "-c", SENDER, address, str(PORT), str(SECONDS)),
            check=True,
        )
        return float(door.stdout.readline())
