"""Where do empty databases come from? Made once for each schema, then copied: 10 ms saved each."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from weft import errors
from weft.lab.runtime import cache, daemons
from weft.lab.runtime.toolchain import Toolchain


def ensure(tools: Toolchain) -> Path:
    """A folder with one empty database for each schema, named <schema>.db."""
    schemas = [schema for _, _, schema, _ in daemons.DATABASES]
    mixed = hashlib.sha256(b"".join(tools.schema(name).read_bytes() for name in schemas))
    folder = cache.folder() / f"databases-{mixed.hexdigest()[:12]}"
    made = {name: folder / f"{name}.db" for name in schemas}
    if not all(target.exists() for target in made.values()):
        with cache.lock(cache.folder() / "databases.lock"):
            for name, target in made.items():
                _create(tools, name, target)
    return folder


def _create(tools: Toolchain, schema: str, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    done = subprocess.run(
        [tools.program("ovsdb-tool"), "create", str(temporary), str(tools.schema(schema))],
        env={**os.environ, **tools.env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise errors.Unavailable(
            f"an empty database cannot be made: {done.stderr.strip().rpartition(': ')[2]}",
            where=str(target),
            hint="free some space, or remove the cache folder and run it again",
        )
    temporary.chmod(0o644)  # empty, and a cache may serve several users
    temporary.replace(target)
