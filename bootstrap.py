#!/usr/bin/env python3
"""Gives a checkout the Python packages that it needs, on a machine that has Python alone.

`bootstrap.py FOLDER REQUIREMENTS` makes a virtual environment in FOLDER, installs the locked
requirements into it, each archive checked against its hash, and makes the checkout's own two
distributions known there, weft and weft-lab, as an editable install does. Debian's Python comes
without pip; pip itself is then taken from Debian's own package of it, fetched and verified by apt
and unpacked without being installed. Standard library alone: this runs before anything is there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

OLDEST = (3, 11)
WEB = "web"  # of the checkout: package.json and its lock
LIBRARIES = "weft/console/libraries"
# What pages load: from node_modules to LIBRARIES; of a folder, all scripts.
SERVED = {
    "htmx.org/dist/htmx.min.js": "htmx.org/htmx.min.js",
    "htmx-ext-sse/dist/sse.min.js": "htmx-ext-sse/sse.min.js",
    "idiomorph/dist/idiomorph-ext.min.js": "idiomorph/idiomorph-ext.min.js",
    "@xterm/xterm/lib/xterm.js": "@xterm/xterm/xterm.js",
    "@xterm/xterm/css/xterm.css": "@xterm/xterm/xterm.css",
    "@xterm/addon-fit/lib/addon-fit.js": "@xterm/addon-fit/addon-fit.js",
    "@novnc/novnc/core": "@novnc/novnc/core",
    "@novnc/novnc/vendor": "@novnc/novnc/vendor",
    "@novnc/novnc/LICENSE.txt": "@novnc/novnc/LICENSE.txt",
    "@xterm/xterm/LICENSE": "@xterm/xterm/LICENSE",
    "@xterm/addon-fit/LICENSE": "@xterm/addon-fit/LICENSE",
}
CHECKOUT = Path(__file__).absolute().parent
DISTRIBUTIONS = (CHECKOUT, CHECKOUT / "lab")
COMMAND = """#!/bin/sh
'''exec' {python} "$0" "$@"
' '''
import sys
try:
    from {module} import {function}
    status = {function}()
except KeyboardInterrupt:  # during the import, too
    status = 130
sys.exit(status)
"""


class Problem(Exception):
    """One sentence for the user: what is wrong and what to do."""


def main(arguments: list[str]) -> None:
    folder, requirements = Path(arguments[0]).absolute(), Path(arguments[1]).absolute()
    if sys.version_info < OLDEST:
        raise Problem("weft needs Python 3.11 or later; run it on Debian 12 or later")
    install_once(folder, requirements)
    for site in folder.glob("lib/python*/site-packages"):
        link(site)
    write_commands(folder / "bin", folder / "bin/python")
    install_libraries(CHECKOUT, shutil.which("npm"))


def install_once(folder: Path, requirements: Path) -> None:
    """What the requirements name, unless that is what was installed last."""
    stamp = folder / f"{requirements.stem}.installed"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest and (folder / "bin/python").exists():
        return
    print(f"preparing {folder.name} from {requirements.name} ...", file=sys.stderr, flush=True)
    if not (folder / "bin/python").exists():
        venv.create(folder, clear=True, symlinks=True, with_pip=False)
    with tempfile.TemporaryDirectory() as scratch:
        install(folder, requirements, find_pip(Path(scratch)))
    stamp.write_text(digest)


def install_libraries(checkout: Path, npm: str | None) -> None:
    """What the console's pages load in the browser, by the lock in web/, if there is an npm.

    The console works without it, and says so; a failure is no more than a warning.
    """
    lock, target = checkout / WEB / "package-lock.json", checkout / LIBRARIES
    stamp = target / "installed"
    if npm is None or not lock.exists():
        return
    digest = hashlib.sha256(lock.read_bytes() + repr(SERVED).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    try:
        with tempfile.TemporaryDirectory(dir=checkout) as scratch:
            _fetch_libraries(checkout, npm, Path(scratch), digest)
    except (OSError, subprocess.CalledProcessError) as error:
        why = error.strerror if isinstance(error, OSError) else "npm cannot fetch them"
        print(
            f"warning: the console's libraries are not installed: {why}; its pages are not updated "
            "while they are open; mend that, then run the same command again",
            file=sys.stderr,
        )


def _fetch_libraries(checkout: Path, npm: str, scratch: Path, digest: str) -> None:
    """Put them in their place, all at once. The scratch folder is on the same file system."""
    target, made = checkout / LIBRARIES, scratch / "made"
    for name in ("package.json", "package-lock.json"):
        shutil.copy(checkout / WEB / name, scratch)
    # Its cache is in the scratch folder: HOME may be empty, or somebody else's.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    command += ["--no-update-notifier", f"--cache={scratch / 'cache'}"]
    subprocess.run(command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    for source, place in SERVED.items():
        found = scratch / "node_modules" / source
        (made / place).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if found.is_dir() else shutil.copy)(found, made / place)
    (made / "installed").write_text(digest)
    if target.exists():
        target.rename(scratch / "former")
    made.rename(target)


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


def link(site: Path) -> None:
    """The checkout's folders on the path, and beside it what entry points are looked up in."""
    import tomllib  # since Python 3.11

    (site / "weft-checkout.pth").write_text("".join(f"{each}\n" for each in DISTRIBUTIONS))
    for each in DISTRIBUTIONS:
        project = tomllib.loads((each / "pyproject.toml").read_text())["project"]
        name, version = project["name"].replace("-", "_"), project["version"]
        info = site / f"{name}-{version}.dist-info"
        for other in set(site.glob(f"{name}-*.dist-info")) - {info}:
            shutil.rmtree(other)
        info.mkdir(exist_ok=True)
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
        (info / "METADATA").write_text(head)
        groups = [
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
            for group, points in project.get("entry-points", {}).items()
        ]
        (info / "entry_points.txt").write_text("".join(groups))


def write_commands(folder: Path, python: Path) -> None:
    """The commands of this checkout, as an install has them: `weft`, and what kubectl calls.

    A shell reads one line of each, Python the rest. Python so learns how it was called, which hints
    repeat. A `#!` takes no path with blanks.
    """
    import tomllib

    for each in DISTRIBUTIONS:
        project = tomllib.loads((each / "pyproject.toml").read_text())["project"]
        for name, entry in project.get("scripts", {}).items():
            module, _, function = entry.partition(":")
            text = COMMAND.format(python=shlex.quote(str(python)), module=module, function=function)
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} FOLDER REQUIREMENTS")
    try:
        main(sys.argv[1:])
    except Problem as problem:
        sys.exit(f"error: {problem}")
    except OSError as error:
        sys.exit(f"error: {error.filename or ''}: {error.strerror}; free space or fix the access")
