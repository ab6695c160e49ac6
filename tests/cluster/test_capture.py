"""`weft capture` on stock Kubernetes: through `kubectl exec` into the agent's pod."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.cluster.chart import NAMESPACE
from tests.cluster.cluster import PATIENCE, until
from tests.cluster.room import Room
from tests.support import frames, pcapfile

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def pods(here: Room) -> Iterator[Room]:
    """`asks` on one node, `answers` and `stranger` on another."""
    nodes = here.access.nodes()
    here.apply(here.nad("wire", "10.95.0.0/24"))
    here.run(
        here.pod("asks", "wire", node=nodes[0]),
        here.pod("answers", "wire", node=nodes[-1]),
        here.pod("stranger", "wire", node=nodes[-1]),
    )
    for name in ("answers", "stranger"):
        here.answers("asks", here.addresses(name)[0])
    yield here
    here.delete("asks", "answers", "stranger")


@contextmanager
def capturing(room: Room, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """A capture that has begun."""
    programs = str(Path(room.access.program).parent)
    process = subprocess.Popen(
        [sys.executable, "-m", "weft", "capture", *argv, f"--namespace={room.namespace}"],
        env={
            **os.environ,
            "KUBECONFIG": str(room.access.kubeconfig),
            "PATH": f"{programs}:{os.environ['PATH']}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("capturing "), first + process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def test_the_packets_of_one_pod_come_through_kubectl(pods: Room, tmp_path: Path) -> None:
    file = tmp_path / "answers.pcapng"
    asks, answers = (pods.addresses(name)[0] for name in ("asks", "answers"))
    with capturing(pods, "answers", "-w", str(file), "--filter", "icmp") as running:
        assert pods.reaches("asks", pods.addresses("stranger")[0])
        assert pods.reaches("asks", answers, size=1200)
        running.send_signal(signal.SIGINT)
        _, output = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, output
    assert "0 packets dropped by the kernel" in output
    found = set()
    for each in pcapfile.read(file.read_bytes()).packets:
        assert frames.icmp(each.data)
        ends = (str(ip_address(each.data[at : at + 4])) for at in (26, 30))
        found.add((each.direction, *ends))
    assert found == {
        (pcapfile.INBOUND, asks, answers),
        (pcapfile.OUTBOUND, answers, asks),
    }


# Prints how many captures run in the container, whatever their user.
_CAPTURES = """
import pathlib
found = 0
for each in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        program, *rest = each.read_bytes().split(b"\\0")
        found += b"python" in program and b"weft.observe.capture.onnode" in rest
    except OSError:
        pass
print(found)
"""


def captures(room: Room) -> int:
    """The processes that capture in the agents' pods."""
    listed = room.access.get("pods", "-n", NAMESPACE)["items"]
    return sum(
        int(
            room.access.kubectl(
                *("-n", NAMESPACE, "exec", pod["metadata"]["name"], "-c", "agent", "--"),
                *("python3", "-I", "-c", _CAPTURES),
            )
        )
        for pod in listed
        if any(each["name"] == "agent" for each in pod["spec"]["containers"])
    )


def test_a_reader_that_is_killed_leaves_no_capture_on_the_node(pods: Room) -> None:
    """Both deaths: of the command, and of kubectl below it."""
    for who in ("weft", "kubectl"):
        with capturing(pods, "answers", "--filter", "icmp") as running:
            assert captures(pods) == 1, "the control: it is seen while it runs"
            children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text()
            (kubectl,) = map(int, children.split())
            os.kill(running.pid if who == "weft" else kubectl, signal.SIGKILL)
            until(lambda: captures(pods) == 0, f"the capture to end with {who}")
