"""Both plugins, the Python file and the static program, do the same, byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from weft.cni import install, shim

ROOT = Path(__file__).resolve().parents[2]
CONFIG = b'{"cniVersion":"1.0.0","name":"blue","type":"weft-cni"}'
ADD = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/c1",
    "CNI_IFNAME": "net1",
    "CNI_ARGS": "K8S_POD_NAME=a;K8S_POD_NAMESPACE=b",
    "CNI_PATH": "/opt/cni/bin",
}

Agent = Callable[[socket.socket], None]


@pytest.fixture(scope="session")
def static_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain to build deploy/plugin with")
    made = tmp_path_factory.mktemp("plugin") / "weft-cni"
    subprocess.run(
        [go, "build", "-trimpath", "-o", str(made), "."],
        cwd=ROOT / "deploy/plugin",
        env={**os.environ, "CGO_ENABLED": "0"},
        check=True,
    )
    return made


@pytest.fixture(params=["python", "static"])
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "static":
        static: Path = request.getfixturevalue("static_plugin")
        return static
    return install.install(tmp_path / "bin")[0]


@contextmanager
def agent(path: Path, answer: Agent) -> Iterator[None]:
    """One that takes a single call."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        caller, _ = listener.accept()
        with caller:
            answer(caller)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listener.close()


def call(
    plugin: Path, path: Path | str, env: Mapping[str, str] = ADD, config: bytes = CONFIG
) -> tuple[int, bytes]:
    done = subprocess.run(
        [plugin],
        input=config,
        env={**env, "WEFT_CNI_SOCKET": str(path), "HOME": "/"},
        capture_output=True,
        check=False,
    )
    assert done.stderr == b""
    return done.returncode, done.stdout


def whole_request(caller: socket.socket) -> bytes:
    data = b""
    while b"\n" not in data:
        data += caller.recv(65536)
    head, _, rest = data.partition(b"\n")
    _, _, pairs, config = head.split()
    while len(rest) < int(pairs) + int(config):
        rest += caller.recv(65536)
    return head + b"\n" + rest


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK", "STATUS", "GC"])
@pytest.mark.parametrize(
    ("status", "body"), [(0, b""), (0, b'{"cniVersion":"1.0.0"}'), (1, b'{"code":7}')]
)
def test_a_call_reaches_the_agent_and_its_answer_the_runtime(
    plugin: Path, tmp_path: Path, command: str, status: int, body: bytes
) -> None:
    seen: list[bytes] = []

    def answer(caller: socket.socket) -> None:
        seen.append(whole_request(caller))
        caller.sendall(b"%d %d\n" % (status, len(body)) + body)

    env = {**ADD, "CNI_COMMAND": command}
    with agent(tmp_path / "s", answer):
        assert call(plugin, tmp_path / "s", env) == (status, body)
    as_bytes = {key.encode(): value.encode() for key, value in env.items()}
    assert seen == [shim.frame_request(as_bytes, CONFIG)]


def test_text_that_is_no_utf8_and_much_of_it_arrives_as_it_is(plugin: Path, tmp_path: Path) -> None:
    seen: list[bytes] = []
    body = b"\xff\0\n" * 300_000
    config = b"\xfe\0\n" * 300_000

    def answer(caller: socket.socket) -> None:
        seen.append(whole_request(caller))
        for part in (b"0 ", b"%d\n" % len(body), body[:7], body[7:]):  # slowly
            caller.sendall(part)

    odd = os.fsdecode(b"\xff=;\n")
    with agent(tmp_path / "s", answer):
        assert call(plugin, tmp_path / "s", {"CNI_ARGS": odd}, config) == (0, body)
    assert seen == [shim.frame_request({b"CNI_ARGS": b"\xff=;\n"}, config)]


def test_an_answer_that_comes_before_the_request_was_read_counts(
    plugin: Path, tmp_path: Path
) -> None:
    """The agent refuses by the first line alone."""

    def answer(caller: socket.socket) -> None:
        caller.recv(10)
        caller.sendall(b"1 2\n{}")
        caller.shutdown(socket.SHUT_RD)
        while caller.recv(1 << 20):
            pass

    with agent(tmp_path / "s", answer):
        assert call(plugin, tmp_path / "s", config=b"x" * (3 << 20)) == (1, b"{}")


BROKEN = [
    *(b"", b"0 2", b"0 2\n", b"0 2\n{", b"0 2\n{}x", b"0\n", b"2 0\n", b"-1 0\n", b"0 00\n"),
    *(b"0  0\n", b"0 x\n", b"0 0 0\n", b" 0 0\n", b"256 0\n", b"0 +0\n", b"hello\nyou", b"\n"),
]


@pytest.mark.parametrize("reply", BROKEN)
def test_a_broken_answer_is_none(plugin: Path, tmp_path: Path, reply: bytes) -> None:
    def answer(caller: socket.socket) -> None:
        whole_request(caller)
        caller.sendall(reply)

    with agent(tmp_path / "s", answer):
        status, output = call(plugin, tmp_path / "s")
    assert (status, json.loads(output)) == (
        1,
        {
            "cniVersion": "1.0.0",
            "code": 11,
            "msg": f"weft's node agent does not answer at {tmp_path}/s: it closed the connection "
            "before it had answered in full",
            "details": "Start `weft node` on this node, or see its log for why it ended; "
            "the runtime tries again by itself.",
        },
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [("ADD", 11), ("DEL", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50), ("", 11)],
)
def test_without_an_agent(plugin: Path, tmp_path: Path, command: str, code: int) -> None:
    status, output = call(plugin, tmp_path / "s", {"CNI_COMMAND": command})
    told = json.loads(output)
    assert (status, told["code"], told["cniVersion"]) == (1, code, "1.0.0")
    assert told["msg"] == (
        f"weft's node agent does not answer at {tmp_path}/s: No such file or directory"
    )
    assert "weft node" in told["details"]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("refusing", "Connection refused"),
        ("x" * 108, "AF_UNIX path too long"),
        ("@nobody", "No such file or directory"),
        ("", "Not a directory"),
    ],
)
def test_a_place_where_nobody_listens(
    plugin: Path, tmp_path: Path, place: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        bound.bind("refusing")
        status, output = call(plugin, place or "/dev/null/s")
    assert status == 1
    assert json.loads(output)["msg"].endswith(f": {why}")


@pytest.mark.parametrize(
    ("config", "version"),
    [
        (b'{"cniVersion":"0.3.1"}', "0.3.1"),
        (b'{"CniVersion":"0.3.1"}', "1.1.0"),
        (b'{"cniVersion":"0.3.1","cniVersion":"0.4.0"}', "0.4.0"),
        (b'{"cniVersion":"9.9.9"}', "1.1.0"),
        (b'{"cniVersion":7}', "1.1.0"),
        (b'{"cniVersion":null}', "1.1.0"),
        (b'{"cniVersion":["1.0.0"]}', "1.1.0"),
        (b'{"cniVersion":"1.0.0"} x', "1.1.0"),
        (b'{"cniVersion":"1.0.0","x":"\xff"}', "1.1.0"),
        (b"[" * 100_000, "1.1.0"),
        (b"[]", "1.1.0"),
        (b"null", "1.1.0"),
        (b"{", "1.1.0"),
        (b"", "1.1.0"),
    ],
)
@pytest.mark.parametrize("command", ["VERSION", "ADD"])
def test_the_version_in_which_a_plugin_answers_itself(
    plugin: Path, tmp_path: Path, command: str, config: bytes, version: str
) -> None:
    status, output = call(plugin, tmp_path / "s", {"CNI_COMMAND": command}, config)
    told = json.loads(output)
    assert (status, told["cniVersion"]) == (int(command == "ADD"), version)
    if command == "VERSION":
        assert told == {"cniVersion": version, "supportedVersions": list(shim.VERSIONS)}


def test_the_static_plugin_needs_nothing_of_its_host(static_plugin: Path) -> None:
    assert b"ld-linux" not in static_plugin.read_bytes()
    assert "require" not in (ROOT / "deploy/plugin/go.mod").read_text()
