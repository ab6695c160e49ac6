"""kubectl's exec, attach, cp, debug and port-forward, on pods of a lab."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import IO, Any, NoReturn

import pytest

from lab.tests.support import pods
from lab.tests.support.pods import Cluster
from tests.support.objects import pod
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.lab
MEGABYTES = 10
SERVE = "httpd -p 127.0.0.1:8080 -h /bin; exec sleep 1000"


class Kubectl:
    """A user's kubectl, by bytes."""

    def __init__(self, cluster: Cluster, *options: str) -> None:
        self._program = cluster.house.tools.program("kubectl")
        self._env = {**os.environ, "KUBECONFIG": cluster.kubeconfig, "TERM": "xterm"}
        self._options = options

    def start(self, *argv: str, source: IO[bytes] | int = PIPE) -> subprocess.Popen[bytes]:
        command = [self._program, *self._options, *argv]
        return subprocess.Popen(command, env=self._env, stdin=source, stdout=PIPE, stderr=PIPE)

    def become(self, *argv: str) -> NoReturn:
        os.execve(self._program, [self._program, *self._options, *argv], self._env)

    def run(self, *argv: str, given: bytes = b"") -> tuple[int, bytes, str]:
        """Exit status, output and error."""
        process = self.start(*argv)
        output, error = process.communicate(given, timeout=PATIENCE)
        return process.returncode, output, error.decode()


@pytest.fixture(scope="module")
def cluster(pod_lab: Cluster) -> Iterator[Cluster]:
    pod_lab.create(pod("web", script=SERVE))
    pod_lab.wait_ready("web")
    yield pod_lab
    pod_lab.delete("web", grace=0)
    assert pod_lab.left() == pods.NOTHING


@pytest.fixture
def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(cluster)


def processes(cluster: Cluster, command: str) -> int:
    """How many processes of the pod have this command line."""
    return cluster.run("web", "ps", "-o", "args").splitlines().count(command)


def until_gone(cluster: Cluster, command: str) -> None:
    end = time.monotonic() + PATIENCE
    while processes(cluster, command):
        assert time.monotonic() < end, f"{command} still runs"


def steady(figure: Callable[[], int]) -> int:
    """The figure, when it has not changed for a second."""
    before, now = -1, figure()
    end = time.monotonic() + PATIENCE
    while now != before:
        assert time.monotonic() < end, "it goes on although nobody reads"
        time.sleep(1)
        before, now = now, figure()
    return now


def test_a_command_has_its_streams_and_its_status(kubectl: Kubectl) -> None:
    script = "id -u; echo told >&2; exit 7"
    status, output, error = kubectl.run("exec", "web", "--", "sh", "-c", script)
    assert (status, output) == (7, b"0\n")
    assert error.splitlines() == ["told", "command terminated with exit code 7"]
    status, _, error = kubectl.run("exec", "web", "--", "no-such-program")
    assert status == 1
    assert 'exec: "no-such-program": executable file not found in $PATH' in error


def test_a_long_input_arrives_whole_and_comes_back(kubectl: Kubectl) -> None:
    given = os.urandom(MEGABYTES << 20)
    status, output, _ = kubectl.run("exec", "-i", "web", "--", "tee", "/tmp/got", given=given)
    assert (status, output == given) == (0, True)
    digest = kubectl.run("exec", "web", "--", "sha256sum", "/tmp/got")[1]
    assert digest.split()[0].decode() == hashlib.sha256(given).hexdigest()


def test_who_reads_slowly_slows_the_command_down(cluster: Cluster, kubectl: Kubectl) -> None:
    process = kubectl.start("exec", "web", "--", "sh", "-c", "cat /dev/zero | tee /dev/null")
    assert process.stdout is not None
    process.stdout.read(1)

    def written() -> int:
        """Bytes that `tee` has passed on."""
        found = cluster.run("web", "sh", "-c", "cat /proc/$(pidof tee)/io")
        return int(re.findall(r"wchar: (\d+)", found)[0])

    assert steady(written) < 64 << 20
    process.kill()
    process.communicate()
    until_gone(cluster, "tee /dev/null")


def test_a_client_that_goes_ends_its_command(cluster: Cluster, kubectl: Kubectl) -> None:
    process = kubectl.start("exec", "web", "--", "sh", "-c", "echo runs; sleep 4321; true")
    assert process.stdout is not None
    assert process.stdout.readline() == b"runs\n"
    assert processes(cluster, "sleep 4321") == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until_gone(cluster, "sleep 4321")


def test_a_client_that_goes_while_its_input_waits_ends_its_command(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    with open("/dev/zero", "rb") as zero:
        command = ("sh", "-c", "echo runs; sleep 4323; true")
        process = kubectl.start("exec", "-i", "web", "--", *command, source=zero)

    def consumed() -> int:
        return int(re.findall(r"rchar: (\d+)", Path(f"/proc/{process.pid}/io").read_text())[0])

    assert process.stdout is not None
    assert process.stdout.readline() == b"runs\n"
    assert steady(consumed) < 64 << 20
    assert processes(cluster, "sleep 4323") == 1
    process.kill()
    process.communicate()
    until_gone(cluster, "sleep 4323")


def test_a_tenant_needs_the_right_to_create(cluster: Cluster, kubectl: Kubectl) -> None:
    for verbs in ("get", "get,create"):
        name = f"enters-{verbs.replace(',', '-')}"
        for words in (
            ("serviceaccount", name),
            ("role", name, f"--verb={verbs}", "--resource=pods/exec"),
            ("role", f"{name}-sees", "--verb=get", "--resource=pods"),
            ("rolebinding", name, f"--role={name}", f"--serviceaccount=default:{name}"),
            (
                *("rolebinding", f"{name}-sees", f"--role={name}-sees"),
                f"--serviceaccount=default:{name}",
            ),
        ):
            assert kubectl.run("create", *words)[0] == 0
    who = "--as=system:serviceaccount:default:"
    status, output, error = kubectl.run("exec", f"{who}enters-get", "web", "--", "id", "-u")
    assert (status, output) == (1, b"")
    assert 'cannot create resource "pods/exec"' in error
    status, output, _ = kubectl.run("exec", f"{who}enters-get-create", "web", "--", "id", "-u")
    assert (status, output) == (0, b"0\n")
    status, _, error = kubectl.run("attach", f"{who}enters-get-create", "web")
    assert status == 1
    assert re.search('cannot (get|create) resource "pods/attach"', error)


def terminal(kubectl: Kubectl, *argv: str) -> tuple[int, int]:
    """kubectl at a terminal of 30 lines and 100 columns: its process, and our end."""
    pid, seen = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
        kubectl.become(*argv)
    return pid, seen


def read_until(seen: int, word: bytes) -> bytes:
    """What the terminal shows, up to that word."""
    shown = b""
    end = time.monotonic() + PATIENCE
    while word not in shown:
        assert select.select([seen], [], [], max(end - time.monotonic(), 0))[0], shown
        try:
            shown += os.read(seen, 4096)
        except OSError:
            break
    assert word in shown, shown
    return shown


def test_a_terminal_has_the_size_of_the_users(kubectl: Kubectl) -> None:
    pid, seen = terminal(kubectl, "exec", "-it", "web", "--", "sh")
    os.write(seen, b"tty; until [ $(stty size | cut -c1-2) = 30 ]; do :; done; stty size\n")
    assert b"/dev/pts/" in read_until(seen, b"30 100")
    fcntl.ioctl(seen, termios.TIOCSWINSZ, struct.pack("4H", 40, 90, 0, 0))
    os.write(seen, b"until [ $(stty size | cut -c1-2) = 40 ]; do :; done; stty size\n")
    read_until(seen, b"40 90")
    os.write(seen, b"exit 5\n")
    read_until(seen, b"exit code 5")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(seen)


def test_an_attached_client_types_and_reads(cluster: Cluster, kubectl: Kubectl) -> None:
    made = pod("shell", script='while read line; do echo "got $line"; done; echo over')
    made["spec"]["containers"][0] |= {"stdin": True, "stdinOnce": True}
    made["spec"]["restartPolicy"] = "Never"
    cluster.create(made)
    cluster.wait_ready("shell")
    status, output, _ = kubectl.run("attach", "-i", "shell", given=b"one\ntwo\n")
    assert (status, output) == (0, b"got one\ngot two\nover\n")
    cluster.wait("shell", pods.has_ended)
    assert cluster.kubectl("logs", "shell") == "got one\ngot two\nover\n"
    cluster.delete("shell", grace=0)


def test_a_container_with_a_terminal(cluster: Cluster, kubectl: Kubectl) -> None:
    made = pod("screen", command=["sh"], restartPolicy="Never")
    made["spec"]["containers"][0] |= {"stdin": True, "tty": True}
    cluster.create(made)
    cluster.wait_ready("screen")
    pid, seen = terminal(kubectl, "attach", "-it", "screen")
    os.write(seen, b"echo $((6 * 7)) $(tty)\n")
    read_until(seen, b"42 /dev/pts/0")
    os.write(seen, b"exit\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(seen)
    assert "42 /dev/pts/0" in cluster.kubectl("logs", "screen")
    cluster.delete("screen", grace=0)


def test_files_are_copied_both_ways(kubectl: Kubectl, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(3):
        (folder / f"file{number}").write_bytes(os.urandom(1 << 20))
    assert kubectl.run("cp", str(folder), "web:/tmp/folder")[0] == 0
    assert kubectl.run("cp", "web:/tmp/folder", str(tmp_path / "back"))[0] == 0
    for number in range(3):
        name = f"file{number}"
        assert (tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes()


def test_a_container_is_added_to_a_running_pod(cluster: Cluster, kubectl: Kubectl) -> None:
    status, output, error = kubectl.run(
        *("debug", "-i", "web", "-c", "looks", "--image=busybox", "--profile=general", "--"),
        *("sh", "-c", "read line; echo $line; ps -o args; exit 3"),
        given=b"hello\n",
    )
    assert (status, output.splitlines()[0]) == (0, b"hello"), error
    assert b"httpd -p 127.0.0.1:8080 -h /bin" in output, "it sees the pod's processes"

    def has_ended(made: dict[str, Any]) -> bool:
        (found,) = made["status"]["ephemeralContainerStatuses"]
        return bool((found["state"].get("terminated") or {}).get("exitCode") == 3)

    made = cluster.wait("web", has_ended)
    assert pods.is_ready(made)
    patch = '{"spec": {"ephemeralContainers": [{"name": "looks", "image": "other"}]}}'
    way = ("patch", "pod", "web", "--subresource=ephemeralcontainers", "-p", patch)
    status, _, error = kubectl.run(*way)
    assert status == 1
    assert "may not be changed" in error


def test_a_container_that_is_killed_ends_its_commands(cluster: Cluster, kubectl: Kubectl) -> None:
    process = kubectl.start("exec", "web", "--", "sh", "-c", "echo runs; sleep 4322; true")
    assert process.stdout is not None
    assert process.stdout.readline() == b"runs\n"
    its = 'kill -9 $(ps -o pid,args | awk \'$2 " " $3 == "sleep 1000" { print $1 }\')'
    kubectl.run("exec", "web", "--", "sh", "-c", its)
    assert process.wait(PATIENCE) == 137
    process.communicate()


def test_ports_are_forwarded(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    process = kubectl.start("port-forward", "web", ":8080", ":9")
    assert process.stdout is not None
    said = [process.stdout.readline().decode() for _ in range(4)]
    found = [re.fullmatch(r"Forwarding from 127.0.0.1:(\d+) -> (\d+)\n", line) for line in said]
    ours = {int(each[2]): int(each[1]) for each in found if each}
    expected = kubectl.run("exec", "web", "--", "sha256sum", "/bin/busybox")[1].split()[0]
    links = [socket.create_connection(("127.0.0.1", ours[8080]), PATIENCE) for _ in range(3)]
    for link in links:
        link.sendall(b"GET /busybox HTTP/1.0\r\n\r\n")
    for link in reversed(links):  # the first waits, unread, and the others go on
        with link, link.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert len(body) > 1 << 20
        assert hashlib.sha256(body).hexdigest().encode() == expected
    with socket.create_connection(("127.0.0.1", ours[9]), PATIENCE) as link:
        assert link.recv(1) == b"", "nobody listens at that port of the pod"
    process.terminate()
    assert b"Connection refused" in process.communicate()[1]
