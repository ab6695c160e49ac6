"""Parses a VM's cloud-init user data into records; applies nothing.

Keys of `#cloud-config` that the built-in guest can apply become a `CloudConfig`; the names of the
others are kept for an Event. Network data is networkdata.py's part.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from weft.decode import budget, inflate, yamltext

FOLLOWED = frozenset(
    {
        *("hostname", "fqdn", "preserve_hostname", "manage_etc_hosts", "prefer_fqdn_over_hostname"),
        *("user", "users", "password", "chpasswd", "ssh_pwauth", "disable_root", "write_files"),
        *("bootcmd", "runcmd"),
    }
)
# Keys without effect in a guest without a disk; no Event names them.
HARMLESS = frozenset(
    {
        *("ssh_authorized_keys", "ssh_import_id", "ssh_keys", "ssh_deletekeys", "growpart"),
        *("resize_rootfs", "final_message", "timezone", "locale", "output", "cloud_init_modules"),
    }
)
Command = str | tuple[str, ...]
# Many times what a guest needs; a guest's memory is small.
BUDGET = budget.Budget(size=budget.MIB, values=20_000, depth=50)
_FILE_LIMIT = 16 * budget.MIB


class Unreadable(ValueError):
    """User or network data that no guest could follow; the message says why."""


@dataclass(frozen=True, slots=True)
class User:
    """`password` is plain text; `hashed` a crypt(3) string; both empty: no login by password."""

    name: str
    password: str = ""
    hashed: str = ""
    shell: str = "/bin/sh"
    home: str = ""


@dataclass(frozen=True, slots=True)
class File:
    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root:root"
    append: bool = False


@dataclass(frozen=True, slots=True)
class CloudConfig:
    hostname: str = ""
    users: tuple[User, ...] = ()
    files: tuple[File, ...] = ()
    boot_commands: tuple[Command, ...] = ()
    run_commands: tuple[Command, ...] = ()
    script: str = ""
    unknown: tuple[str, ...] = ()


def parse(user_data: str, default_user: str = "cloud") -> CloudConfig:
    """What `#cloud-config` or a `#!` script asks for. Raises Unreadable."""
    text = user_data.strip()
    if text.startswith("#!"):
        return CloudConfig(script=text + "\n")
    if not text:
        return CloudConfig()
    if not text.startswith("#cloud-config"):
        first = text.splitlines()[0]
        raise Unreadable(f"begins with {first!r}, which is neither #cloud-config nor #!")
    config = load_mapping(text)
    return CloudConfig(
        hostname=str(config.get("hostname") or config.get("fqdn") or "").split(".")[0],
        users=_users(config, default_user),
        files=tuple(_file(entry) for entry in _entries(config, "write_files")),
        boot_commands=_commands(config, "bootcmd"),
        run_commands=_commands(config, "runcmd"),
        unknown=tuple(sorted(str(key) for key in config if key not in FOLLOWED | HARMLESS)),
    )


def with_hostname(config: CloudConfig, hostname: str) -> CloudConfig:
    return replace(config, hostname=hostname)


def load_mapping(text: str) -> dict[str, Any]:
    """A YAML mapping. Raises Unreadable with the place of the mistake."""
    try:
        loaded = yamltext.parse_one(text, BUDGET, yamltext.Dialect.CLOUD_INIT).value
    except budget.Exceeded as error:
        raise Unreadable(str(error)) from error
    except budget.Malformed as error:
        raise Unreadable(f"is not valid YAML: {error}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise Unreadable(f"is a {type(loaded).__name__}, not a mapping")
    return loaded


def default_user(image: str) -> str:
    """The user that a `password` without `user` means in images of that family."""
    for family in ("fedora", "ubuntu", "debian", "cirros", "alpine", "opensuse", "arch"):
        if family in image:
            return family
    for family, user in (("centos", "cloud-user"), ("rhel", "cloud-user"), ("rocky", "rocky")):
        if family in image:
            return user
    return "cloud"


def _users(config: Mapping[str, Any], default: str) -> tuple[User, ...]:
    """`users`, `user` with `password`, and `chpasswd`, the later overriding the earlier."""
    found: dict[str, User] = {}
    named = config.get("user")
    if isinstance(named, Mapping):
        default = str(named.get("name") or default)
    elif named:
        default = str(named)
    listed = config.get("users")
    users: list[Any] = list(listed) if isinstance(listed, list) else ["default"]
    if named and "default" not in users:
        users.insert(0, "default")
    for entry in users:
        if entry == "default":
            extra = named if isinstance(named, Mapping) else {}
            user = _user({**extra, "name": default})
            password = config.get("password")
            if password is not None:
                user = _with_password(user, str(password))
            if named or password is not None or isinstance(listed, list):
                found[user.name] = user
        elif isinstance(entry, Mapping) and entry.get("name"):
            found[str(entry["name"])] = _user(entry)
        elif isinstance(entry, str):
            found[entry] = _user({"name": entry})
        else:
            raise Unreadable(f"users has an entry without a name: {entry!r}")
    for name, password in _changes(config.get("chpasswd")):
        user = found.get(name) or _user({"name": name})
        found[name] = _with_password(user, password)
    return tuple(found.values())


def _user(entry: Mapping[str, Any]) -> User:
    name = str(entry["name"])
    user = User(
        name=name,
        # The guest has one shell; a user who asks for another gets this one.
        home=str(entry.get("homedir") or ("/root" if name == "root" else f"/home/{name}")),
    )
    if entry.get("plain_text_passwd") is not None:
        return _with_password(user, str(entry["plain_text_passwd"]))
    hashed = entry.get("hashed_passwd") or entry.get("passwd")
    return _with_password(user, str(hashed)) if hashed else user


def _with_password(user: User, password: str) -> User:
    """A password that begins like a crypt(3) string is one, as cloud-init has it."""
    hashed = password.startswith(("$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$"))
    return replace(user, password="" if hashed else password, hashed=password if hashed else "")


def _changes(section: Any) -> list[tuple[str, str]]:
    """(user, password) pairs of `chpasswd`: a list, lines of text, or `users`."""
    if not isinstance(section, Mapping):
        return []
    listed = section.get("list") or ()
    lines = listed.splitlines() if isinstance(listed, str) else [str(line) for line in listed]
    pairs = []
    for line in lines:
        name, colon, password = line.strip().partition(":")
        if name and colon:
            pairs.append((name, password))
    for entry in section.get("users") or ():
        if isinstance(entry, Mapping) and entry.get("name") and entry.get("password") is not None:
            pairs.append((str(entry["name"]), str(entry["password"])))
    return pairs


def _file(entry: Any) -> File:
    if not isinstance(entry, Mapping) or not str(entry.get("path") or "").startswith("/"):
        raise Unreadable(f"write_files has an entry without an absolute path: {entry!r}")
    path = str(entry["path"])
    mode = entry.get("permissions", 0o644)
    try:
        mode = int(mode, 8) if isinstance(mode, str) else int(mode)
        content = _content(entry.get("content"), str(entry.get("encoding") or ""))
    except (ValueError, TypeError, binascii.Error, OSError, EOFError) as error:
        raise Unreadable(f"write_files {path}: {error}") from error
    return File(
        path=path,
        content=content,
        mode=mode & 0o7777,
        owner=str(entry.get("owner") or "root:root"),
        append=bool(entry.get("append")),
    )


def _content(content: Any, encoding: str) -> bytes:
    if content is None:
        return b""
    data = content if isinstance(content, bytes) else str(content).encode()
    if encoding in ("b64", "base64"):
        return base64.b64decode(data)
    if encoding in ("gz", "gzip"):
        return inflate.gunzip(data, _FILE_LIMIT)
    if encoding in ("gz+b64", "gz+base64", "gzip+b64", "gzip+base64"):
        return inflate.gunzip(base64.b64decode(data), _FILE_LIMIT)
    return data


def _entries(config: Mapping[str, Any], key: str) -> list[Any]:
    value = config.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable(f"{key} is a {type(value).__name__}, not a list")
    return value


def _commands(config: Mapping[str, Any], key: str) -> tuple[Command, ...]:
    commands: list[Command] = []
    for entry in _entries(config, key):
        if isinstance(entry, list):
            commands.append(tuple(str(word) for word in entry))
        elif isinstance(entry, str):
            commands.append(entry)
        elif entry is not None:
            raise Unreadable(f"{key} has an entry that is neither text nor a list: {entry!r}")
    return tuple(commands)
