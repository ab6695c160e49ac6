"""Tells who sends a request: the owner of a bearer token from a file, or nobody.

The file has one `token[,user[,uid[,"group,group"]]]` a line, as the reference server's static
token file. Everybody with a token may do everything: a lab has one user.
"""

from __future__ import annotations

import csv
import secrets
from dataclasses import dataclass
from pathlib import Path

from weft.host import files
from weft_lab.apiserver import status


@dataclass(frozen=True, slots=True)
class User:
    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()


def ensure_tokens(path: Path) -> str:
    """Make the file with one fresh token if it is not there; returns the first token."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = secrets.token_urlsafe(24)
        files.replace(path, f'{token},admin,admin,"system:masters"\n'.encode())
        return token
    return next(iter(read_tokens(path)))


def read_tokens(path: Path) -> dict[str, User]:
    with path.open(newline="") as file:
        return parse_tokens(file.read())


def parse_tokens(text: str) -> dict[str, User]:
    found: dict[str, User] = {}
    for row in csv.reader(text.splitlines()):
        if not row or not row[0].strip() or row[0].startswith("#"):
            continue
        token, name, uid, groups, *_ = [*row, "", "", ""]
        listed = tuple(one.strip() for one in groups.split(",") if one.strip())
        found[token.strip()] = User(name or "admin", uid, (*listed, "system:authenticated"))
    return found


def identify(tokens: dict[str, User], header: str | None) -> User:
    kind, _, token = (header or "").partition(" ")
    user = tokens.get(token.strip()) if kind.lower() == "bearer" else None
    if user is None:
        raise status.unauthorized()
    return user
