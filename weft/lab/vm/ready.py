"""What must be there before the first guest starts, and what does it cost to ask?

Fetches nothing: the toolchain is there when a lab runs. Makes the guest image (once, under a
second) and finds out about KVM (once, seconds where it hangs), so a lab calls this while it comes
up and no guest waits for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from weft.lab.runtime import cache, toolchain
from weft.lab.vm import accelerator, guest


@dataclass(frozen=True, slots=True)
class Ready:
    """What every guest is started with."""

    tools: toolchain.Toolchain
    image: guest.Guest
    accelerator: str


def ensure(tools: toolchain.Toolchain | None = None) -> Ready:
    """Blocks until all is there; later calls take milliseconds."""
    tools = tools or find_tools()
    image = guest.ensure(tools)
    return Ready(tools=tools, image=image, accelerator=accelerator.choose(tools, image))


def find_tools() -> toolchain.Toolchain:
    """The toolchain, asked for from inside the lab.

    There the toolchain's own programs come first on PATH, and must not be taken for the host's:
    that would be another toolchain, fetched anew.
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    kept = str(cache.folder()) + os.sep
    os.environ["PATH"] = os.pathsep.join(entry for entry in path if not entry.startswith(kept))
    try:
        return toolchain.ensure()
    finally:
        os.environ["PATH"] = os.pathsep.join(path)
