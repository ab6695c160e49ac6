"""The commands that a checkout makes run from any folder, and learn how they were called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

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


def checkout(folder: Path) -> tuple[Path, Path]:
    """A checkout with a lock, and an npm that installs what is locked."""
    web = folder / "checkout/web"
    web.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        (web / name).write_text("{}")
    (folder / "checkout" / bootstrap.LIBRARIES).parent.mkdir(parents=True)
    npm = folder / "npm"
    lines = ["#!/bin/sh", f"echo run >> {folder}/runs", f"test ! -e {folder}/offline || exit 1"]
    for source in bootstrap.SERVED:
        made = f"node_modules/{source}"
        lines.append(f"mkdir -p $(dirname {made}) && echo {source} > {made}")
    npm.write_text("\n".join(lines) + "\n")
    npm.chmod(0o755)
    return folder / "checkout", npm


def test_the_consoles_libraries_are_installed_once(tmp_path: Path) -> None:
    at, npm = checkout(tmp_path)
    bootstrap.install_libraries(at, None)
    assert not (at / bootstrap.LIBRARIES).exists(), "there is no npm"
    for _ in range(2):
        bootstrap.install_libraries(at, str(npm))
    assert (tmp_path / "runs").read_text() == "run\n"
    for place in bootstrap.SERVED.values():
        assert (at / bootstrap.LIBRARIES / place).exists()
    assert {each.name for each in at.iterdir()} == {"web", "weft"}, "nothing else is left"


def test_a_failing_npm_is_a_warning_and_the_former_libraries_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at, npm = checkout(tmp_path)
    bootstrap.install_libraries(at, str(npm))
    (at / "web/package-lock.json").write_text("{ }")
    (tmp_path / "offline").touch()
    bootstrap.install_libraries(at, str(npm))
    assert "npm cannot fetch them" in capsys.readouterr().err
    assert (at / bootstrap.LIBRARIES / "installed").exists()


def test_the_lock_of_the_libraries_has_hashes_and_no_address() -> None:
    lock = (ROOT / "web/package-lock.json").read_text()
    assert "://" not in lock
    packages = json.loads(lock)["packages"]
    assert all(each["integrity"].startswith("sha512-") for path, each in packages.items() if path)
