"""Thaws the file systems of guests whose time has come: part of virt-handler.

When that is stands in an annotation of the instance. So a handler that is started again knows it,
and so does that of the node to which the machine has moved.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from weft import errors
from weft.kube import cache, resources
from weft.kube.backoff import Backoff
from weft.kube.client import Client, Conflict, NotFound, Object
from weft.model import ObjectKey
from weft_lab.vm import agentclient, launcher, lifecycle, status

log = logging.getLogger(__name__)

ANNOTATION = "lab.weft/thaw-at"
_NO_AGENT = "Guest agent is not responding: QEMU guest agent is not connected"


class Thaws:
    """One task for each guest of `vmis` on `node` that is to be thawed; `changed` is told the uid
    of one that was."""

    def __init__(
        self,
        client: Client,
        node: str,
        vmis: cache.Cache,
        changed: Callable[[str], None],
        run_folder: Path = launcher.RUN,
    ) -> None:
        self._client, self._node, self._vmis = client, node, vmis
        self._changed, self._run_folder = changed, run_folder
        self._waiting: dict[str, asyncio.Task[None]] = {}  # by uid

    async def run(self) -> None:
        """Until cancelled; what waits then is found again by its annotation."""
        self._vmis.subscribe(self._follow)
        try:
            await asyncio.Event().wait()
        finally:
            for each in self._waiting.values():
                each.cancel()

    async def note(self, vmi: Object, seconds: float | None) -> None:
        """Have it thawed after so many seconds, or never (None). Raises WeftError."""
        due = None
        if seconds is not None:  # the stamp has whole seconds: never too early
            moment = datetime.now(UTC) + timedelta(seconds=seconds + 1 if seconds else 0)
            due = lifecycle.stamp(moment)
        meta = vmi["metadata"]
        body = {"metadata": {"uid": meta["uid"], "annotations": {ANNOTATION: due}}}
        with contextlib.suppress(Conflict, NotFound):  # gone, or another has its name
            await self._client.patch(resources.VMIS, meta["name"], meta["namespace"], body)

    async def soon(self, vmi: Object) -> None:
        """Have it thawed at once, however often it takes."""
        try:
            await self.note(vmi, 0.0)
        except errors.WeftError:
            self._begin(vmi, datetime.now(UTC))

    def _follow(self, name: ObjectKey, old: Object | None, new: Object | None) -> None:
        before, after = self._due(old), self._due(new)
        if before == after:
            return
        if old is not None:
            self._forget(str(old["metadata"]["uid"]))
        if new is not None and after is not None:
            self._begin(new, after[1])

    def _due(self, vmi: Object | None) -> tuple[str, datetime] | None:
        """Whose guest is to be thawed here, and when."""
        if vmi is None or lifecycle.is_final(vmi):
            return None
        text = str((vmi["metadata"].get("annotations") or {}).get(ANNOTATION) or "")
        if (vmi.get("status") or {}).get("nodeName") != self._node or len(text) > 32:
            return None
        try:
            moment = datetime.strptime(text, lifecycle.FORMAT).replace(tzinfo=UTC)
        except ValueError:
            return None
        return str(vmi["metadata"]["uid"]), moment

    def _begin(self, vmi: Object, due: datetime) -> None:
        self._forget(str(vmi["metadata"]["uid"]))
        task = asyncio.create_task(self._thaw_later(vmi, due))
        self._waiting[str(vmi["metadata"]["uid"])] = task

    def _forget(self, uid: str) -> None:
        waiting = self._waiting.pop(uid, None)
        if waiting is not None:
            waiting.cancel()

    async def _thaw_later(self, vmi: Object, due: datetime) -> None:
        """Nobody has asked for it: a guest whose file systems stay frozen is of no use."""
        meta, pauses = vmi["metadata"], Backoff(1.0, 30.0)
        name = ObjectKey(meta["namespace"], meta["name"])
        await asyncio.sleep(max((due - datetime.now(UTC)).total_seconds(), 0.0))
        while (now := self._here(name, meta["uid"])) is not None:
            try:
                await thaw(now, launcher.folder(*name, self._run_folder))
                break
            except errors.WeftError:  # its agent is busy
                await asyncio.sleep(pauses.next())
            except Exception:  # the failure of one must not end the others
                log.exception("%s is not thawed: unexpected failure", name)
                return
        if now is not None:
            await self._over(now)

    async def _over(self, vmi: Object) -> None:
        """Unless somebody has noted another time meanwhile. One that is left does no harm."""
        meta = vmi["metadata"]
        self._waiting.pop(str(meta["uid"]), None)  # or the change below would end this task
        same = {key: meta[key] for key in ("uid", "resourceVersion")}
        body = {"metadata": {**same, "annotations": {ANNOTATION: None}}}
        with contextlib.suppress(errors.WeftError):
            await self._client.patch(resources.VMIS, meta["name"], meta["namespace"], body)
        self._changed(str(meta["uid"]))

    def _here(self, name: ObjectKey, uid: str) -> Object | None:
        """The instance as it is now, if it has neither ended nor moved."""
        now = self._vmis.get(name)
        if now is None or now["metadata"]["uid"] != uid or lifecycle.is_final(now):
            return None
        return now if (now.get("status") or {}).get("nodeName") == self._node else None


def agent(vmi: Object, folder: Path) -> agentclient.Agent:
    """A guest's. Raises Unavailable at once where none has been seen."""
    if (status.condition(vmi, "AgentConnected") or {}).get("status") != "True":
        raise errors.Unavailable(_NO_AGENT)
    return agentclient.Agent(folder / "agent.sock")


async def thaw(vmi: Object, folder: Path) -> None:
    """Unless it is thawed already. Raises Unavailable."""
    async with agent(vmi, folder) as asked:
        if await asked.ask("guest-fsfreeze-status") != "thawed":
            await asked.ask("guest-fsfreeze-thaw")
