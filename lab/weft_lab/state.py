"""Reads and writes what a lab keeps on disk, and finds out whether it runs.

One folder for each lab, only for its user: its spec, the API's store and kubeconfig, logs, and
the socket on which a running supervisor listens. A lab runs if its supervisor answers there; a
process number in a file could belong to another process by now.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from weft import errors
from weft.host import files
from weft_lab import spec


def home() -> Path:
    """The folder of all labs: `$XDG_STATE_HOME/weft`, else `~/.local/state/weft`."""
    parent = os.environ.get("XDG_STATE_HOME") or os.path.join(Path.home(), ".local", "state")
    return Path(parent).absolute() / "weft"


def folders() -> list[Folder]:
    """The folders of all labs, by name, without other files beside them."""
    try:
        found = sorted(path for path in home().iterdir() if path.is_dir())
    except OSError:
        return []
    return [Folder(path) for path in found if (path / "lab.json").exists()]


def of_kubeconfig(kubeconfig: Path) -> str:
    """The name of the lab whose kubeconfig this is; empty if it is no lab's."""
    own = (folder / "kubeconfig" for folder in home().glob("*"))
    found = (path for path in own if path.exists() and kubeconfig.exists())
    return next((path.parent.name for path in found if path.samefile(kubeconfig)), "")


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of the lab `name`; none of them need exist."""

    path: Path

    @classmethod
    def of(cls, name: str) -> Folder:
        return cls(home() / spec.Lab(name=name).name)

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def control(self) -> Path:
        return self.path / "control.sock"

    def log(self, service: str) -> Path:
        return self.logs / f"{service.replace('/', '-')}.log"

    def last_words(self, service: str) -> str:
        """The last line of its log that says something."""
        try:
            lines = self.log(service).read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return next((line.strip(" |") for line in reversed(lines) if line.strip(" |+-")), "no word")

    def make(self) -> None:
        try:
            for folder in (self.path, self.logs, self.logs / "pods", self.path / "disks"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise unusable(error, self.path) from error

    def load(self) -> spec.Lab | None:
        """The spec as last stored; None if there is none."""
        try:
            return spec.parse(json.loads((self.path / "lab.json").read_text()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(error, self.path) from error
        except (ValueError, TypeError) as error:
            raise errors.Unavailable(
                "the lab's record cannot be read",
                where=str(self.path / "lab.json"),
                hint=f"remove the lab: weft lab down --name {self.path.name}",
            ) from error

    def store(self, lab: spec.Lab) -> None:
        record = json.dumps(spec.render(lab), indent=1) + "\n"
        try:
            files.replace(self.path / "lab.json", record.encode())
        except OSError as error:
            raise unusable(error, self.path) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One `up`, `stop` or `down` of a lab at a time; others wait their turn."""
        try:
            home().mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_owner(home())
            handle = os.open(home() / f".{self.path.name}.lock", os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise unusable(error, self.path) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def connect(self) -> Peer | None:
        """The running supervisor, or None."""
        try:
            return Peer(dial(self.control))
        except OSError:
            return None


class Peer:
    """The supervisor at the other end of its socket; `pid` is its number in our PID namespace.

    While the connection is open the number cannot become another process'.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        size = struct.calcsize("=iII")
        credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        self.pid: int = struct.unpack("=iII", credentials)[0]
        self._lines = link.makefile("rb")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self._link.close()

    def send(self, request: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._link.sendall(json.dumps(request).encode() + b"\n")

    def ask(self, request: dict[str, object]) -> dict[str, object]:
        """All answers to one request, merged; raises the error that the supervisor reported."""
        self.send(request)
        merged: dict[str, object] = {}
        for answer in self.answers():
            if "end" in answer:
                break
            raise_reported(answer)
            merged.update(answer)
        return merged

    def answers(self) -> Iterator[dict[str, object]]:
        """Until the supervisor has sent its whole answer, or is gone."""
        with contextlib.suppress(ConnectionResetError):
            for line in self._lines:
                yield json.loads(line)


def owner(path: Path) -> int:
    """The process that listens at a socket, in our PID namespace; 0 if none does."""
    try:
        link = dial(path)
    except OSError:
        return 0
    with Peer(link) as peer:
        return peer.pid


def dial(path: Path) -> socket.socket:
    """A connection to the socket at `path`; raises OSError where nobody listens."""
    link = socket.socket(socket.AF_UNIX)
    try:
        with door(path) as name:
            link.connect(name)
    except OSError:
        link.close()
        raise
    return link


@contextlib.contextmanager
def door(path: Path) -> Iterator[str]:
    """`path` for connect(), which takes 107 bytes at most: a socket at this very place.

    A link there could lead to a socket that its author may not use.
    """
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(handle).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), str(path))
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _check_owner(folder: Path) -> None:
    """Whose folder it is can put another lab, and who listens for it, in the place of ours."""
    if os.geteuid() not in (0, folder.stat().st_uid):
        raise errors.Unavailable(
            "the folder of labs belongs to another user",
            where=str(folder),
            hint="set XDG_STATE_HOME to a folder of your own",
        )


def unusable(error: OSError, path: Path) -> errors.Unavailable:
    """What to tell of a folder that cannot be made, read or written."""
    return errors.Unavailable(
        f"the lab's folder cannot be used ({error.strerror})",
        where=str(error.filename or path),
        hint="set XDG_STATE_HOME to a folder that you can write to, on a disk with space",
    )


def raise_reported(answer: dict[str, object]) -> None:
    """Raise the error in a supervisor's answer, if it is one."""
    if "error" in answer:
        raise errors.Unavailable(
            str(answer["error"]), where=str(answer["where"]), hint=str(answer["hint"])
        )


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """`path` for bind(), which takes 107 bytes at most, however long it really is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listener(path: Path) -> socket.socket:
    """A socket at `path`, for this user alone; that of an earlier process is removed."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    with short(path) as called:
        made.bind(called)
    path.chmod(0o600)
    return made
