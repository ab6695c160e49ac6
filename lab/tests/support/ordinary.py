"""Running as an ordinary user, when the tests themselves run as root.

In a mount namespace of its own, folders that such a user may not enter are opened as far as the
interpreter, the checkout and the cache need it, and /dev/net/tun gets the mode that udev gives
it. Nothing of the machine changes.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from weft_lab.runtime import cache, namespaces

NOBODY = 65534
ROOT = Path(__file__).parents[3]


def run(
    argv: list[str],
    *,
    home: Path,
    env: Mapping[str, str],
    tun_mode: int = 0o666,
    namespaces_allowed: bool = True,
    visible: Iterable[Path] = (),
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user without any privilege, whose home is `home`.

    It can enter that, the folders `visible`, and what every program here needs.
    """
    home.mkdir(exist_ok=True)
    os.chown(home, NOBODY, NOBODY)
    needed = (home, ROOT, sys.prefix, sys.base_prefix, cache.folder())
    order = {
        "argv": argv,
        "visible": [str(folder) for folder in (*needed, *visible)],
        "tun_mode": tun_mode,
        "namespaces": namespaces_allowed,
    }
    return subprocess.run(
        [sys.executable, "-m", "lab.tests.support.ordinary", json.dumps(order)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "WEFT_CACHE": str(cache.folder()),
            **env,
        },
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def _closed(path: Path) -> Path | None:
    """The first folder on the way to `path` that others may not enter."""
    for parent in reversed(path.parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            return parent
    return None


def _open_ways(paths: list[Path]) -> None:
    kept = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in paths}
    ways = {path: _closed(path) for path in paths}
    for closed in {way for way in ways.values() if way}:
        namespaces.mount("tmpfs", str(closed), "tmpfs", data="mode=0755")
    for path, way in ways.items():
        if way:
            path.mkdir(parents=True, exist_ok=True)
            source = f"/proc/self/fd/{kept[path]}"
            namespaces.mount(source, str(path), flags=namespaces.MS_BIND | namespaces.MS_REC)


def _give_tun(mode: int) -> None:
    namespaces.mount("tmpfs", "/mnt", "tmpfs")
    os.mknod("/mnt/tun", stat.S_IFCHR, os.makedev(10, 200))
    os.chmod("/mnt/tun", mode)
    namespaces.mount("/mnt/tun", "/dev/net/tun", flags=namespaces.MS_BIND)


def _forbid_namespaces() -> None:
    """The machine's limit on user namespaces, lowered for those below a new one."""
    ready, go = os.pipe()
    outside = os.fork()
    if outside == 0:  # maps of more than oneself are written from outside
        os.close(go)
        os.read(ready, 1)
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{os.getppid()}/{kind}").write_text("0 0 65536")
        os._exit(0)
    namespaces.unshare(namespaces.CLONE_NEWUSER)
    os.close(go)
    os.waitpid(outside, 0)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def main() -> None:
    order = json.loads(sys.argv[1])
    namespaces.unshare(namespaces.CLONE_NEWNS)
    namespaces.mount("none", "/", flags=namespaces.MS_REC | namespaces.MS_PRIVATE)
    _open_ways([Path(path) for path in order["visible"]])
    _give_tun(order["tun_mode"])
    if not order["namespaces"]:
        _forbid_namespaces()
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.chdir("/")
    os.execvp(order["argv"][0], order["argv"])


if __name__ == "__main__":
    main()
