"""Checks whether this machine can run a lab: kernel, devices, disk, Python, Debian's archive.

`read_facts` collects facts; `judge`, which is pure, makes findings and remedies of them.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from weft import errors
from weft.observe.checks import Finding, Verdict
from weft_lab import state
from weft_lab.runtime import cache, debian, toolchain

OLDEST_PYTHON = (3, 11)
NEEDED = 1_500_000_000  # bytes: programs, the image of the guests, and the disks of some machines
PATIENCE = 10.0  # seconds
TUN, KVM = Path("/dev/net/tun"), Path("/dev/kvm")
_TRY = "from weft_lab.runtime import namespaces; namespaces.leave_host()"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen. A text that says why something does not work is empty where it does; `free`
    is by folder, in bytes; `mirror` is None if all is fetched already."""

    python: tuple[int, int]
    architecture: str
    namespaces: str
    namespaces_remedy: str
    tun: str
    kvm: str
    free: tuple[tuple[str, int], ...]
    mirror: str | None
    mirror_address: str = ""


def judge(facts: Facts) -> tuple[Finding, ...]:
    python = ".".join(map(str, facts.python))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return (
        _finding(
            "Python",
            facts.python >= OLDEST_PYTHON,
            python,
            f"run weft with Python {oldest} or later",
        ),
        _finding(
            "processor",
            facts.architecture == "x86_64",
            facts.architecture,
            "use another machine: the lab's programs are for x86_64",
        ),
        _finding(
            "user namespaces",
            not facts.namespaces,
            facts.namespaces or "can be made",
            facts.namespaces_remedy,
        ),
        _finding(
            str(TUN),
            not facts.tun,
            facts.tun or "can be opened",
            f"as root: modprobe tun && chmod 0666 {TUN}; or weft lab up --datapath system as root",
        ),
        _finding(
            str(KVM),
            not facts.kvm,
            facts.kvm or "can be opened",
            "virtual machines are emulated, which is slower; to give yourself access, as root:"
            " usermod -aG kvm USER",
            otherwise=Verdict.WARN,
        ),
        *(_room(folder, free) for folder, free in facts.free),
        _archive(facts),
    )


def _finding(
    what: str, well: bool, seen: str, remedy: str, *, otherwise: Verdict = Verdict.FAIL
) -> Finding:
    return Finding(Verdict.OK, what, seen) if well else Finding(otherwise, what, seen, remedy)


def _room(folder: str, free: int) -> Finding:
    variable = "WEFT_CACHE" if folder.startswith(str(cache.folder())) else "XDG_STATE_HOME"
    remedy = f"free some space, or set {variable} to a folder on another disk"
    message = f"{free / 1e9:.1f} GB are free, {NEEDED / 1e9:.1f} GB are needed"
    verdict = Verdict.WARN if free > NEEDED / 5 else Verdict.FAIL
    return _finding(f"disk of {folder}", free >= NEEDED, message, remedy, otherwise=verdict)


def _archive(facts: Facts) -> Finding:
    if facts.mirror is None:
        return Finding(Verdict.OK, "Debian mirror", "not needed: the programs are fetched already")
    remedy = "give this machine a way to it, or set WEFT_MIRROR to another Debian mirror"
    seen = facts.mirror or f"{facts.mirror_address} answers"
    return _finding("Debian mirror", not facts.mirror, seen, remedy)


def read_facts() -> Facts:
    """See what is there. Takes a few seconds at most, changes nothing."""
    why, remedy = _namespaces()
    address, mirror = "", None
    if not toolchain.is_ready():
        address, mirror = _mirror()
    return Facts(
        python=sys.version_info[:2],
        architecture=platform.machine(),
        namespaces=why,
        namespaces_remedy=remedy,
        tun=_opened(TUN),
        kvm=_opened(KVM),
        free=tuple((str(folder), _free(folder)) for folder in (cache.folder(), state.home())),
        mirror=mirror,
        mirror_address=address,
    )


def _namespaces() -> tuple[str, str]:
    """Why none can be made, and what helps; tried in a process of its own."""
    code = (
        "from weft import errors\n"
        f"try:\n    {_TRY}\n"
        "except errors.WeftError as error:\n    print(error.what, error.hint, sep='\\n')"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    except subprocess.TimeoutExpired:
        return "making them takes too long", "run weft as root"
    message = done.stdout.splitlines() or ([f"exit {done.returncode}"] if done.returncode else [])
    what, remedy = [*message, "", ""][:2]
    return what, remedy or "run weft as root"


def _opened(device: Path) -> str:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    return ""


def _free(folder: Path) -> int:
    """Free bytes of the folder, or of its nearest parent that exists."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def _mirror() -> tuple[str, str]:
    """The mirror's address, and why it cannot be used."""
    try:
        address = debian.mirror()
        debian.keyring()
    except errors.WeftError as error:
        return "", error.what
    suite = os.environ.get("WEFT_SUITE", toolchain.SUITE)
    url = f"{address.rstrip('/')}/dists/{suite}/InRelease"
    if not url.startswith(("http://", "https://")):
        return address, ""
    try:
        with contextlib.closing(urllib.request.urlopen(url, timeout=PATIENCE)) as answer:
            answer.read(1)
    except (OSError, ValueError) as error:
        return address, f"{url} cannot be read ({getattr(error, 'reason', error)})"
    return address, ""
