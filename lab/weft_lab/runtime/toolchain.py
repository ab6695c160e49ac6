"""Fetches the programs that the lab runs from Debian, and checks them.

Programs of the host are used where they are new enough; what is missing comes from one Debian
suite, unpacked into the cache (debian.py) and run in place through its own loader. The answer is
a `Toolchain`: a folder for PATH, the database schemas, a kernel and the files for guests.

Settings: `$WEFT_SUITE` names the suite (default trixie), `$WEFT_HOST_TOOLS=no` ignores the host's.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from weft import errors
from weft_lab.runtime import cache, debian, wrappers

SUITE = "trixie"
KERNEL = "linux-image-cloud-amd64"
LAYOUT = 1  # raise when what is made of the packages changes
ROOM = 900_000_000  # bytes for archives and unpacked files together


@dataclass(frozen=True, slots=True)
class PackageSet:
    """A group of programs that come together.

    `probe` is the program whose `--version` tells whether the host's is at least `minimum`;
    an empty probe means that the set always comes from the suite.
    """

    name: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    probe: str = ""
    minimum: tuple[int, ...] = ()


PACKAGE_SETS = (
    PackageSet(
        "ovn",
        ("ovn-central", "ovn-host", "openvswitch-switch"),
        (
            *("ovsdb-server", "ovsdb-tool", "ovsdb-client", "ovs-vswitchd"),
            *("ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovs-dpctl"),
            *("ovn-northd", "ovn-controller", "ovn-nbctl", "ovn-sbctl", "ovn-appctl", "ovn-trace"),
        ),
        probe="ovn-northd",
        minimum=(25, 3),
    ),
    PackageSet(
        "qemu",
        ("qemu-system-x86", "qemu-utils"),
        ("qemu-system-x86_64", "qemu-img"),
        probe="qemu-system-x86_64",
        minimum=(7, 2),  # since when it takes network backends as JSON
    ),
    PackageSet(
        "guest",
        (KERNEL, "busybox-static", "curl", "qemu-guest-agent"),
        ("busybox",),
    ),
    PackageSet("kubectl", ("kubernetes-client",), ("kubectl",), probe="kubectl", minimum=(1, 20)),
    PackageSet("nat", ("nftables",), ("nft",), probe="nft", minimum=(1, 0)),
    PackageSet("dhcp", ("dnsmasq-base",), ("dnsmasq",), probe="dnsmasq", minimum=(2, 80)),
    # Since when a client may not change where it writes files.
    PackageSet(
        "database",
        ("redis-server",),
        ("redis-server",),
        probe="redis-server",
        minimum=(7, 0),
    ),
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Where everything is. `env` is what daemons need besides PATH."""

    bin: Path
    schemas: Path
    kernel: Path
    kernel_modules: Path
    guest_files: Path
    env: Mapping[str, str]

    def program(self, name: str) -> str:
        return str(self.bin / name)

    def schema(self, name: str) -> Path:
        """`name`: vswitch, ovn-nb or ovn-sb."""
        return self.schemas / f"{name}.ovsschema"


def ensure(report: debian.Report = debian.quiet) -> Toolchain:
    """The toolchain, fetched if it is not there yet; a second call finds all in place.

    Raises Unavailable when a program cannot be had: no network, no space, not Debian.
    """
    if platform.machine() != "x86_64":
        raise errors.Unavailable(
            f"the lab runs on x86_64, and this is {platform.machine()}", hint="use another machine"
        )
    suite = os.environ.get("WEFT_SUITE", SUITE)
    missing = tuple(package_set for package_set in PACKAGE_SETS if not _on_host(package_set))
    folder = cache.folder() / f"tools-{_fingerprint(suite, missing)}"
    stamp = folder / "complete.json"
    if not _intact(stamp):
        with cache.lock(cache.folder() / "tools.lock"):
            if not _intact(stamp):  # another process may have made it in the meantime
                _build(folder, suite, missing, report)
    return _read(stamp)


def is_ready() -> bool:
    """Whether `ensure` would find everything in place."""
    suite = os.environ.get("WEFT_SUITE", SUITE)
    missing = tuple(package_set for package_set in PACKAGE_SETS if not _on_host(package_set))
    return _intact(cache.folder() / f"tools-{_fingerprint(suite, missing)}" / "complete.json")


def _on_host(package_set: PackageSet) -> bool:
    """Whether the host's own programs serve for `package_set`."""
    if os.environ.get("WEFT_HOST_TOOLS") == "no" or not package_set.probe:
        return False
    programs = {program: host_program(program) for program in package_set.programs}
    if not all(programs.values()):
        return False
    verb = ["version", "--client"] if package_set.probe == "kubectl" else ["--version"]
    try:
        done = subprocess.run(
            [str(programs[package_set.probe]), *verb],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return version(done.stdout) >= package_set.minimum


def host_program(name: str) -> str | None:
    """Where the host has `name`; what a lab puts first on PATH out of our cache does not count."""
    own = str(cache.folder())
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join(f for f in folders if not f.startswith(own)))


def version(text: str) -> tuple[int, ...]:
    """The first dotted number in the output of a program; () if there is none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(number) for number in found.groups() if number) if found else ()


def _fingerprint(suite: str, package_sets: tuple[PackageSet, ...]) -> str:
    hosts = tuple(
        host_program(package_set.probe)
        for package_set in PACKAGE_SETS
        if package_set not in package_sets
    )
    text = repr((LAYOUT, suite, [asdict(package_set) for package_set in package_sets], hosts))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _intact(stamp: Path) -> bool:
    """Whether the build finished and every file that it counts on still has its size."""
    try:
        sizes = json.loads(stamp.read_text())["sizes"]
        return all(os.stat(path).st_size == size for path, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _build(
    folder: Path, suite: str, package_sets: tuple[PackageSet, ...], report: debian.Report
) -> None:
    """Make `folder`; the stamp is written last, so an incomplete build does not count."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    root = folder / "root"
    cache.require_space(folder, ROOM)
    apt = debian.Apt(folder / "apt", suite)
    try:
        apt.prepare(report)
        archives = apt.resolve(
            [name for package_set in package_sets for name in package_set.packages]
        )
        debian.unpack(apt.fetch(archives, report), root, report)
        made = _assemble(folder, root, package_sets)
    except OSError as error:
        raise errors.Unavailable(
            f"the lab's programs cannot be unpacked ({error.strerror})",
            where=str(error.filename or folder),
            hint="free some space or set WEFT_CACHE to another folder, then run it again",
        ) from error
    finally:
        shutil.rmtree(folder / "apt", ignore_errors=True)
    counted = [*made.bin.iterdir(), made.kernel, *made.schemas.glob("*.ovsschema")]
    record = {
        "toolchain": {
            key: value if key == "env" else str(value) for key, value in asdict(made).items()
        },
        "sizes": {str(path): path.stat().st_size for path in counted},
    }
    temporary = folder / "complete.json.part"
    temporary.write_text(json.dumps(record, indent=1))
    temporary.replace(folder / "complete.json")


def _assemble(folder: Path, root: Path, package_sets: tuple[PackageSet, ...]) -> Toolchain:
    """Wrap the unpacked programs, link the host's, and say where everything is."""
    target = folder / "bin"
    target.mkdir()
    for package_set in PACKAGE_SETS:
        for program in package_set.programs:
            if package_set in package_sets:
                wrappers.write(root, program, target / program)
            else:
                (target / program).symlink_to(host_program(program) or program)
    fetched = {package_set.name for package_set in package_sets}
    share = root / "usr/share" if "ovn" in fetched else Path("/usr/share")
    schemas = folder / "schemas"
    schemas.mkdir()
    for name, source in (("vswitch", "openvswitch"), ("ovn-nb", "ovn"), ("ovn-sb", "ovn")):
        shutil.copy(share / source / f"{name}.ovsschema", schemas)
    kernel, modules = _kernel(root)
    return Toolchain(
        bin=target,
        schemas=schemas,
        kernel=kernel,
        kernel_modules=modules,
        guest_files=root,
        env={"OVS_PKGDATADIR": str(share / "openvswitch"), "OVN_PKGDATADIR": str(share / "ovn")},
    )


def _kernel(root: Path) -> tuple[Path, Path]:
    """The image and the modules of the unpacked kernel, wherever its release has put them."""
    images = sorted((*root.glob("boot/vmlinuz-*"), *root.glob("usr/lib/modules/*/vmlinuz")))
    for image in images:
        is_beside = image.name == "vmlinuz"
        release = image.parent.name if is_beside else image.name.removeprefix("vmlinuz-")
        for folder in ("usr/lib/modules", "lib/modules"):
            modules = root / folder / release
            if (modules / "kernel").is_dir():
                return image, modules
    missing = "modules/<release>/kernel" if images else "a kernel's image vmlinuz"
    raise errors.Unavailable(
        f"has no {missing}, neither in /boot and /lib nor in /usr/lib",
        where=f"package {KERNEL} as unpacked in {root}",
        hint="choose another suite with WEFT_SUITE",
    )


def _read(stamp: Path) -> Toolchain:
    stored = json.loads(stamp.read_text())["toolchain"]
    env = stored.pop("env")
    return Toolchain(**{key: Path(value) for key, value in stored.items()}, env=env)


def main() -> None:
    """Fetch what is missing and print where it is, as JSON."""
    print(json.dumps(asdict(ensure()), indent=1, default=str))


if __name__ == "__main__":
    main()
