"""`weft ip` in a lab: what it lists, what it reserves, and who may do so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.tests.support import lab_pods
from lab.tests.support.lab_pods import Kubectl
from lab.tests.support.labs import LabHouse
from tests.support import objects
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab
LAB = "ip"
READY = ("--for=condition=Ready", f"--timeout={PATIENCE:g}s")


class User:
    """weft as somebody runs it who has nothing but a service account's token."""

    def __init__(self, kubeconfig: str, token: str, folder: Path) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        config["users"] = [
            {"name": each["name"], "user": {"token": token}} for each in config["users"]
        ]
        for each in config["contexts"]:
            each["context"]["namespace"] = "team"
        self._kubeconfig = folder / f"{len(list(folder.iterdir()))}.kubeconfig"
        self._kubeconfig.write_text(yaml.safe_dump(config))

    def __call__(self, *argv: str, ok: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "weft.cli.main", "ip", *argv],
            env={**os.environ, "KUBECONFIG": str(self._kubeconfig)},
            capture_output=True,
            text=True,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, output
        assert "Traceback" not in output
        return output


def account(admin: Kubectl, name: str, role: str) -> str:
    admin("create", "serviceaccount", name, "-n", "team")
    bound = f"--clusterrole={role}", f"--serviceaccount=team:{name}"
    admin("create", "rolebinding", name, "-n", "team", *bound)
    return admin("create", "token", name, "-n", "team").strip()


def pod(name: str, claim: str = "") -> Any:
    element = {"name": "blue", **({"ipam-claim-reference": claim} if claim else {})}
    return lab_pods.pod(name, "node1", [element], namespace="team")


def address(admin: Kubectl, name: str) -> str:
    found = json.loads(admin("get", "pod", name, "-n", "team", "-o", "json"))["metadata"]
    networks = json.loads(found["annotations"]["k8s.v1.cni.cncf.io/network-status"])
    (ip,) = [one["ips"][0] for one in networks if one["interface"] == "net1"]
    return str(ip)


def test_addresses_of_a_tenant(labs: LabHouse, tmp_path: Path) -> None:
    labs.names.append(LAB)
    kubeconfig = labs.json("lab", "up", "--name", LAB, "--nodes", "1")["kubeconfig"]
    admin = Kubectl(labs, kubeconfig)
    admin("create", "namespace", "team")
    admin.apply(
        objects.nad("blue", subnets="10.9.0.0/24", namespace="team", allowPersistentIPs=True)
    )
    tenant = User(kubeconfig, account(admin, "tenant", "edit"), tmp_path)
    viewer = User(kubeconfig, account(admin, "viewer", "view"), tmp_path)
    admin.apply(pod("web"))
    admin("wait", "pod/web", "-n", "team", *READY)

    # Both see the addresses of their namespace, and no other namespace's.
    for user in (tenant, viewer):
        assert f"{address(admin, 'web')}" in user("-n", "team")
        assert "forbidden" in user(ok=False).lower()

    # A tenant reserves, and hears at once what cannot be had; a viewer may not.
    asked = "reserve", "db.blue", "--network", "blue", "--address", "10.9.0.77"
    assert "forbidden" in viewer(*asked, ok=False).lower()
    assert "Reserved 10.9.0.77/24 of network blue" in tenant(*asked)
    taken = tenant(
        *("reserve", "other.blue", "--network", "blue", "--address", address(admin, "web")),
        ok=False,
    )
    assert "is held by Pod team/web" in taken
    assert "other.blue" not in admin("get", "ipamclaims", "-n", "team")
    (line,) = [each for each in viewer("-n", "team").splitlines() if "10.9.0.77" in each]
    assert "team/db.blue" in line

    # The pod that names the claim has the address; then the claim is not let go by accident.
    admin.apply(pod("db", "db.blue"))
    admin("wait", "pod/db", "-n", "team", *READY)
    assert address(admin, "db") == "10.9.0.77"
    assert "--force" in tenant("release", "db.blue", ok=False)
    admin("delete", "pod", "db", "-n", "team")
    assert "forbidden" in viewer("release", "db.blue", ok=False).lower()
    tenant("release", "db.blue")
    assert "10.9.0.77" not in tenant("-n", "team")
