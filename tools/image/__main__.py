"""Builds weft's container image, without a container engine and without a registry.

    python -m tools.image                      dist/weft-<version>.tar, and its SBOM beside it
    python -m tools.image --name NAME:TAG      the name under which runtimes know it

Packages come from Debian by apt, Python packages by the hashes in requirements.txt, the CNI plugin
from deploy/plugin by Go. Nothing runs as root. The same checkout and packages give the same image:
files are as old as the last commit (or as $SOURCE_DATE_EPOCH says).
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bootstrap
import weft
from tools.image import debian, oci, sbom, tree, wheels
from weft import errors
from weft.host import files
from weft_lab.runtime import cache

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "usr/libexec/weft/weft-cni"
SBOM = "usr/share/weft/sbom.spdx.json"
COMMAND = """\
#!/usr/bin/python3 -I
import sys

from weft.cli.main import main

sys.exit(main())
"""
ABOUT = "Metadata-Version: 2.1\nName: weft\nVersion: {version}\nLicense-Expression: Apache-2.0\n"
FOLDERS = {"run": 0o755, "tmp": 0o1777, "var/log": 0o755}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def main(arguments: Sequence[str]) -> int:
    """Build, and tell what the image is made of."""
    options = _options(arguments)
    try:
        image, listed = build(options.name, options.suite)
    except errors.WeftError as error:
        print(f"Error: {error}\n  {error.hint}", file=sys.stderr)
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    packed = oci.archive(image)
    # The image comes last and whole: who ends this finds none, and not a part of one.
    for path, content in (
        (options.output.with_suffix(".spdx.json"), listed),
        (options.output, packed),
    ):
        files.replace(path, content)
        path.chmod(0o644)
    for each in image.layers:
        print(f"{each.unpacked / 1e6:7.1f} MB  {len(each.blob) / 1e6:6.1f} MB packed  {each.what}")
    total = sum(each.unpacked for each in image.layers)
    print(f"{total / 1e6:7.1f} MB  {len(packed) / 1e6:6.1f} MB packed  {options.output}")
    print(f"{image.name} {image.digest()}")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools.image", description="Builds the container image.")
    parser.add_argument("--name", default=f"localhost/weft:{weft.__version__}")
    parser.add_argument("--suite", default=debian.SUITE, help="of Debian")
    default = ROOT / f"dist/weft-{weft.__version__}.tar"
    parser.add_argument("--output", type=Path, default=default)
    return parser.parse_args(arguments)


def build(name: str, suite: str) -> tuple[oci.Image, bytes]:
    """The image and its SBOM."""
    when = age()
    with tempfile.TemporaryDirectory(dir=cache.folder()) as folder:
        scratch = Path(folder)
        _say("fetching Debian packages")
        unpacked = debian.Unpacked(debian.fetch(scratch / "apt", suite, _quiet), scratch)
        python = unpacked.python
        _say("fetching Python packages")
        fetched = wheels.fetch(ROOT / "requirements.txt", python, platform.machine(), scratch)
        third_parties = wheels.choose(fetched, ROOT / "pyproject.toml", python)
        site = f"usr/local/lib/python{python}/dist-packages"
        third = {f"{site}/{k}": file for each in third_parties for k, file in each.files.items()}
        files, packages = unpacked.choose(third)
        own = product(site)
        _say("building the CNI plugin")
        own[PLUGIN] = tree.File(plugin(scratch), 0o755)
        parts = (debian.base() | files | debian.status(packages), third, own)
        _say("compiling Python")
        compiled = bytecode(parts, scratch / "image")
    listed = sbom.render(
        *(weft.__version__, when),
        suite=suite,
        packages=packages,
        wheels=third_parties,
        go=go_version(),
        npm=sbom.locked(ROOT / bootstrap.WEB / "package-lock.json") if libraries() else (),
    )
    own[SBOM] = tree.File(listed)
    _say("packing")
    whats = ("OVN, Open vSwitch and Python from Debian", "Python packages", "weft")
    layers = [
        tree.layer(what, {**part, **code}, when, FOLDERS if what == whats[0] else None)
        for what, part, code in zip(whats, parts, compiled, strict=True)
    ]
    image = oci.Image(
        *(name, ARCHITECTURES[platform.machine()], when, "65532:65532", ["/usr/bin/weft"]),
        layers,
        {
            "org.opencontainers.image.title": "weft",
            "org.opencontainers.image.version": weft.__version__,
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    )
    return image, listed


def product(site: str) -> dict[str, tree.File]:
    """weft itself and its command."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "weft"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    names = [name for name in tracked.split("\0") if name and (ROOT / name).exists()]
    names += (str(path.relative_to(ROOT)) for path in libraries())
    files = {f"{site}/{name}": tree.File((ROOT / name).read_bytes()) for name in names}
    about = f"{site}/weft-{weft.__version__}.dist-info/METADATA"
    files[about] = tree.File(ABOUT.format(version=weft.__version__).encode())
    files["usr/bin/weft"] = tree.File(COMMAND.encode(), 0o755)
    files["usr/share/doc/weft/copyright"] = tree.File((ROOT / "LICENSE").read_bytes())
    return files


def libraries() -> list[Path]:
    """The console's, as `make prepare` has put them there; none where no npm is."""
    return sorted(path for path in (ROOT / bootstrap.LIBRARIES).rglob("*") if path.is_file())


def plugin(scratch: Path) -> bytes:
    """The static CNI plugin."""
    if shutil.which("go") is None:
        raise errors.Unavailable(
            "no Go toolchain builds the CNI plugin", where="deploy/plugin", hint="install Go 1.24"
        )
    made = scratch / "weft-cni"
    flags = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=")
    subprocess.run(
        ["go", "build", *flags, "-o", str(made), "."],
        cwd=ROOT / "deploy/plugin",
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""},
        check=True,
    )
    return made.read_bytes()


def go_version() -> str:
    told = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"go([\d.]+)", told)
    return found[1] if found else "unknown"


def bytecode(parts: Sequence[tree.Tree], root: Path) -> list[dict[str, tree.File]]:
    """What Python would compile at each start, since nothing can be written in the image.

    The image's own interpreter compiles it. A file's hash stands in place of its age.
    """
    for part in parts:
        tree.write(root, part)
    [library] = [path.parent for path in root.glob("usr/lib/*/libc.so.6")]
    interpreter = next(path for path in sorted(root.glob("usr/bin/python3.*")))
    loader = next(library.glob("ld-linux-*"))
    subprocess.run(
        [
            *(str(loader), "--library-path", str(library), str(interpreter), "-sSB", "-m"),
            *("compileall", "-q", "-f", "-j1", "-s", str(root), "-p", "/"),
            *("--invalidation-mode", "unchecked-hash", str(root / "usr")),
        ],
        env={"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0", "PATH": os.defpath},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    made = {
        str(path.relative_to(root)): tree.File(path.read_bytes()) for path in root.rglob("*.pyc")
    }
    return [{name: file for name, file in made.items() if _source(name) in part} for part in parts]


def _source(name: str) -> str:
    """The source of a compiled file."""
    return re.sub(r"__pycache__/(.+)\.cpython-\d+\.pyc$", r"\1.py", name)


def age() -> int:
    """Seconds since 1970 of the last commit, or what $SOURCE_DATE_EPOCH says."""
    if chosen := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(chosen)
    told = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(told.stdout)


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def _quiet(_what: str, _fraction: float | None) -> None:
    """Progress that nobody watches."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
