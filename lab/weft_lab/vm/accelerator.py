"""Finds out whether KVM works here, or guests must be emulated.

Opening /dev/kvm proves nothing: with nested virtualisation a guest may hang in early boot. So this
boots the built-in guest once under KVM, with a deadline, and caches the result for this kernel and
QEMU. `$WEFT_ACCEL` (kvm or tcg) overrules it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from weft import errors
from weft_lab.runtime import cache, toolchain
from weft_lab.vm import guest, qemu

DEADLINE = 8.0  # a guest that KVM really runs is through in about one second
MARK = b"weft-probe-done"
CHOICES = ("kvm", "tcg")
DEVICE = "/dev/kvm"


def choose(tools: toolchain.Toolchain, image: guest.Guest) -> str:
    """ "kvm" or "tcg". Blocks for up to DEADLINE seconds on the first call on a machine."""
    choice = os.environ.get("WEFT_ACCEL", "")
    if choice and choice not in CHOICES:
        raise errors.InvalidInput(
            "environment", "WEFT_ACCEL", choice, "is neither kvm nor tcg", hint="unset it"
        )
    if choice:
        return choice
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    kept = cache.folder() / f"accelerator-{_identity(tools, image)}"
    with cache.lock(cache.folder() / "accelerator.lock"):
        try:
            verdict = kept.read_text()
        except OSError:
            verdict = ""
        if verdict not in CHOICES:
            verdict = "kvm" if boots(tools, image, "kvm") else "tcg"
            kept.write_text(verdict)
    return verdict


def boots(
    tools: toolchain.Toolchain, image: guest.Guest, accelerator: str, deadline: float = DEADLINE
) -> bool:
    """Whether a guest starts its first program before the deadline."""
    with tempfile.TemporaryDirectory(prefix="weft-probe-") as folder:
        console = Path(folder) / "console"
        argv = [tools.program(qemu.PROGRAM), *qemu.probe(image, accelerator, console)]
        try:
            subprocess.run(
                argv,
                timeout=deadline,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except (subprocess.TimeoutExpired, OSError):
            return False
        return console.exists() and MARK in console.read_bytes()


def _identity(tools: toolchain.Toolchain, image: guest.Guest) -> str:
    program = os.stat(tools.program(qemu.PROGRAM))
    host = platform.uname()
    text = repr((host.release, host.version, tools.bin, program.st_mtime_ns, str(image.initrd)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
