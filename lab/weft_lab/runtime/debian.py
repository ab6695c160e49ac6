"""Fetches packages of a Debian suite and unpacks them without installing them.

apt fetches them by its own verified path (signed Release, hashed Packages, hashed archives) with
lists, cache and an empty status file of its own, so the system's packages are neither read nor
touched and no privilege is needed; `dpkg-deb` unpacks them into a folder. Which packages, and
what they are for, is decided in toolchain.py.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from weft import errors

KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)

# Needed to install a system, but not to run one program out of a folder.
NOT_UNPACKED = re.compile(
    r"^(python3|libpython3|systemd$|systemd-|udev$|dpkg$|passwd$|coreutils$|tar$|perl|initramfs-"
    r"|klibc|linux-base|linux-sysctl|kmod$|procps$|cpio$|adduser$|debconf|openssl$|media-types"
    r"|sysuser|mount$|dbus|login|libpam|libdevmapper|dmsetup|gcc-\d+-base|netbase|uuid-runtime"
    r"|openssl-provider|ca-certificates|init-system|bsdutils|util-linux$|tzdata|lsb-base)"
)

# (step, fraction done; None if the total is unknown)
Report = Callable[[str, float | None], None]


def quiet(_what: str, _fraction: float | None) -> None:
    """A `Report` that says nothing."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One package file: `name=version` as apt wants it, and its size in bytes."""

    name: str
    version: str
    size: int


def mirror() -> str:
    """Base address of the Debian mirror that this machine's apt already uses.

    `$WEFT_MIRROR` wins; it is what a machine that is not Debian needs.
    """
    if chosen := os.environ.get("WEFT_MIRROR"):
        return chosen
    listing = _run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(LABEL)|$(COMPONENT)"], "apt-get"
    )
    for line in listing.splitlines():
        address, label, component = [*line.split("|"), "", ""][:3]
        if component == "main" and (label == "Debian" or address.rstrip("/").endswith("/debian")):
            return address
    raise errors.Unavailable(
        "this machine's apt knows no Debian mirror",
        where="apt sources",
        hint="set WEFT_MIRROR to the address of a Debian mirror",
    )


def keyring() -> str:
    for path in KEYRINGS:
        if os.path.exists(path):
            return path
    raise errors.Unavailable(
        "the keys that sign Debian's archive are missing",
        where=KEYRINGS[0],
        hint="install the package debian-archive-keyring",
    )


class Apt:
    """apt-get with a state folder of its own, for one suite."""

    def __init__(self, state: Path, suite: str) -> None:
        self.state = state
        self.suite = suite

    def prepare(self, report: Report = quiet) -> None:
        """Fetch and verify the suite's package list."""
        for sub in ("lists/partial", "archives/partial"):
            (self.state / sub).mkdir(parents=True, exist_ok=True)
        (self.state / "status").write_text("")
        (self.state / "sources.list").write_text(
            f"deb [signed-by={keyring()}] {mirror()} {self.suite} main\n"
        )
        self._get(["update", "-q"], report, "package list")

    def resolve(
        self, packages: Sequence[str], *, without: re.Pattern[str] = NOT_UNPACKED
    ) -> tuple[Archive, ...]:
        """`packages` and what they depend on, as archives to fetch; none that `without` matches."""
        output = _run(
            [*self._argv(), "install", "--print-uris", "-q", "-y", *packages], "apt-get install"
        )
        archives = []
        for line in output.splitlines():
            if not line.startswith("'"):
                continue
            _, filename, size, *_ = line.split()
            name, version, _ = filename.split("_", 2)
            if not without.match(name):
                archives.append(Archive(name, version.replace("%3a", ":"), int(size)))
        return tuple(archives)

    def fetch(self, archives: Iterable[Archive], report: Report = quiet) -> list[Path]:
        """Download `archives`, verified, and return their files."""
        folder = self.state / "archives"
        packages = [f"{archive.name}={archive.version}" for archive in archives]
        self._get(["download", "-q", *packages], report, "packages", cwd=folder)
        return sorted(folder.glob("*.deb"))

    def _argv(self) -> list[str]:
        options = {
            "Dir::State": self.state,
            "Dir::State::lists": self.state / "lists",
            "Dir::State::status": self.state / "status",
            "Dir::Cache": self.state,
            "Dir::Cache::archives": self.state / "archives",
            "Dir::Etc::SourceList": self.state / "sources.list",
            "Dir::Etc::SourceParts": "-",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "APT::Sandbox::User": "",
            "APT::Install-Recommends": "false",
            "APT::Status-Fd": "1",
        }
        return ["apt-get", *(f"-o{key}={value}" for key, value in options.items())]

    def _get(self, verb: list[str], report: Report, what: str, cwd: Path | None = None) -> None:
        """Run one apt-get verb, passing on the progress that it writes for machines."""
        report(what, 0.0)
        argv = [*self._argv(), *verb]
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                if line.startswith("dlstatus:"):
                    report(what, float(line.split(":")[2]) / 100)
            complaints = process.stderr.read()
        if process.returncode:
            raise _fetch_error(complaints)
        report(what, 1.0)


def unpack(archives: Sequence[Path], root: Path, report: Report = quiet) -> None:
    """Unpack package files into `root`, two at a time."""
    root.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = pool.map(
            lambda path: _run(["dpkg-deb", "-x", str(path), str(root)], path.name), archives
        )
        for count, _ in enumerate(done, 1):
            report("unpacking", count / len(archives))


def _run(argv: list[str], where: str) -> str:
    if shutil.which(argv[0]) is None:
        raise errors.Unavailable(
            f"{argv[0]} is not on this machine",
            where=where,
            hint="the lab fetches its parts with Debian's apt; run it on Debian 12 or later",
        )
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _fetch_error(done.stderr, where)
    return done.stdout


def _fetch_error(complaints: str, where: str = "apt-get") -> errors.Unavailable:
    lines = [line.removeprefix("E: ") for line in complaints.splitlines() if line.startswith("E:")]
    first = lines[0] if lines else complaints.strip().splitlines()[-1:] or ["no reason given"]
    text = first if isinstance(first, str) else first[0]
    hint = "check that this machine reaches its Debian mirror, then run the same command again"
    if "No space left" in complaints:
        hint = "free some space, or set WEFT_CACHE to a folder on another disk"
    return errors.Unavailable(
        f"Debian's packages cannot be fetched: {text}", where=where, hint=hint
    )
