"""Makes an empty database of each schema once; nodes start with a copy, which saves 10 ms each."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from weft.host import dbfiles
from weft.ovn import daemons
from weft_lab.runtime import cache
from weft_lab.runtime.toolchain import Toolchain


def ensure(tools: Toolchain) -> Path:
    """A folder with one new database for each schema, named <schema>.db."""
    known = daemons.DATABASES.values()
    made_of = [tools.schema(each.schema).read_bytes() + each.first.encode() for each in known]
    mixed = hashlib.sha256(b"".join(made_of))
    folder = cache.folder() / f"databases-{mixed.hexdigest()[:12]}"
    made = {each: folder / f"{each.schema}.db" for each in known}
    if not all(target.exists() for target in made.values()):
        with cache.lock(cache.folder() / "databases.lock"):
            for each, target in made.items():
                if not target.exists():
                    _create(tools, each, target)
    return folder


def _create(tools: Toolchain, database: daemons.Database, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_suffix(".part")
    dbfiles.create(
        *(tools.program("ovsdb-tool"), tools.schema(database.schema), temporary, database.first),
        shown=str(target),
        env={**os.environ, **tools.env},
    )
    temporary.chmod(0o644)  # nothing is in it, and a cache may serve several users
    temporary.replace(target)
