"""The command that a checkout makes runs from any folder, and learns how it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bootstrap

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_runs_from_a_folder_with_a_blank(tmp_path: Path) -> None:
    command, python = tmp_path / "a b/weft", tmp_path / "a b/python"
    command.parent.mkdir()
    python.symlink_to(sys.executable)
    bootstrap.write_command(command, python)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [command, "check", "/no/such.yaml"], env=env, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "/no/such.yaml" in done.stdout + done.stderr
    assert done.returncode == 1
