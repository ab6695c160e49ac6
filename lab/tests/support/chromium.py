"""A Chromium for tests of pages: Debian's packages, unpacked into the cache.

Chromium starts itself again for each of its processes, so the loader's wrapper does not suffice:
a new user and mount namespace has the unpacked packages as its root, and the host's /proc, /dev,
/sys and /tmp. Its network is the host's, and its user is who runs the tests.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from weft_lab.runtime import cache, debian

SUITE = "trixie"
PACKAGES = ("base-files", "dash", "coreutils", "chromium", "fonts-dejavu-core")
LAYOUT = 1  # raise when what is made of the packages changes
# What only an installation, a desktop or a graphics card needs.
LEFT_OUT = re.compile(
    r"^(perl|libperl|debconf|adduser|tzdata|gcc-\d+-base|mesa-|libllvm|xdg-utils|libz3|adwaita"
    r"|desktop-file-utils|x11-common|dbus|systemd|init-system|chromium-sandbox|hicolor|ca-cert)"
)
# Nothing leaves the machine but requests for the pages themselves.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START = 60.0  # seconds
# $0 is the folder, then come Chromium's arguments.
_ENTER = """
for each in proc dev sys tmp; do mount --rbind /$each "$0/$each" || exit 1; done
exec chroot "$0" /usr/lib/chromium/chromium "$@"
"""


def ensure() -> Path:
    """A program that runs Chromium, fetched if it is not there yet. Raises Unavailable."""
    made_of = repr((LAYOUT, SUITE, PACKAGES, LEFT_OUT.pattern, _ENTER))
    folder = cache.folder() / f"chromium-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        with cache.lock(cache.folder() / "chromium.lock"):
            if not folder.is_dir():
                _fetch(folder)
    return folder / "run-chromium"


def _fetch(folder: Path) -> None:
    print(f"fetching Debian's Chromium; kept in {folder}", file=sys.stderr, flush=True)
    growing, state = folder.with_suffix(".part"), folder.with_suffix(".apt")
    shutil.rmtree(growing, ignore_errors=True)
    apt = debian.Apt(state, SUITE)
    apt.prepare()
    archives = apt.resolve(PACKAGES, without=LEFT_OUT)
    cache.require_space(cache.folder(), 5 * sum(archive.size for archive in archives))
    debian.unpack(apt.fetch(archives), growing)
    for name in ("proc", "dev", "sys", "tmp"):
        (growing / name).mkdir(exist_ok=True)
    program = growing / "run-chromium"
    program.write_text(
        f"#!/bin/sh\nexec unshare --user --map-root-user --mount sh -c '{_ENTER}' {folder} \"$@\"\n"
    )
    program.chmod(0o755)
    shutil.rmtree(state)
    growing.rename(folder)


@contextmanager
def running() -> Iterator[Browser]:
    """A Chromium with a new profile, which ends with the scope. Raises Unavailable."""
    program = ensure()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=list(_FLAGS), timeout=1000 * START
        )
        try:
            yield browser
        finally:
            browser.close()
