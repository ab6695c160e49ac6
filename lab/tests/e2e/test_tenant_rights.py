"""Networks that administrators declare, and a tenant who uses them with a token of his own."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from lab.tests.support import lab_pods
from lab.tests.support.lab_pods import Kubectl
from lab.tests.support.labs import LabHouse
from tests.support import objects
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab
LAB = "tenant-rights"
READY = ("--for=condition=Ready", f"--timeout={PATIENCE:g}s")


class Tenant:
    """kubectl with a service account's token, and no other right than what it is given."""

    def __init__(self, labs: LabHouse, kubeconfig: str, token: str) -> None:
        self._program = labs.tools.program("kubectl")
        self._env = {**os.environ, "KUBECONFIG": kubeconfig}
        self._token = token

    def __call__(self, *argv: str, obj: object = None) -> tuple[bool, str]:
        """Whether it was done, and what was said."""
        done = subprocess.run(
            [self._program, f"--token={self._token}", *argv],
            input=json.dumps(obj) if obj is not None else None,
            env=self._env,
            capture_output=True,
            text=True,
        )
        return done.returncode == 0, done.stdout + done.stderr


def test_a_tenant_uses_networks_and_declares_none(labs: LabHouse) -> None:
    labs.names.append(LAB)
    found = labs.json("lab", "up", "--name", LAB, "--nodes", "2")
    admin = Kubectl(labs, found["kubeconfig"])
    for name in ("ta", "tb", "other"):
        admin("create", "namespace", name)
    theirs = objects.nad("theirs", subnets="10.8.0.0/24", namespace="other")
    admin.apply(objects.nad("shared", subnets="10.9.0.0/24"), theirs)
    admin("create", "serviceaccount", "tenant", "-n", "ta")
    for name in ("ta", "tb"):
        admin(
            "create",
            "rolebinding",
            "tenant",
            "-n",
            name,
            "--clusterrole=edit",
            "--serviceaccount=ta:tenant",
        )
    token = admin("create", "token", "tenant", "-n", "ta").strip()
    tenant = Tenant(labs, found["kubeconfig"], token)

    # Both of his namespaces use the network that the administrators declared.
    for namespace, name, node in (("ta", "web", "node1"), ("tb", "peer", "node2")):
        pod = lab_pods.pod(name, node, networks="default/shared", namespace=namespace)
        done, output = tenant("create", "-f", "-", obj=pod)
        assert done, output
        admin("wait", "-n", namespace, f"pod/{name}", *READY)
    status = json.loads(admin("get", "pod", "-n", "ta", "web", "-o", "json"))["metadata"]
    networks = json.loads(status["annotations"]["k8s.v1.cni.cncf.io/network-status"])
    (address,) = [one["ips"][0] for one in networks if one["interface"] == "net1"]
    labs.reach("tb/peer", address)

    # He sees networks of his namespaces, and declares, changes or removes none anywhere.
    assert tenant("get", "nad", "-n", "ta")[0]
    mine = objects.nad("mine", subnets="10.7.0.0/24", namespace="ta")
    thief = lab_pods.pod("thief", "node1", networks="theirs", namespace="other")
    for argv, obj in (
        (("create", "-f", "-"), mine),
        (("delete", "nad", "shared", "-n", "default"), None),
        (("annotate", "nad", "theirs", "-n", "other", "a=b"), None),
        (("get", "nad", "-n", "other"), None),
        (("get", "nodes"), None),
        (("create", "-f", "-"), thief),
        (("annotate", "node", "node1", "a=b"), None),
    ):
        done, output = tenant(*argv, obj=obj)
        assert not done, (argv, output)
        assert 'User "system:serviceaccount:ta:tenant" cannot' in output, (argv, output)

    # What weft writes is weft's alone, though he may write the rest of his pods.
    forged = "k8s.ovn.org/pod-networks={}"
    done, output = tenant("annotate", "--overwrite", "pod", "web", "-n", "ta", forged)
    assert not done
    assert "are written by weft alone; leave them out, or as they are" in output
    assert tenant("annotate", "pod", "web", "-n", "ta", "own=1")[0]

    # Another's network is closed to his pods, too.
    pod = lab_pods.pod("grip", "node1", networks="other/theirs", namespace="ta")
    assert tenant("create", "-f", "-", obj=pod)[0]
    assert "does not admit namespace ta" in admin.event("grip", "FailedCreatePodSandBox", "ta")

    # The parts of the lab have no more rights than on a cluster.
    for who, verb, what, allowed in (
        ("system:serviceaccount:weft-system:weft-node", "patch", "nodes", True),
        ("system:serviceaccount:weft-system:weft-node", "get", "secrets", False),
        ("system:serviceaccount:weft-system:weft-cluster-manager", "delete", "pods", False),
        ("system:serviceaccount:kube-system:multus", "create", "pods", False),
    ):
        group = f"--as-group=system:serviceaccounts:{who.split(':')[2]}"
        asked = ("auth", "can-i", verb, what, "-A", f"--as={who}", group)
        answer = subprocess.run(
            [labs.tools.program("kubectl"), *asked],
            env={**os.environ, "KUBECONFIG": found["kubeconfig"]},
            capture_output=True,
            text=True,
        )
        assert answer.stdout.strip() == ("yes" if allowed else "no"), (who, verb, what)
