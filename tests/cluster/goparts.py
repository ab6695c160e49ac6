"""Builds the Go programs of a cluster: Kubernetes, Multus, CNI plugins, Helm.

Each folder of `go/` is a module of ours that names one upstream module and its programs as tools,
with all versions and checksums pinned. A build is kept in the cache under what it was made of.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from weft import errors
from weft_lab.runtime import cache

SOURCES = Path(__file__).parent / "go"
LEAST_GO = (1, 26)
FLAGS = ("-trimpath", "-buildvcs=false")
# The compiler makes no symbols that the linker drops: an eighth less work, and the same programs.
QUICKER = "-gcflags=all=-dwarf=false"
TRIES = 2  # a download may break off; what has come and what is compiled stays
PROXY = "the Go module proxy (`go env GOPROXY`)"


@dataclass(frozen=True, slots=True)
class Module:
    """A folder of `go/`; `upstream` is the module whose version counts.

    `only` is the package of the one program that is built; empty: all are.
    """

    folder: str
    upstream: str
    only: str = ""

    @property
    def path(self) -> Path:
        return SOURCES / self.folder

    @property
    def version(self) -> str:
        found = re.search(rf"{re.escape(self.upstream)} (v\S+)", (self.path / "go.mod").read_text())
        assert found, f"{self.path}/go.mod requires no {self.upstream}"
        return found[1]

    @property
    def tools(self) -> tuple[str, ...]:
        """The packages of its programs."""
        tools = re.findall(r"^(?:tool |\t)(\S+/\S+)$", (self.path / "go.mod").read_text(), re.M)
        return tuple(tools)


NEWEST = Module("kubernetes", "k8s.io/kubernetes")
OLDEST = Module("kubernetes-oldest", "k8s.io/kubernetes")
MULTUS = Module("multus", "gopkg.in/k8snetworkplumbingwg/multus-cni.v4")
PLUGINS = Module("plugins", "github.com/containernetworking/plugins")
HELM = Module("helm", "helm.sh/helm/v3")
RELEASES = {"newest": NEWEST, "oldest": OLDEST}


def build(module: Module) -> Path:
    """The folder with the module's programs, built if it is not there yet.

    Raises Unavailable, which names what is missing.
    """
    made_with = toolchain()
    folder = cache.folder() / f"cluster-{module.folder}-{_key(module, made_with)}"
    if not folder.is_dir():
        with cache.lock(cache.folder() / f"cluster-{module.folder}.lock"):
            if not folder.is_dir():
                _build(module, folder, made_with)
    return folder


def program(module: Module, name: str) -> Path:
    """One program, built alone unless all of its module's are there. Raises Unavailable."""
    made_with = toolchain()
    whole = cache.folder() / f"cluster-{module.folder}-{_key(module, made_with)}"
    if (whole / name).exists():
        return whole / name
    (package,) = [each for each in module.tools if each.endswith(f"/{name}")]
    return build(replace(module, only=package)) / name


def toolchain() -> str:
    """What `go version` says."""
    if shutil.which("go") is None:
        raise errors.Unavailable("there is no Go here", where="PATH", hint=_remedy())
    version = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < LEAST_GO:
        raise errors.Unavailable(f"is too old: {version.strip()}", where="go", hint=_remedy())
    return version.strip()


def _remedy() -> str:
    return f"install Go {LEAST_GO[0]}.{LEAST_GO[1]} or later and put it on PATH"


def _key(module: Module, made_with: str) -> str:
    parts = [made_with, *FLAGS, _stamp(module), *filter(None, [module.only])]
    parts += [(module.path / name).read_text() for name in ("go.mod", "go.sum")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _stamp(module: Module) -> str:
    """The linker's flags: no symbols, and the version that the programs say they are."""
    if module.upstream != "k8s.io/kubernetes":
        return "-s -w"
    major, minor, _ = module.version.removeprefix("v").split(".")
    values = {"gitVersion": module.version, "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    settings = [f"-X {each}.{key}={value}" for each in packages for key, value in values.items()]
    return " ".join(["-s -w", *settings])


def _build(module: Module, folder: Path, made_with: str) -> None:
    cache.require_space(cache.folder(), 3_000_000_000)
    what = f"{module.only or module.upstream} {module.version}"
    print(f"building {what} with {made_with}; kept in {folder}", file=sys.stderr, flush=True)
    growing = folder.with_suffix(".part")
    shutil.rmtree(growing, ignore_errors=True)
    argv = ["go", "build", *FLAGS, QUICKER, f"-ldflags={_stamp(module)}", "-o", f"{growing}/"]
    argv.append(module.only or "tool")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    for _ in range(TRIES):
        done = subprocess.run(
            argv, cwd=module.path, env=environment, capture_output=True, text=True, check=False
        )
        if not done.returncode:
            break
    else:
        shutil.rmtree(growing, ignore_errors=True)
        raise errors.Unavailable(
            f"cannot be built: {done.stderr.strip()[-1500:]}",
            where=f"{module.upstream} {module.version}",
            hint=f"check that this machine reaches {PROXY}, then run the same command again",
        )
    growing.rename(folder)
