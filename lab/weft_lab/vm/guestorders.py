"""Does what a client asks of a running guest: part of virt-handler.

It pauses a guest and lets it go on, starts it anew, freezes and thaws its file systems by its
agent, and takes a picture of its screen. Words and Events are those of KubeVirt's virt-handler and
libvirt.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from weft import errors
from weft.kube import events
from weft.kube.client import Object
from weft.model import ObjectKey
from weft_lab.reasons import Reason
from weft_lab.vm import guestthaws, migration, qemu, qmpsession

VERBS = ("pause", "unpause", "freeze", "unfreeze", "reset", "softreboot", "screenshot")
LONGEST_PICTURE = 32 << 20  # bytes
_NO_SCREEN = "Requested operation is not valid: no screens to take screenshot from"
_MOVES = "failed to freeze VMI, VMI is currently during migration"
_RESET_MOVES = "failed to reset VMI, VMI is currently during migration"
# Of a QEMU that has the guest, and keeps it. A reset would hide that a migration took it away.
_HERE = ("running", "paused", "prelaunch", "io-error", "internal-error", "guest-panicked")
_PICTURE = "screenshot"  # the set of descriptors by which QEMU writes one
_LONGEST_TIMEOUT = 64  # characters
_FURTHEST = float(1 << 63) / 1e9  # seconds of KubeVirt's durations
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|h|m|s)")


class Refused(Exception):
    """Why it is not done, and the code with which virt-handler answers."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Orders:
    """`vmi_of` gives an instance as it is now; `changed` is told the uid of one whose guest is
    another way now. `thaws` has what is to be thawed later."""

    def __init__(
        self,
        recorder: events.Recorder,
        vmi_of: Callable[[ObjectKey], Object | None],
        changed: Callable[[str], None],
        thaws: guestthaws.Thaws,
    ) -> None:
        self._recorder, self._vmi_of, self._changed = recorder, vmi_of, changed
        self._thaws = thaws

    async def carry_out(
        self, verb: str, name: ObjectKey, uid: str, folder: Path, body: Any
    ) -> bytes:
        """What the client gets. Raises Refused."""
        vmi = self._vmi_of(name)
        if vmi is None or vmi["metadata"]["uid"] != uid:
            raise Refused(404, f"VirtualMachineInstance {name} does not run here")
        try:
            if verb == "screenshot":
                return await _picture(folder)
            if verb in ("pause", "unpause"):
                await self._set_paused(vmi, folder, pause=verb == "pause")
            elif verb == "freeze":
                await self._freeze(vmi, folder, body)
            elif verb == "reset":
                await self._reset(vmi, folder)
            elif verb == "softreboot":
                await self._reboot(vmi, folder)
            else:
                with contextlib.suppress(errors.WeftError):
                    await self._thaws.note(vmi, None)
                await guestthaws.thaw(vmi, folder)
        except errors.Unavailable as error:
            raise Refused(400 if verb in ("freeze", "unfreeze") else 500, error.what) from error
        self._changed(uid)
        return b""

    async def _set_paused(self, vmi: Object, folder: Path, *, pause: bool) -> None:
        async with qmpsession.Session(folder / "orders.sock") as session:
            state = (await session.ask("query-status")).get("status")
            if pause and state == "running":
                await session.execute("stop")
            elif not pause and state in ("paused", "prelaunch", "io-error"):
                await session.execute("cont")
        if pause:
            self._recorder.emit(vmi, Reason.PAUSED, "VirtualMachineInstance paused")
        else:
            self._recorder.emit(vmi, Reason.UNPAUSED, "VirtualMachineInstance unpaused")

    async def _reset(self, vmi: Object, folder: Path) -> None:
        """As its button does: the guest is not asked."""
        if migration.is_under_way(vmi):
            raise errors.Unavailable(_RESET_MOVES)
        async with qmpsession.Session(folder / "orders.sock") as session:
            if (await session.ask("query-status")).get("status") not in _HERE:
                raise errors.Unavailable(_RESET_MOVES)
            await session.execute("system_reset")
        self._recorder.emit(vmi, Reason.RESET, "VirtualMachineInstance reset")

    async def _reboot(self, vmi: Object, folder: Path) -> None:
        async with guestthaws.agent(vmi, folder) as agent:
            await agent.reboot()
        self._recorder.emit(vmi, Reason.SOFT_REBOOTED, "VirtualMachineInstance soft rebooted")

    async def _freeze(self, vmi: Object, folder: Path, body: Any) -> None:
        seconds = _timeout(body)
        is_asked = False
        try:
            if migration.is_under_way(vmi):
                raise errors.Unavailable(_MOVES)
            async with guestthaws.agent(vmi, folder) as agent:
                if await agent.ask("guest-fsfreeze-status") == "frozen":
                    return  # and is thawed when the first that froze it wanted
                await self._thaws.note(vmi, seconds or None)  # first: this may end meanwhile
                is_asked = True
                await agent.ask("guest-fsfreeze-freeze")
        except errors.WeftError as error:
            what = f"Failed to freeze VMI: {error.what}"
            self._recorder.emit(vmi, Reason.FREEZE_ERROR, what)
            if is_asked:  # it may do so later, and nobody would thaw it
                await self._thaws.soon(vmi)
            raise errors.Unavailable(error.what, where=error.where) from error


def _timeout(body: Any) -> float:
    """Seconds until what is frozen is thawed unasked; 0 for never. Raises Refused."""
    given = body.get("unfreezeTimeout") if isinstance(body, Mapping) else None
    if given is None:
        raise Refused(400, "Unfreeze timeout in freeze request is not set")
    text = str(given)
    found = _DURATION.findall(text) if len(text) <= _LONGEST_TIMEOUT else []
    seconds = sum(float(number) * _UNITS[unit] for number, unit in found)
    is_whole = bool(found) and "".join(map("".join, found)) == text
    if text != "0" and not (is_whole and seconds < _FURTHEST):
        raise Refused(400, "failed to unmarshal unfreeze timeout")
    return float(int(seconds))


async def _picture(folder: Path) -> bytes:
    """PNG. QEMU writes it to memory of this process, which no file's name leads to."""
    if not (folder / qemu.SCREEN).exists():
        raise Refused(500, _NO_SCREEN)
    memory = os.memfd_create(_PICTURE, os.MFD_CLOEXEC)
    try:
        async with qmpsession.Session(folder / "orders.sock") as session:
            # QEMU uses a descriptor only as it was opened.
            writes = os.open(f"/proc/self/fd/{memory}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                added = await session.add_set(writes, _PICTURE)
            finally:
                os.close(writes)
            try:
                name = f"/dev/fdset/{int(added['fdset-id'])}"
                await session.execute("screendump", filename=name, format="png")
            finally:
                await session.remove_sets(_PICTURE)
        if os.fstat(memory).st_size > LONGEST_PICTURE:
            raise errors.Unavailable(f"the picture is longer than {LONGEST_PICTURE} bytes")
        return os.pread(memory, LONGEST_PICTURE, 0)
    except (KeyError, TypeError, ValueError) as error:
        raise errors.Unavailable("screendump: the machine's answer is not QEMU's") from error
    finally:
        os.close(memory)
