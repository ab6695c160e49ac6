"""The commands that a checkout makes run from any folder, and learn how they were called."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import bootstrap

ROOT = Path(__file__).resolve().parents[2]


def test_it_has_the_commands_of_an_install(tmp_path: Path) -> None:
    bootstrap.write_commands(tmp_path, Path(sys.executable))
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert "kubectl-weft" in scripts
    assert {path.name for path in tmp_path.iterdir()} == set(scripts)
    assert all(os.access(path, os.X_OK) for path in tmp_path.iterdir())


def test_the_command_runs_from_a_folder_with_a_blank(tmp_path: Path) -> None:
    command, python = tmp_path / "a b/weft", tmp_path / "a b/python"
    command.parent.mkdir()
    python.symlink_to(sys.executable)
    bootstrap.write_commands(command.parent, python)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [command, "check", "/no/such.yaml"], env=env, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "/no/such.yaml" in done.stdout + done.stderr
    assert done.returncode == 1
