"""Prepares what must be there before the first guest starts, and keeps it for the next.

    python -m weft_lab.vm.ready         makes it, behind others who want the processor

It fetches nothing, because a running lab has the toolchain. It makes the guest image (once, under a
second) and tests KVM (once, some seconds where it hangs). A lab runs this while it starts, so that
no guest waits for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from weft import errors
from weft_lab.runtime import cache, toolchain
from weft_lab.vm import accelerator, guest

# Below the priority of what starts the lab, but not starved: the first guest waits for it.
NICENESS = 5


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


def render(found: Ready) -> str:
    """As JSON, for a process that cannot look for itself."""
    return json.dumps(asdict(found), default=str)


def parse(text: str) -> Ready:
    """The inverse of `render`."""
    stored = json.loads(text)
    env = stored["tools"].pop("env")
    tools = {name: Path(path) for name, path in stored["tools"].items()}
    image = {name: Path(path) for name, path in stored["image"].items()}
    return Ready(toolchain.Toolchain(**tools, env=env), guest.Guest(**image), stored["accelerator"])


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


async def prepare() -> None:
    """Runs `ensure` in a process of its own, which ends with this one; neither waits."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def main() -> int:
    os.nice(NICENESS)
    try:
        ensure()
    except errors.WeftError as error:  # an Event of the first guest that cannot run says why
        print(f"{error} ({error.hint})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
