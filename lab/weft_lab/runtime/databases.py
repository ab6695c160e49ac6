"""Makes an empty database of each schema once; nodes start with a copy, which saves 10 ms each.

A new database holds the one row that OVN's own start-up scripts put there too (`ovn-sbctl init`).
Without SB_Global, ovn-controller 25.03 dies of a null pointer if it looks before northd has made
that row.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from weft import errors
from weft_lab.runtime import cache, daemons
from weft_lab.runtime.toolchain import Toolchain

# By schema: the transaction that makes the first row.
FIRST: Mapping[str, str] = {
    "ovn-nb": '["OVN_Northbound", {"op": "insert", "table": "NB_Global", "row": {}}]',
    "ovn-sb": '["OVN_Southbound", {"op": "insert", "table": "SB_Global", "row": {}}]',
}


def ensure(tools: Toolchain) -> Path:
    """A folder with one new database for each schema, named <schema>.db."""
    schemas = [schema for _, _, schema, _ in daemons.DATABASES]
    made_of = [tools.schema(name).read_bytes() + FIRST.get(name, "").encode() for name in schemas]
    mixed = hashlib.sha256(b"".join(made_of))
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
    _tool(tools, target, "create", str(temporary), str(tools.schema(schema)))
    if schema in FIRST:
        _tool(tools, target, "transact", str(temporary), FIRST[schema])
    temporary.chmod(0o644)  # nothing is in it, and a cache may serve several users
    temporary.replace(target)


def _tool(tools: Toolchain, target: Path, *command: str) -> None:
    done = subprocess.run(
        [tools.program("ovsdb-tool"), *command],
        env={**os.environ, **tools.env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise errors.Unavailable(
            f"a new database cannot be made: {done.stderr.strip().rpartition(': ')[2]}",
            where=str(target),
            hint="free some space, or remove the cache folder and run it again",
        )
