"""Keeps the CNI plugin installed in the runtime's folder, and writes it again when it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from weft import errors
from weft.cni import install
from weft.host import inotify
from weft.kube import queue

log = logging.getLogger(__name__)

_KEY = "plugin"
_FOREIGN = "is a plugin of somebody else"
_PAUSE = 0.2  # seconds between two writes, in case somebody else keeps writing too
# Files that come, go or change, and the folder itself, which can be removed.
_FILES = inotify.APPEARED | inotify.DISAPPEARED | inotify.MODIFIED | inotify.ATTRIB
_EVENTS = _FILES | inotify.DELETED | inotify.MOVED


def read(path: str) -> bytes:
    """Returns the program to install: the file's content, or the Python plugin for "".

    Raises InvalidInput if the file cannot be read or is no CNI plugin of weft.
    """
    if not path:
        return install.render()
    try:
        program = Path(path).read_bytes()
    except OSError as error:
        rule = f"cannot be read: {error.strerror}"
        raise errors.InvalidInput("weft node", "--cni-plugin", path, rule) from None
    if install.MARK not in program:
        rule = "must be a CNI plugin of weft, built from deploy/plugin"
        raise errors.InvalidInput("weft node", "--cni-plugin", path, rule)
    return program


class PluginInstaller:
    """One task of the agent. Keeps `program` in `folder` under each of `names`."""

    def __init__(self, folder: Path, program: bytes, names: Sequence[str] = install.NAMES) -> None:
        self._folder, self._program, self._names = folder, program, tuple(names)
        self._queue = queue.Queue[str](f"CNI plugins in {folder}", longest_pause=5.0)
        self._watches: inotify.Inotify | None = None

    @property
    def trouble(self) -> str:
        """What is not installed now, and why; empty if all is."""
        missing = self._missing()
        if not missing:
            return ""
        foreign = [path for path in missing if install.is_foreign(path)]
        if foreign:
            return f"CNI plugin {', '.join(map(str, foreign))}: {_FOREIGN}"
        why = self._queue.trouble
        shown = ", ".join(map(str, missing))
        return f"CNI plugin {shown}: not installed" + (f"; {why}" if why else "")

    async def run(self) -> None:
        """Watches and writes until cancelled; the installed files stay."""
        self._watches = inotify.Inotify(lambda: self._queue.add(_KEY))
        try:
            self._queue.add(_KEY)
            await self._queue.run(self._write)
        finally:
            self._watches.close()

    def _missing(self) -> list[Path]:
        paths = [self._folder / name for name in self._names]
        return [path for path in paths if not install.is_installed(path, self._program)]

    async def _write(self, _: str) -> None:
        assert self._watches is not None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._watches.add(self._folder, _EVENTS)  # first, so that no change is missed
            missing = self._missing()
            foreign = [path for path in missing if install.is_foreign(path)]
            names = [path.name for path in missing if path not in foreign]
            made = install.install(self._folder, self._program, names=names)
        except (OSError, install.Foreign) as error:
            what = getattr(error, "strerror", None) or _FOREIGN
            raise errors.Unavailable(
                f"cannot be written: {what}",
                where=str(getattr(error, "filename", None) or self._folder),
                hint="see whether the folder of CNI plugins is writable",
            ) from None
        if foreign:
            raise errors.Unavailable(
                _FOREIGN,
                where=", ".join(map(str, foreign)),
                hint="end what installs it and remove it; weft's comes there then by itself",
            )
        if made:
            log.info("installed %s", ", ".join(map(str, made)))
            await asyncio.sleep(_PAUSE)
