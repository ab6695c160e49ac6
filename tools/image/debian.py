"""Chooses the files that the image takes from Debian: programs, the libraries they need, Python.

Packages are fetched and verified by apt, and unpacked without being installed. Of all that they
hold the image gets what is named here and what that needs: no shell, no compiler, no documents.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.image import tree
from weft import errors
from weft_lab.runtime import debian, elf

SUITE = "trixie"
PACKAGES = ("python3", "libstdc++6", "ovn-central", "ovn-host", "openvswitch-switch")
PROGRAMS = (
    *("usr/sbin/ovsdb-server", "usr/bin/ovsdb-tool", "usr/bin/ovsdb-client"),
    *("usr/bin/ovs-vsctl", "usr/bin/ovs-ofctl", "usr/bin/ovs-appctl", "usr/bin/ovs-dpctl"),
    *("usr/bin/ovn-northd", "usr/bin/ovn-controller", "usr/bin/ovn-nbctl", "usr/bin/ovn-sbctl"),
    *("usr/bin/ovn-appctl", "usr/bin/ovn-trace"),
)
VSWITCHD = "usr/lib/openvswitch-switch/ovs-vswitchd"  # a choice of Debian's alternatives
SWITCH = "usr/sbin/ovs-vswitchd"
SCHEMAS = (
    "usr/share/openvswitch/vswitch.ovsschema",
    "usr/share/ovn/ovn-nb.ovsschema",
    "usr/share/ovn/ovn-sb.ovsschema",
)
# Loaded by name at run time, which no program's header tells.
LOADED = ("libgcc_s.so.1",)
# Scripts and services of a system that is installed; nothing here runs them.
_LEFT_OUT = re.compile(
    r"^(systemd|udev$|dpkg$|perl|dbus|login|libpam|procps$|kmod$|adduser$|debconf|passwd$|python3-)"
)
_KEPT = re.compile(r"^python3-minimal$")
_NOT_OF_PYTHON = re.compile(
    r"/(test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|__pycache__)/"
    r"|/config-[^/]*/|/(turtle|antigravity|this)\.py$|/_tkinter\.|/LICENSE\.txt$"
)


@dataclass(frozen=True, slots=True)
class Package:
    """What the SBOM says of a Debian package. `source` with its version."""

    name: str
    version: str
    architecture: str
    source: str
    sha256: str
    maintainer: str
    control: str
    copyright: bytes


def fetch(folder: Path, suite: str, report: debian.Report) -> list[Path]:
    """The packages and what they depend on, as files."""
    apt = debian.Apt(folder, suite)
    apt.prepare(report)
    left = re.compile(rf"(?!{_KEPT.pattern}){_LEFT_OUT.pattern}")
    return apt.fetch(apt.resolve(PACKAGES, without=left), report)


class Unpacked:
    """The packages' files in one folder; `python` is the interpreter's version, such as 3.13."""

    def __init__(self, archives: Sequence[Path], scratch: Path) -> None:
        self.root = scratch / "root"
        self._origin: dict[str, Path] = {}
        for archive in archives:  # by itself, so that every file has a package that it comes from
            apart = scratch / "apart" / archive.name
            debian.unpack([archive], apart)
            for path in apart.rglob("*"):
                if path.is_symlink() or path.is_file():
                    self._origin[merged(str(path.relative_to(apart)))] = archive
        self._origin[SWITCH] = self._origin[VSWITCHD]
        debian.unpack(archives, self.root)
        [library] = self.root.glob("usr/lib/python3.*")
        self.python = library.name.removeprefix("python")

    def choose(self, others: tree.Tree) -> tuple[dict[str, tree.File], list[Package]]:
        """What the image takes, with the libraries that `others` need too; and from where."""
        files = _programs(self.root) | _python(self.root)
        files |= _libraries(files, others, self.root)
        used = sorted({self._origin[name] for name in files if name in self._origin})
        return files, [_package(archive, self.root) for archive in used]


def merged(name: str) -> str:
    """The path in a system whose /bin and /lib are links into /usr, as Debian's are."""
    return re.sub(r"^(bin|sbin|lib|lib64)/", r"usr/\1/", name)


def base() -> dict[str, tree.File]:
    """What a package's scripts would have made: users, and links of the merged /usr."""
    links = {name: tree.File(link=f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")}
    passwd = "root:x:0:0:root:/:/sbin/nologin\nweft:x:65532:65532:weft:/:/sbin/nologin\n"
    return {
        **links,
        "var/run": tree.File(link="../run"),
        "etc/passwd": tree.File(passwd.encode()),
        "etc/group": tree.File(b"root:x:0:\nweft:x:65532:\n"),
        "etc/nsswitch.conf": tree.File(b"passwd: files\ngroup: files\nhosts: files dns\n"),
    }


def status(packages: Iterable[Package]) -> dict[str, tree.File]:
    """What scanners of images read, a file a package, and the licences."""
    found: dict[str, tree.File] = {}
    for each in packages:
        found[f"var/lib/dpkg/status.d/{each.name}"] = tree.File(each.control.encode())
        found[f"usr/share/doc/{each.name}/copyright"] = tree.File(each.copyright)
    return found


def _programs(root: Path) -> dict[str, tree.File]:
    found = tree.read(root, [*PROGRAMS, VSWITCHD, *SCHEMAS])
    found[SWITCH] = found.pop(VSWITCHD)
    missing = [name for name in (*PROGRAMS, *SCHEMAS) if not found[name].data]
    if missing:
        raise errors.Unavailable(f"{', '.join(missing)}: in none of the packages")
    return found


def _python(root: Path) -> dict[str, tree.File]:
    [library] = [path.name for path in root.glob("usr/lib/python3.*")]
    paths = (f"usr/bin/{library}", "usr/bin/python3", f"usr/lib/{library}", f"etc/{library}")
    return {
        name: file
        for name, file in tree.read(root, paths).items()
        if not _NOT_OF_PYTHON.search(f"/{name}") and not name.endswith(".pyc")
    }


def _libraries(files: tree.Tree, others: tree.Tree, root: Path) -> dict[str, tree.File]:
    """The libraries that programs and modules name, and the program loader."""
    folder = next(root.glob("usr/lib/*-linux-gnu"))
    bundled = {Path(name).name: file.data for name, file in others.items()}

    def read(name: str) -> bytes:
        if name in bundled:
            return bundled[name]
        if not (folder / name).exists():
            raise errors.Unavailable(f"{name}: in none of the packages")
        return (folder / name).read_bytes()

    both = [*files.values(), *others.values()]
    programs = [file.data for file in both if elf.is_program(file.data)]
    needed = elf.closure(programs, read) | {name: read(name) for name in LOADED}
    place = f"usr/lib/{folder.name}"
    found = {
        f"{place}/{name}": tree.File(data) for name, data in needed.items() if name not in bundled
    }
    [loader] = {elf.interpreter(data) for data in programs} - {""}
    name = Path(loader).name
    found[f"{place}/{name}"] = tree.File(read(name), 0o755)
    found[merged(loader.lstrip("/"))] = tree.File(link=f"../lib/{folder.name}/{name}")
    return found


def _package(archive: Path, unpacked: Path) -> Package:
    control = subprocess.run(
        ["dpkg-deb", "-f", str(archive)], capture_output=True, text=True, check=True
    ).stdout
    fields: dict[str, str] = dict(re.findall(r"^([\w-]+): (.*)$", control, re.M))
    name, version = fields["Package"], fields["Version"]
    source = fields.get("Source", name)
    notice = unpacked / f"usr/share/doc/{name}/copyright"
    return Package(
        name=name,
        version=version,
        architecture=fields["Architecture"],
        source=source if "(" in source else f"{source} ({version})",
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        maintainer=fields["Maintainer"],
        control=control.replace(
            f"Package: {name}\n", f"Package: {name}\nStatus: install ok installed\n", 1
        ),
        copyright=notice.read_bytes() if notice.exists() else b"see the source package\n",
    )
