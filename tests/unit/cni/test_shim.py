"""The plugin's own parts, and the one thing that it shares with the agent: the message."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.cni import shim, wire

SOURCE = Path(shim.__file__)
names = st.text(st.characters(categories=["Lu"]), min_size=1).map(lambda s: f"CNI_{s}".encode())
values = st.binary().map(lambda b: b.replace(b"\0", b""))


@given(env=st.dictionaries(names, values), config=st.binary())
def test_what_the_plugin_frames_the_agent_reads(env: dict[bytes, bytes], config: bytes) -> None:
    request = shim.frame_request({**env, b"PATH": b"/bin", b"HOME": b"/"}, config)
    line, rest = request[: request.index(b"\n") + 1], request[request.index(b"\n") + 1 :]
    head = wire.parse_head(line)
    assert len(rest) == head.env + head.config
    assert rest[head.env :] == config
    read = wire.parse_env(rest[: head.env])
    expected = {k.decode(): v.decode(errors="replace") for k, v in env.items()}
    assert read == expected


@pytest.mark.parametrize(
    ("config", "version"),
    [
        (b'{"cniVersion":"0.4.0"}', "0.4.0"),
        (b'{"cniVersion":7}', "1.1.0"),
        (b"[]", "1.1.0"),
        (b"{", "1.1.0"),
        (b"", "1.1.0"),
    ],
)
def test_an_answer_without_agent_has_a_version(config: bytes, version: str) -> None:
    assert shim.config_version(config) == version


def run(command: str, config: bytes, tmp_path: Path) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-E", str(SOURCE)],
        input=config,
        env={"CNI_COMMAND": command, "WEFT_CNI_SOCKET": str(tmp_path / "none.sock")},
        capture_output=True,
        check=False,
    )
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout)


def test_version_needs_no_agent(tmp_path: Path) -> None:
    status, answer = run("VERSION", b'{"cniVersion":"1.0.0"}', tmp_path)
    assert status == 0
    assert answer["cniVersion"] == "1.0.0"
    assert answer["supportedVersions"] == list(shim.VERSIONS)


@pytest.mark.parametrize(("command", "code"), [("ADD", 11), ("DEL", 11), ("STATUS", 50)])
def test_without_agent_the_runtime_is_reported_what_to_start(
    command: str, code: int, tmp_path: Path
) -> None:
    status, answer = run(command, b'{"cniVersion":"1.1.0"}', tmp_path)
    assert status == 1
    assert answer["code"] == code
    assert "none.sock" in str(answer["msg"])
    assert "weft node" in str(answer["details"])


def test_the_plugin_imports_nothing_but_what_is_built_in() -> None:
    program = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import shim;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-E", "-c", program, str(SOURCE.parent)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout.strip() == "['_socket', 'shim']"
