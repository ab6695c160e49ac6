"""Runs the kubelet stand-in of one node, in the node's namespaces.

It connects the parts of the kubelet; `pods.py` runs the pods.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import logging
import os
import platform
import shutil
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from weft import errors
from weft.cni import install
from weft.control import loop
from weft.host import netlink
from weft.kube import cache, client, events, resources
from weft.model import ObjectKey
from weft_lab import foreground
from weft_lab.kubelet import (
    containerconfig,
    images,
    launchers,
    network,
    nodeobject,
    pods,
    sandbox,
    streaming,
)
from weft_lab.multus import attach, primary
from weft_lab.vm import disks

log = logging.getLogger(__name__)

HANDLER = "weft_lab.vm.handler"
HEARTBEAT = 240.0
NETWORK_STATUS = 10.0  # seconds between two looks at the network
RUN = Path("/run/weft")
LOGS = RUN / "logs"
_PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Config:
    """The options of one kubelet.

    `run` is the node's folder for state that ends with the node. An empty `address` is looked up.
    `disks` are the folders whose images virtual machines may use. `primary`: eth0 of pods is on
    weft's default network ("weft"), or on a bridge of this node ("none").
    """

    node: str
    kubeconfig: str
    run: Path = RUN
    logs: Path = LOGS
    address: str = ""
    multus_kubeconfig: str = ""  # empty: Multus uses the kubelet's identity
    primary: str = "none"
    disks: tuple[disks.Folder, ...] = ()


async def run(config: Config) -> None:
    """Run until cancelled; the node's pods keep running."""
    environment = await asyncio.to_thread(_prepare, config)
    async with (
        client.Client.from_kubeconfig(config.kubeconfig) as api,
        client.Client.from_kubeconfig(config.multus_kubeconfig or config.kubeconfig) as of_multus,
    ):
        node = await _register(api, config, environment.host_ip)
        recorder = events.Recorder(api, "kubelet")
        networks = events.Recorder(of_multus, "multus")
        nads = cache.Cache(of_multus, resources.NADS)
        mine = cache.Cache(api, resources.PODS, field_selector=f"spec.nodeName={config.node}")
        own = cache.Cache(api, resources.NODES, field_selector=f"metadata.name={config.node}")

        async def bridge() -> primary.Primary:
            known = await own.wait_for(ObjectKey("", config.node), _has_range, None)
            subnet = IPv4Network(known["spec"]["podCIDR"])
            return primary.Primary(subnet, config.run / "primary")

        async def serve_pods() -> None:
            multus = attach.Multus(
                client=of_multus,
                nads=nads,
                recorder=networks,
                primary=None if config.primary == "weft" else await bridge(),
                path=str(config.run / "cni/bin"),
            )
            variables = launchers.variables(os.environ)
            machines = launchers.Launchers(config.disks, variables, launchers.finder(api))
            await pods.Pods(api, mine, multus, recorder, environment, machines).run()

        async def beat() -> None:
            """Report in the Node whether the network is ready: at each change and at intervals."""
            shown, clock = network.ReportedTrouble(), asyncio.get_running_loop()
            reported_at = clock.time()
            while True:
                await asyncio.sleep(NETWORK_STATUS)
                has_changed = config.primary == "weft" and shown.changes(
                    await network.trouble(str(config.run / "cni/bin"))
                )
                is_due = clock.time() >= reported_at + HEARTBEAT
                if has_changed or is_due:
                    reported_at = clock.time()
                    known = own.get(ObjectKey("", config.node)) or node
                    await _write_status(api, config, environment.host_ip, known, shown.trouble)

        parts = {
            "events": recorder.run(),
            "multus events": networks.run(),
            "nads": nads.run(),
            "own pods": mine.run(),
            "own node": own.run(),
            "pods": serve_pods(),
            "streams": streaming.run(config.run, environment),
            "heartbeat": beat(),
        }
        parts |= _machines(api, config.node, environment.host_ip)
        log.info("kubelet of %s at %s", config.node, environment.host_ip)
        await loop.together(**parts)


def _machines(api: client.Client, node: str, address: str) -> dict[str, Coroutine[Any, Any, None]]:
    """What follows the node's virtual machines, where this lab has that part."""
    if importlib.util.find_spec(HANDLER) is None:
        return {}
    return {"vm handler": importlib.import_module(HANDLER).run(api, node, address)}


def _has_range(node: dict[str, Any]) -> bool:
    return bool(node["spec"].get("podCIDR"))


def _prepare(config: Config) -> containerconfig.Environment:
    """Make the folders, the busybox root and the CNI plugin; return containers' environment."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise errors.Unavailable(
            "is not on PATH, and containers need it",
            where="program busybox",
            hint="put the lab's programs first on PATH, as `weft lab up` does",
        )
    for folder in (config.run, config.run / "pods", config.logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    sandbox.NETNS.mkdir(parents=True, exist_ok=True)
    install.install(config.run / "cni/bin")
    return containerconfig.Environment(
        folder=config.run / "pods",
        logs=config.logs,
        image=images.ensure(config.run / "image", Path(busybox)),
        plain={"PATH": _PLAIN_PATH, "HOME": "/root"},
        host_ip=config.address or find_address(),
        host_name=config.node,
    )


def find_address() -> str:
    """The node's own address: that of its first link that leads out."""
    for name in ("eth0", "br-phy"):
        link = netlink.read(name)
        if link is not None and link.addresses:
            return str(link.addresses[0].ip)
    return "127.0.0.1"


async def _register(api: client.Client, config: Config, address: str) -> dict[str, Any]:
    """Create or update the Node object."""
    name = config.node
    meta = nodeobject.metadata(name, _architecture())
    try:
        node = await api.get(resources.NODES, name)
        if any(
            (node["metadata"].get("labels") or {}).get(k) != v for k, v in meta["labels"].items()
        ):
            body = {"metadata": {"labels": meta["labels"]}}
            node = await api.patch(resources.NODES, name, "", body)
    except client.NotFound:
        new = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}}
        try:
            node = await api.create(resources.NODES, new)
        except client.AlreadyExists:
            node = await api.get(resources.NODES, name)
    await _write_status(api, config, address, node)
    return node


async def _write_status(
    api: client.Client, config: Config, address: str, node: dict[str, Any], network: str = ""
) -> None:
    status = nodeobject.status(
        config.node,
        address,
        cpus=os.cpu_count() or 1,
        memory_kib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024,
        now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        system={
            "kernelVersion": platform.release(),
            "architecture": _architecture(),
            "osImage": platform.version(),
            "machineID": config.node,
            "systemUUID": config.node,
            "bootID": config.node,
        },
        earlier=node.get("status") or {},
        network=network,
    )
    try:
        # Keep the conditions that others write.
        await api.patch(
            *(resources.NODES, config.node, "", {"status": status}),
            type="strategic",
            subresource="status",
        )
    except client.NotFound as error:
        raise errors.Unavailable(
            "was deleted while its kubelet runs",
            where=f"Node {config.node}",
            hint="restart the kubelet: it registers the node anew",
        ) from error


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def parse_arguments(argv: Sequence[str] | None) -> Config:
    parser = argparse.ArgumentParser(prog="kubelet", description="kubelet stand-in of the lab")
    parser.add_argument("--node", required=True, help="name of the node")
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API")
    parser.add_argument("--multus-kubeconfig", default="", help="how Multus does, if as another")
    parser.add_argument("--run", type=Path, default=RUN, help="folder for runtime state")
    parser.add_argument(
        "--logs",
        type=Path,
        default=Path(os.environ.get("WEFT_POD_LOGS", str(LOGS))),
        help="folder for what containers print (also $WEFT_POD_LOGS)",
    )
    parser.add_argument("--address", default="", help="the node's address; found if not given")
    parser.add_argument(
        "--primary",
        choices=("weft", "none"),
        default="none",
        help="pods' first network: weft's, or a bridge on this node",
    )
    parser.add_argument(
        "--disks",
        type=disks.parse,
        action="append",
        default=[],
        help="[FORMAT:]FOLDER of disks that virtual machines may have; may be repeated",
    )
    given = vars(parser.parse_args(argv))
    return Config(**{**given, "disks": tuple(given["disks"])})


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_arguments(argv)
    return foreground.serve(lambda: run(config))


if __name__ == "__main__":
    sys.exit(main())
