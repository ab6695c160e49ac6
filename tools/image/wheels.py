"""Fetches the Python packages that weft needs, by the hashes in requirements.txt, and unpacks them.

requirements.txt locks the lab's packages, too: only those that weft's own `pyproject.toml` names,
and what they name in turn, get into the image. Nothing is built; each comes as a wheel.
"""

from __future__ import annotations

import email.parser
import hashlib
import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bootstrap
from tools.image.tree import File
from weft import errors

# The C libraries that a Debian of these years has; newest first.
_MANYLINUX = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_NOT_NEEDED = re.compile(
    r"/(tests?|testing)/|\.(pyi|pxd|pyx|c|h|hpp|cpp)$|^[^/]+\.data/(?!purelib|platlib)"
)


@dataclass(frozen=True, slots=True)
class Wheel:
    """What the SBOM says of a package from Python's index, and its files below site-packages."""

    name: str
    version: str
    licence: str
    sha256: str
    files: Mapping[str, File]
    needs: tuple[Requirement, ...]


def fetch(lock: Path, python: str, machine: str, scratch: Path) -> list[Path]:
    """Every locked package as a wheel for this Python (3.13) and machine (x86_64)."""
    folder = scratch / "wheels"
    platforms = [f"--platform={name}_{machine}" for name in _MANYLINUX]
    done = subprocess.run(
        [
            *bootstrap.find_pip(scratch),
            *("download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"),
            *(f"--python-version={python}", "--implementation=cp", *platforms),
            *("--dest", str(folder), "-r", str(lock)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise errors.Unavailable(
            f"Python packages cannot be fetched: {done.stderr.strip().splitlines()[-1]}",
            where=str(lock),
            hint="check that this machine reaches its package index",
        )
    return sorted(folder.glob("*.whl"))


def choose(wheels: Iterable[Path], project: Path, python: str) -> list[Wheel]:
    """Those that the project in `project` (its pyproject.toml) needs, directly or not; sorted."""
    known = {str(canonicalize_name(path.name.split("-")[0])): path for path in wheels}
    stated = tomllib.loads(project.read_text())["project"]["dependencies"]
    markers = {key: str(value) for key, value in default_environment().items()}
    environment = {**markers, "python_version": python, "extra": ""}
    waiting = [Requirement(text) for text in stated]
    chosen: dict[str, Wheel] = {}
    while waiting:
        need = waiting.pop()
        name = str(canonicalize_name(need.name))
        if name in chosen or (need.marker and not need.marker.evaluate(environment)):
            continue
        if name not in known:
            raise errors.InvalidInput("requirements.txt", name, None, "must lock what is needed")
        chosen[name] = read(known[name])
        waiting += chosen[name].needs
    return [chosen[name] for name in sorted(chosen)]


def read(path: Path) -> Wheel:
    """The files of a wheel, and what it says of itself."""
    with zipfile.ZipFile(path) as archive:
        files = dict(_files(archive))
        [about] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.parser.BytesParser().parsebytes(archive.read(about))
    needs = metadata.get_all("Requires-Dist") or []
    licence = metadata.get("License-Expression") or metadata.get("License") or ""
    return Wheel(
        name=canonicalize_name(str(metadata["Name"])),
        version=str(metadata["Version"]),
        licence=licence if re.fullmatch(r"[\w.+-]+( (AND|OR|WITH) [\w.+-]+)*", licence) else "",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        files=files,
        needs=tuple(Requirement(each) for each in needs),
    )


def _files(archive: zipfile.ZipFile) -> Iterator[tuple[str, File]]:
    for member in archive.infolist():
        name = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", member.filename)
        if member.is_dir() or _NOT_NEEDED.search(name):
            continue
        yield name, File(archive.read(member), 0o644)
