"""Makes an empty database, and replaces a database file that its server cannot open.

Everything in a zone's databases is derived, so weft fills an empty one again within seconds. The
file that cannot be opened is kept beside the new one, for diagnosis.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import orjson

from weft import errors
from weft.host import files

KEPT = ".broken"  # after the name of the last file that was put aside

# A record is this line and so many bytes; the first one is the schema (ovsdb(5)).
_HEADER = re.compile(rb"OVSDB JSON (\d{1,7}) ([0-9a-f]{40})\n")
_LONGEST = 4 << 20
_WHAT_IT_IS = ("name", "version", "cksum")


def defect(path: Path, template: bytes) -> str:
    """Why no server of this schema can open the file, empty if one can.

    `template` is a new database. Records after the schema are not read: the server itself
    continues from the last whole transaction.
    """
    try:
        with open(path, "rb", opener=files.regular_file) as file:
            head = file.read(_LONGEST)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not head:
        return "is empty"
    found, expected = _schema(head), _schema(template)
    if found is None:
        return "has a broken header"
    if found != expected:
        needs = " ".join(expected[:2]) if expected else "none"
        return f"has schema {found[0]} {found[1]}, the server needs {needs}"
    return ""


def _schema(data: bytes) -> tuple[str, ...] | None:
    """Name, version and checksum of the schema; None where the first record is no schema."""
    header = _HEADER.match(data)
    if header is None:
        return None
    record = data[header.end() : header.end() + int(header[1])]
    if hashlib.sha1(record, usedforsecurity=False).hexdigest().encode() != header[2]:
        return None
    try:
        schema = orjson.loads(record)
        return tuple(str(schema.get(key, "")) for key in _WHAT_IT_IS)
    except (ValueError, AttributeError):
        return None


def create(
    tool: str,
    schema: Path,
    target: Path,
    first: str = "",
    *,
    shown: str = "",
    env: Mapping[str, str] | None = None,
) -> None:
    """A new database in place of `target`; `tool` is ovsdb-tool, `first` a first transaction.

    Raises Unavailable.
    """
    target.unlink(missing_ok=True)
    _run(shown or str(target), [tool, "create", str(target), str(schema)], env)
    if first:
        _run(shown or str(target), [tool, "transact", str(target), first], env)


def unreadable(tool: str, path: Path, database: str) -> str:
    """Why a server could not read the records of a file; empty if one could. Slow if it is long."""
    question = json.dumps([database, {"op": "comment", "comment": "readable"}])
    done = subprocess.run(
        [tool, "query", str(path), question], capture_output=True, text=True, check=False
    )
    return _reason(done.stderr) if done.returncode else ""


def _run(shown: str, argv: list[str], env: Mapping[str, str] | None) -> None:
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise errors.Unavailable(
            f"a new database cannot be made: {_reason(done.stderr)}",
            where=shown,
            hint="free some space, or see why its folder cannot be written",
        )


def _reason(complaint: str) -> str:
    return complaint.strip().rpartition(": ")[2]


def mend(path: Path, template: Path, *, shown: str, corruption: str = "") -> str:
    """Replace an unusable database by `template`; returns what was done, empty if nothing.

    `corruption`: why a file of the right schema is bad. The old file is moved only when the new
    one is complete. Raises Unavailable if there can be no new one.
    """
    what = defect(path, template.read_bytes()) or corruption
    if not what:
        return ""
    fresh, kept = (path.with_name(f".{path.name}.new"), path.with_name(path.name + KEPT))
    try:
        shutil.copyfile(template, fresh)
        is_there = path.is_symlink() or path.exists()
        if is_there:
            _remove(kept)
            path.rename(kept)
        fresh.replace(path)
    except OSError as error:
        raise errors.Unavailable(
            f"{what}, and a new one cannot be made: {error.strerror}",
            where=f"database {shown}",
            hint="free some space, or see why its folder cannot be written",
        ) from error
    return f"it {what}; it was made anew" + (f", the old one is {shown}{KEPT}" if is_there else "")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
