"""Identifies the sender of a request: the owner of a bearer token, or anonymous.

A file has one `token[,user[,uid[,"group,group"]]]` a line, as the reference server's static
token file. Service accounts have tokens that this server signs (`tokens`).
"""

from __future__ import annotations

import csv
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weft.host import files
from weft_lab.apiserver import status

MASTERS = "system:masters"
AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def info(self) -> dict[str, object]:
        """Its userInfo, as reviews show it."""
        found: dict[str, object] = {"username": self.name}
        if self.uid:
            found["uid"] = self.uid
        if self.groups:
            found["groups"] = list(self.groups)
        if self.extra:
            found["extra"] = {key: list(values) for key, values in self.extra.items()}
        return found


ANONYMOUS = User("system:anonymous", groups=(UNAUTHENTICATED,))


def ensure_tokens(path: Path) -> str:
    """Make the file with one new token if it is missing; returns the first token."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = secrets.token_urlsafe(24)
        files.replace(path, f'{token},admin,admin,"{MASTERS}"\n'.encode())
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
        found[token.strip()] = User(name or "admin", uid, (*listed, AUTHENTICATED))
    return found


def identify(
    tokens: Mapping[str, User], header: str | None, signed: Callable[[str], User | None]
) -> User:
    """The user of a token; `signed` reads those of service accounts. Raises Unauthorized."""
    kind, _, token = (header or "").strip().partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token:
        return ANONYMOUS
    user = tokens.get(token) or signed(token)
    if user is None:
        raise status.unauthorized()
    return user
