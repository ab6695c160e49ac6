"""Installs weft on the cluster as a user does: the image given to the nodes, the chart by Helm."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.cluster import goparts, missing
from tests.cluster.access import BUSYBOX, Access, Object
from tests.cluster.cluster import PATIENCE, Machine, until
from weft import names

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/chart"
NAMESPACE = "weft-system"
NODE, MANAGER = "ds/weft-node", "deploy/weft-cluster-manager"
# Kinds of objects that could keep something of weft.
KINDS = (
    *("nodes", "pods", "net-attach-def", "multi-networkpolicies", "secrets", "configmaps"),
    *("leases", "serviceaccounts", "services", "roles", "rolebindings", "clusterroles"),
    *("clusterrolebindings", "poddisruptionbudgets", "jobs", "daemonsets", "deployments"),
    *("validatingwebhookconfigurations", "validatingadmissionpolicies"),
    *("validatingadmissionpolicybindings", "userdefinednetworks", "clusteruserdefinednetworks"),
    *("networks.weft.internal", "podendpoints.weft.internal", "namespaces"),
)
# The NADs of UserDefinedNetworks stay with these, and with the label by which weft knows them.
STAYS = f'net-attach-def: {names.UDN_LABEL}: ""'
NONE_LOST = ", 0% packet loss"
FOLDERS = "/run/weft /run/openvswitch /run/netns"  # where weft writes
MARKS = (
    "weft/",
    "k8s.ovn.org/",
    "physical-network.weft/",
    "- weft/",
    "- k8s.ovn.org/",
    "name: weft",
)


@cache
def image() -> Path:
    """The image of this checkout; `WEFT_IMAGE` names one that is built already."""
    if given := os.environ.get("WEFT_IMAGE"):
        return Path(given)
    made = ROOT / "dist/weft-test.tar"
    subprocess.run(
        [sys.executable, "-m", "tools.image", "--output", str(made)], cwd=ROOT, check=True
    )
    return made


def is_installed(access: Access) -> bool:
    return bool(access.kubectl("-n", NAMESPACE, "get", NODE, "--ignore-not-found").strip())


@dataclass(frozen=True, slots=True)
class Chart:
    """weft's chart on one cluster."""

    access: Access

    def helm(self, *arguments: str, ok: bool = True) -> str:
        """Output and complaints of one command; fails unless it succeeds as expected."""
        with missing.skipped():
            program = goparts.build(goparts.HELM) / "helm"
        done = subprocess.run(
            [program, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.access.kubeconfig)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert (done.returncode == 0) is ok, f"helm {' '.join(arguments)}: {done.stdout}"
        return done.stdout

    def upgrade(self, *values: str) -> None:
        """Install or upgrade with these values, and wait until all of weft is ready."""
        own = self.access.machines()
        given = [
            *("node.tunnelInterface=eth1", f"apiServer.host={own.spec.control_address.ip}"),
            *values,
        ]
        flags = [f"--set={each}" for each in given]
        self.helm(
            *("upgrade", "--install", "weft", str(CHART), f"--namespace={NAMESPACE}"),
            *("--create-namespace", *flags),
        )
        self.ready()

    def ready(self) -> None:
        """An agent is ready when its switch works."""
        for each in (NODE, MANAGER):
            self.kubectl("rollout", "status", each, f"--timeout={PATIENCE:.0f}s")

    def answers(self, source: str, target: str) -> None:
        """Wait until a ping from a pod is answered."""
        until(
            lambda: (
                "bytes from"
                in self.access.inside(source, "sh", "-c", f"ping -c1 -W2 {target} || true")
            ),
            f"an answer of {target}",
        )

    def kubectl(self, *arguments: str) -> str:
        return self.access.kubectl("-n", NAMESPACE, *arguments)


def network(name: str, subnet: str) -> Object:
    config = (
        f'{{"cniVersion": "1.0.0", "type": "ovn-k8s-cni-overlay", "name": "{name}", '
        f'"netAttachDefName": "default/{name}", "topology": "layer2", "subnets": "{subnet}"}}'
    )
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"config": config},
    }


def pod(name: str, node: str, networks: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": {"k8s.v1.cni.cncf.io/networks": networks}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": BUSYBOX, "imagePullPolicy": "Never"}],
        },
    }


def address(access: Access, name: str) -> str:
    """The address of a pod's first interface beside eth0."""
    annotations = access.get("pod", name)["metadata"]["annotations"]
    status = json.loads(annotations["k8s.v1.cni.cncf.io/network-status"])
    return str(next(each["ips"][0] for each in status if each["interface"] == "net1"))


@dataclass(slots=True)
class Pings:
    """The pings of one scope that were answered, by their numbers, from the first answer on."""

    answered: list[int] = field(default_factory=list)

    @property
    def lost(self) -> list[int]:
        """Those that were never answered; the one that was on its way in the end does not count."""
        every = range(self.answered[0], self.answered[-1] + 1)
        return sorted(set(every) - set(self.answered))


@contextmanager
def pings(access: Access, source: str, target: str) -> Iterator[Pings]:
    """Ten pings a second from a pod, for as long as the scope lasts."""
    script = f"echo $$ > /tmp/ping; exec ping -i 0.1 {target}"
    found = Pings()
    process = subprocess.Popen(
        [access.program, "exec", source, "--", "sh", "-c", script],
        env={**os.environ, "KUBECONFIG": str(access.kubeconfig)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.readline() + process.stdout.readline()  # it has begun, and is answered
    try:
        yield found
    finally:
        access.inside(source, "sh", "-c", "kill -INT $(cat /tmp/ping)")
        output += process.stdout.read()
        process.wait(PATIENCE)
        found.answered += map(int, re.findall(r"\bseq=(\d+)", output))


def traces(node: Machine) -> dict[str, str]:
    """What could be left of weft on a node."""
    return {
        "devices": re.sub(r"@\S+|veth\S*.*\n|cni0.*\n", "", _output(node, "ip", "-br", "link")),
        "addresses": _output(node, "ip", "-br", "-4", "address", "show", "dev", "eth1"),
        "plugins": _output(node, "ls", "/opt/cni/bin"),
        "files": _output(
            node, "sh", "-c", f"find {FOLDERS} ! -type d ! -name 'cni-*' 2>/dev/null; true"
        ),
    }


def left_in(access: Access) -> list[str]:
    """Whatever names weft in the cluster's objects, besides the name of its image and namespace."""
    found = []
    for kind in KINDS:
        output = access.kubectl("get", kind, "-A", "-o", "yaml", "--show-managed-fields=false")
        lines = [line.strip() for line in output.splitlines() if "localhost/weft" not in line]
        found += [f"{kind}: {each}" for each in lines if each.startswith(MARKS)]
    return [each for each in found if not each.endswith(f"name: {NAMESPACE}") and each != STAYS]


def _output(node: Machine, *argv: str) -> str:
    return node.run(*argv).stdout.decode()
