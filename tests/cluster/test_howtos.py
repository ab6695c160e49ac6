"""Pages for clusters do what they say: their manifests and commands, typed as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import chart
from tests.cluster.access import BUSYBOX, Access
from tests.cluster.cluster import PATIENCE

pytestmark = pytest.mark.cluster
DOCS = Path(__file__).resolve().parents[2] / "docs"
MANIFEST = re.compile(r"```yaml\n# (\S+)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^ {4,7}(\S.*)$", re.MULTILINE)
NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"

# What the pages leave to their reader: a network of another plugin, and the pods on it.
OLD: dict[str, object] = {
    "cniVersion": "0.3.1",
    "type": "bridge",
    "name": "shop",
    "bridge": "br-shop",
    "ipam": {"type": "host-local", "subnet": "10.77.0.0/24", "rangeStart": "10.77.0.10"},
}
NEW: dict[str, object] = {
    "cniVersion": "1.0.0",
    "type": "ovn-k8s-cni-overlay",
    "name": "shop",
    "netAttachDefName": "default/shop",
    "topology": "layer2",
    "subnets": "10.77.0.0/24",
    "excludeSubnets": "10.77.0.0/29,10.77.0.8/31",
}


def nad(config: dict[str, object]) -> str:
    return json.dumps(
        {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "shop", "namespace": "default"},
            "spec": {"config": json.dumps(config)},
        }
    )


def shop() -> str:
    container = {"name": "shell", "image": BUSYBOX, "command": ["sleep", "infinity"]}
    pod = {
        "metadata": {
            "labels": {"app": "shop"},
            "annotations": {"k8s.v1.cni.cncf.io/networks": "shop"},
        },
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": "default"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "shop"}},
                "template": pod,
            },
        }
    )


def section(page: str, start: str, end: str) -> str:
    text = (DOCS / page).read_text()
    return text[text.index(start) : text.index(end)]


def follow(access: Access, folder: Path, text: str) -> str:
    """Type the commands of a page's text; what they print, without what they complain of."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(access.program)
    (programs / "weft").write_text(f'#!/bin/sh\nexec {sys.executable} -m weft.cli.main "$@"\n')
    (programs / "weft").chmod(0o755)
    commands = COMMAND.findall(MANIFEST.sub("", text))
    assert commands
    done = subprocess.run(
        ["bash", "-euxc", "\n".join(commands)],
        cwd=folder,
        env={
            **os.environ,
            "KUBECONFIG": str(access.kubeconfig),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(DOCS.parent),
        },
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def members(access: Access, app: str) -> dict[str, str]:
    """The pods of an app, and their addresses on net1."""
    found = {}
    for pod in access.get("pods", "-l", f"app={app}")["items"]:
        status = json.loads(pod["metadata"]["annotations"][NETWORK_STATUS])
        (found[pod["metadata"]["name"]],) = [
            each["ips"][0] for each in status if each["interface"] == "net1"
        ]
    return found


def test_a_first_network_on_a_cluster(weft: Access, tmp_path: Path) -> None:
    text = section("tutorial/first-network-on-a-cluster.md", "## 3.", "Each pod has an interface")
    for name, manifest in MANIFEST.findall(text):
        (tmp_path / name).write_text(manifest.replace("image: busybox", f"image: {BUSYBOX}"))
    try:
        assert "10.9.0.1" in follow(weft, tmp_path, text)
        (first, second, *_) = members(weft, "blue").items()
        assert "bytes from" in weft.inside(first[0], "ping", "-c", "3", second[1])
    finally:
        weft.kubectl("delete", "-f", str(tmp_path / "network.yaml"))


def test_a_network_of_another_plugin_becomes_one_of_weft(weft: Access, tmp_path: Path) -> None:
    weft.machines("uses the plugins bridge and host-local")
    (tmp_path / "new.yaml").write_text(nad(NEW))
    text = section("how-to/come-from-another-plugin.md", "1. Write", "## From ovn-kubernetes")
    try:
        for obj in (nad(OLD), shop()):
            weft.kubectl("apply", "-f", "-", data=obj)
        weft.kubectl("rollout", "status", "deployment/shop", f"--timeout={PATIENCE:.0f}s")
        follow(weft, tmp_path, text)
        weft.kubectl("rollout", "status", "deployment/shop", f"--timeout={PATIENCE:.0f}s")
        (first, second) = members(weft, "shop").items()
        assert "bytes from" in weft.inside(first[0], "ping", "-c", "3", second[1])
    finally:
        weft.kubectl("delete", "deployment", "shop", "--ignore-not-found")
        weft.kubectl("delete", "net-attach-def", "shop", "--ignore-not-found")


def test_the_chart_cannot_make_weft_the_primary_network(weft: Access) -> None:
    wanted = "--set=clusterSubnets=10.128.0.0/14/23"
    output = chart.Chart(weft).helm("template", str(chart.CHART), wanted, ok=False)
    assert "values don't meet the specifications of the schema" in output
