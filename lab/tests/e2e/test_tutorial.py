"""The tutorial's manifests and commands do what the page says, typed as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.tests.support import labs as support
from weft_lab.runtime import cache

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/tutorial/first-network.md").read_text()
MANIFEST = re.compile(r"```yaml\n# (\S+)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^    (\S.*)$", re.MULTILINE)
PREPARES = "make prepare"  # has made the environment that the tests run in


def test_the_page_can_be_followed(labs: support.LabHouse, tmp_path: Path) -> None:
    labs.names.append("weft")
    for name, text in MANIFEST.findall(PAGE):
        (tmp_path / name).write_text(text)
    weft = tmp_path / ".venv/bin/weft"
    weft.parent.mkdir(parents=True)
    weft.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m weft.cli.main "$@"\n')
    weft.chmod(0o755)
    commands = [each for each in COMMAND.findall(MANIFEST.sub("", PAGE)) if each != PREPARES]
    state = tmp_path / ".local/state"
    (weft.parent / "kubectl").symlink_to(labs.tools.program("kubectl"))
    done = subprocess.run(
        ["bash", "-euxc", "\n".join(commands)],
        cwd=tmp_path,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "XDG_STATE_HOME": str(state),
            "WEFT_CACHE": str(cache.folder()),
            "PATH": f"{weft.parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 packets received" in done.stdout
    before, after = re.findall(r"(\d) of 2 pairs connect, as expected", done.stdout)
    assert (before, after) == ("1", "2")
    assert "Lab 'weft' is removed." in done.stdout + done.stderr
