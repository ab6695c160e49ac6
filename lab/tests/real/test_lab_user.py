"""The lab of an ordinary user, without any privilege on the machine."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from lab.tests.support import ordinary
from weft_lab.runtime import databases, toolchain

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="every other test runs as an ordinary user here"),
]

WEFT = [sys.executable, "-m", "weft.cli.main"]


@pytest.fixture(autouse=True)
def _filled_cache(toolchain: toolchain.Toolchain) -> None:
    databases.ensure(toolchain)


def test_user_brings_a_lab_up_enters_it_and_takes_it_down(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    home = tmp_path / "home"
    script = (
        "import json, subprocess, sys\n"
        "weft = [sys.executable, '-m', 'weft.cli.main', 'lab']\n"
        "def run(*argv):\n"
        "    done = subprocess.run([*weft, *argv], capture_output=True, text=True)\n"
        "    return done.returncode, done.stdout, done.stderr\n"
        "print(json.dumps([run('up', '--nodes', '2', '-o', 'json'),\n"
        "    run('exec', 'node1', 'busybox', 'ping', '-c1', '-W60', '172.31.1.12'),\n"
        "    run('exec', 'lab', 'busybox', 'id', '-u'), run('down')]))\n"
    )
    done = ordinary.run([sys.executable, "-c", script], home=home, env={"WEFT_DEBUG": "1"})
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [status for status, _, _ in results] == [0, 0, 0, 0], results
    assert results[2][1] == "0\n", "root inside, and nobody special outside"


def test_tun_that_may_not_be_opened_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    argv = [*WEFT, "lab", "up", "--output", "json"]
    done = ordinary.run(argv, home=tmp_path / "home", env={}, tun_mode=0o600)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["where"] == "/dev/net/tun"
    assert "chmod 0666" in told["hint"]
    assert done.stderr == ""


def test_forbidden_namespaces_are_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    argv = [*WEFT, "lab", "up", "--output", "json"]
    done = ordinary.run(argv, home=tmp_path / "home", env={}, namespaces_allowed=False)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert "may not make user namespaces" in told["error"]
    assert "sysctl -w user.max_user_namespaces=" in told["hint"]
    assert done.stderr == ""


def test_a_folder_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    """Who owns the folder could put another lab's folder, with its socket, in the place of ours."""
    tmp_path.chmod(0o755)
    planted = tmp_path / "shared" / "weft"
    planted.mkdir(parents=True)
    for folder in (planted.parent, planted):
        folder.chmod(0o777)
    env = {"XDG_STATE_HOME": str(planted.parent)}
    argv = [*WEFT, "lab", "up", "--output", "json"]
    done = ordinary.run(argv, home=tmp_path / "home", env=env, visible=[planted.parent])
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["where"] == str(planted)
    assert "another user" in told["error"]
    assert "XDG_STATE_HOME" in told["hint"]
    assert list(planted.iterdir()) == []
