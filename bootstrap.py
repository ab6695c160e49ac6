#!/usr/bin/env python3
"""How does a checkout get the Python packages it needs, on a machine that has Python alone?

`bootstrap.py FOLDER REQUIREMENTS` makes a virtual environment in FOLDER and installs the locked
requirements into it, each archive checked against its hash. Debian's Python comes without pip;
pip itself is then taken from Debian's own package of it, fetched and verified by apt and unpacked
without being installed. Standard library alone: this runs before anything is there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

OLDEST = (3, 11)


class Problem(Exception):
    """One sentence for the user: what is wrong and what to do."""


def main(arguments: list[str]) -> None:
    folder, requirements = Path(arguments[0]).absolute(), Path(arguments[1]).absolute()
    if sys.version_info < OLDEST:
        raise Problem("weft needs Python 3.11 or later; run it on Debian 12 or later")
    stamp = folder / f"{requirements.stem}.installed"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and (folder / "bin/python").exists():
        return
    print(f"preparing {folder.name} from {requirements.name} ...", file=sys.stderr, flush=True)
    if not (folder / "bin/python").exists():
        venv.create(folder, clear=True, symlinks=True, with_pip=False)
    with tempfile.TemporaryDirectory() as scratch:
        install(folder, requirements, find_pip(Path(scratch)))
    checkout = Path(__file__).absolute().parent
    for site in folder.glob("lib/python*/site-packages"):
        (site / "weft-checkout.pth").write_text(f"{checkout}\n")
    write_command(folder / "bin/weft", folder / "bin/python")
    stamp.write_text(wanted)


def find_pip(scratch: Path) -> list[str]:
    """The command that runs a pip: this Python's own, or one out of a wheel."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if wheel := _pip_wheel(Path("/usr/share/python-wheels")):
        return [sys.executable, str(wheel / "pip")]
    fetched = subprocess.run(
        ["apt-get", "download", "-q", "python3-pip-whl"],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode:
        _fetch_with_own_lists(scratch)
    for package in scratch.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, scratch], check=True)
    if wheel := _pip_wheel(scratch / "usr/share/python-wheels"):
        return [sys.executable, str(wheel / "pip")]
    raise Problem(
        "no pip is here and Debian's package python3-pip-whl cannot be fetched; "
        "check that this machine reaches its Debian mirror, then run the same command again"
    )


def _pip_wheel(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("pip-*.whl"), reverse=True)), None)


def _fetch_with_own_lists(scratch: Path) -> None:
    """The machine's package lists may never have been fetched; fetch some of our own."""
    for sub in ("lists/partial", "archives/partial"):
        (scratch / sub).mkdir(parents=True)
    options = [
        f"-oDir::State::lists={scratch / 'lists'}",
        f"-oDir::Cache={scratch}",
        f"-oDir::Cache::archives={scratch / 'archives'}",
        "-oAcquire::Languages=none",
        "-oAPT::Sandbox::User=",
    ]
    for verb in (["update", "-q"], ["download", "-q", "python3-pip-whl"]):
        subprocess.run(["apt-get", *options, *verb], cwd=scratch, capture_output=True, check=False)


def install(folder: Path, requirements: Path, pip: list[str]) -> None:
    command = [
        *pip,
        f"--python={folder / 'bin/python'}",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--require-hashes",
        "--requirement",
        str(requirements),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else done.stderr.strip().rpartition("\n")[2]
        raise Problem(
            f"the Python packages cannot be installed: {reason}\n"
            "check the network and the disk, then run the same command again"
        )


def write_command(path: Path, python: Path) -> None:
    """The `weft` command of this checkout."""
    path.write_text(f'#!/bin/sh\nexec {python} -m weft "$@"\n')
    path.chmod(0o755)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} FOLDER REQUIREMENTS")
    try:
        main(sys.argv[1:])
    except Problem as problem:
        sys.exit(f"error: {problem}")
    except OSError as error:
        sys.exit(f"error: {error.filename or ''}: {error.strerror}; free space or fix the access")
