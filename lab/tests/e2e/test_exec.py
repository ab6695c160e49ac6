"""`weft lab exec` in a pod: its command has the container's bounds and not the user's terminal."""

from __future__ import annotations

import os
import pty
import re
import sys
from typing import Any

import pytest

from lab.tests.support.lab_pods import Kubectl, pod
from lab.tests.support.labs import ROOT, LabHouse
from weft_lab import up

pytestmark = pytest.mark.lab
SAME = "Uid|Gid|Groups|NoNewPrivs|Seccomp|Cap"
LIMITS = "Max processes|Max file size"


def bounded(name: str, **security: Any) -> dict[str, Any]:
    made = pod(name, "node1")
    made["spec"]["containers"][0] |= {
        "securityContext": security,
        "workingDir": "/tmp",
        "env": [{"name": "GREETING", "value": "hello"}],
    }
    return made


def at_a_terminal(*argv: str) -> tuple[str, int]:
    """What a user sees, and the exit status; the terminal's own number comes first."""
    pid, seen = pty.fork()
    if pid == 0:
        os.write(1, b"mine %d\n" % os.fstat(0).st_rdev)
        os.execvpe(
            sys.executable,
            [sys.executable, "-m", "weft.cli.main", "lab", "exec", *argv],
            {**os.environ, "PYTHONPATH": str(ROOT)},
        )
    output = b""
    try:
        while data := os.read(seen, 4096):
            output += data
    except OSError:
        pass  # its other end is closed
    os.close(seen)
    return output.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_runs_in_a_pod_is_bound_like_the_pod(labs: LabHouse) -> None:
    kubeconfig = labs.up("exec", 1, up.installed())["kubeconfig"]
    kubectl = Kubectl(labs, kubeconfig)
    kubectl.run_pods(
        bounded("plain"),
        bounded("shut", allowPrivilegeEscalation=False, capabilities={"drop": ["ALL"]}),
        bounded("mighty", privileged=True),
    )
    mine = "for each in status limits; do grep -E '^(%s)' /proc/%s/$each; done"
    for name in ("plain", "shut", "mighty"):
        found = [
            labs.run(f"default/{name}", "sh", "-c", mine % (f"{SAME}|{LIMITS}", process)).stdout
            for process in ("self", "$(pidof sleep)")
        ]
        assert found[0] == found[1]
        assert "Max file size" in found[0]
    setting = ("ip", "addr", "add", "10.9.9.9/32", "dev", "lo")
    assert labs.run("default/plain", *setting, check=False).returncode != 0
    labs.run("default/mighty", *setting)
    seen = labs.run("default/plain", "sh", "-c", "pwd; echo $GREETING; env")
    assert seen.stdout.startswith("/tmp\nhello\n")
    assert "OVS_RUNDIR" not in seen.stdout, "the lab's own environment is none of its"

    show = "stat -L -c %t:%T /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; stty size; exit 7"
    output, status = at_a_terminal("--name", "exec", "default/plain", "--", "sh", "-c", show)
    assert status == 7
    (mine,) = re.findall(r"mine (\d+)", output)
    numbers = [
        tuple(int(part, 16) for part in each) for each in re.findall(r"(\w+):(\w+)\r", output)
    ]
    assert len(numbers) == 3
    assert len(set(numbers)) == 1
    assert os.makedev(*numbers[0]) != int(mine)
    # And a control: in a node it is the user's own.
    told = "import os; print('there', os.fstat(0).st_rdev)"
    output, _ = at_a_terminal("--name", "exec", "node1", "--", sys.executable, "-c", told)
    assert re.findall(r"(?:mine|there) (\d+)", output) == [output.split()[1]] * 2
