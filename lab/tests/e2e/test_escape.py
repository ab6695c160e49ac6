"""Ways out of a pod, tried by the pod itself: nothing of the machine or the lab can be reached."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.tests.support import ordinary
from lab.tests.support.labs import ROOT
from weft_lab.runtime import databases, toolchain
from weft_lab.vm import guest

pytestmark = pytest.mark.lab
ATTACK = ROOT / "lab/tests/support/inside/escape.py"

# Brings a lab up, runs the pods of its input to their ends, says what each printed; a control runs
# the same attack in the node, whose namespaces a lab's pod must not have.
DRIVE = """
import json, os, subprocess, sys
from weft_lab.runtime import toolchain
order = json.load(sys.stdin)
kubectl = toolchain.ensure().program("kubectl")
def weft(*argv):
    argv = [sys.executable, "-m", "weft.cli.main", "lab", *argv]
    done = subprocess.run(argv, capture_output=True, text=True)
    return done.stdout + done.stderr
up = weft("up", "--name", "escape", "--nodes", "1", "--output", "json")
try:
    os.environ["KUBECONFIG"] = json.loads(up)["kubeconfig"]
    def kube(*argv, data=""):
        done = subprocess.run([kubectl, *argv], input=data, capture_output=True, text=True)
        return done.stdout + done.stderr
    pods = [pod["metadata"]["name"] for pod in order["pods"] if pod["metadata"]["name"] != "idle"]
    listed = {"kind": "List", "apiVersion": "v1", "items": order["pods"]}
    made = kube("apply", "-f", "-", data=json.dumps(listed))
    logs = {}
    for pod in pods:
        ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.reason}"
        waited = kube("wait", ended, f"pod/{pod}", "--timeout=60s")
        logs[pod] = kube("logs", pod) + waited + made
    control = weft("exec", "--name", "escape", "node1", "--", *order["control"])
    kube("wait", "--for=condition=Ready", "pod/idle", "--timeout=60s")
    entered = weft("exec", "--name", "escape", "default/idle", "--", "sh", "-c", order["enter"])
    told = kube("get", "events", "-o", "jsonpath={.items[*].message}")
    print(json.dumps({"logs": logs, "control": control, "told": told, "entered": entered}))
except Exception as error:
    print(json.dumps({"failed": repr(error), "up": up}))
finally:
    weft("down", "--name", "escape")
"""


def attacker(
    name: str, attack: list[str], *, image: str = "lab.weft/virt-launcher", **security: Any
) -> Any:
    vmi = {"metadata": {"name": name, "namespace": "default"}, "spec": {"domain": {}}}
    container = {
        "name": "c",
        "image": image,
        "command": attack,
        "env": [{"name": "WEFT_VMI", "value": json.dumps(vmi)}],
        "securityContext": security,
    }
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("user", ["root", "ordinary"])
def test_nothing_of_the_machine_is_reached(
    user: str, tmp_path: Path, toolchain: toolchain.Toolchain
) -> None:
    if user == "root" and os.geteuid() != 0:
        pytest.skip("only root can be root")
    databases.ensure(toolchain)
    guest.ensure(toolchain)
    tmp_path.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    token = secrets.token_hex(16)
    secret = home / "secret"
    secret.write_text(token)
    secret.chmod(0o644)
    attack = [
        sys.executable,
        "-c",
        ATTACK.read_text(),
        token,
        str(secret),
        str(os.stat("/").st_dev),
    ]
    shell = f"cat /proc/1/root{secret} {secret}; cat /run/weft/kubeconfig; echo did"
    pods = [
        attacker("plain", attack),
        attacker("mighty", attack, privileged=True),
        attacker(
            "adding", attack, capabilities={"add": ["SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"]}
        ),
        attacker("quiet", attack, allowPrivilegeEscalation=False, capabilities={"drop": ["ALL"]}),
        attacker("small", ["sh", "-c", shell], image="busybox"),
        attacker("other", ["id"], image="busybox", runAsUser=1000, runAsGroup=2000),
        attacker("shut", ["touch", "/tmp/x"], image="busybox", readOnlyRootFilesystem=True),
        attacker("full", ["dd", "if=/dev/zero", "of=/x", "bs=1M", "count=600"], image="busybox"),
        attacker("idle", ["sleep", "999"], image="busybox"),
        {
            **attacker("beside", attack),
            "spec": {**attacker("beside", attack)["spec"], "hostNetwork": True},
        },
    ]
    enter = f"id -u; cat {secret} /proc/1/root{secret}; ip addr add 10.9.9.9/32 dev lo && echo set"
    order = json.dumps({"pods": pods, "control": attack, "enter": enter})
    argv = [sys.executable, "-c", DRIVE]
    if user == "root" or os.geteuid() != 0:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(home)}
        done = subprocess.run(
            argv, input=order, env=env, capture_output=True, text=True, check=False
        )
    else:
        done = ordinary.run(argv, home=home, env={}, stdin=order)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "logs" in found, found
    logs = found["logs"]
    for pod in ("plain", "mighty", "adding", "quiet", "beside"):
        assert "REACHED []" in logs[pod], f"{pod}: {logs[pod]} {found['told']}"
    assert "did" in logs["small"]
    assert token not in logs["small"]
    assert "certificate" not in logs["small"]
    if user == "root":
        assert "uid=1000 gid=2000" in logs["other"]
    else:
        assert "user 1000, groups [2000]: this lab's pods do not have them" in found["told"]
    assert "Read-only file system" in logs["shut"]
    assert "No space left on device" in logs["full"], "what it writes is in the machine's memory"
    assert found["entered"].startswith("0\n"), "root of the pod,"
    assert "\nset\n" not in found["entered"], "with its container's capabilities and no more"
    assert token not in found["entered"]
    assert f"file {secret}" in found["control"], found["control"]
    assert "path /run/weft/kubeconfig" in found["control"]
    assert "privileged gives every capability inside the pod alone" in found["told"]
