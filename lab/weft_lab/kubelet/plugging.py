"""Has the interfaces of running pods changed where their selections were edited.

Beside the pods' workers: a CNI call may wait for minutes, and a pod must not wait with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from weft import errors
from weft.kube.resources import key
from weft.model import ObjectKey
from weft_lab.kubelet import sandbox
from weft_lab.multus import attach, dynamic

log = logging.getLogger(__name__)

Object = dict[str, Any]
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Plugging:
    """One task for each pod whose interfaces change. `again(pod, seconds)` has it looked at."""

    def __init__(self, multus: attach.Multus, again: Callable[[ObjectKey, float], None]) -> None:
        self._multus, self._again = multus, again
        self._tasks: dict[ObjectKey, asyncio.Task[None]] = {}
        self._pauses: dict[ObjectKey, float] = {}

    def look_at(self, pod: Object, box: sandbox.Sandbox) -> None:
        """Starts the changes that the pod's selection needs, unless some are under way."""
        name = key(pod)
        if name in self._tasks or not box.about.netns:
            return
        if dynamic.is_due(self._multus, pod, box.network):
            task = asyncio.create_task(self._change(pod, box), name=f"interfaces of {name}")
            self._tasks[name] = task

    async def _change(self, pod: Object, box: sandbox.Sandbox) -> None:
        name, pause = key(pod), 0.0
        try:
            await dynamic.reconcile(self._multus, pod, box.about, box.network)
            self._pauses.pop(name, None)
        except errors.WeftError as error:
            log.warning("interfaces of pod %s: %s", name, error)
            pause = self._pauses.get(name, FIRST_PAUSE)
            self._pauses[name] = min(2 * pause, LONGEST_PAUSE)
        finally:
            del self._tasks[name]
        self._again(name, pause)  # its selection may have been edited meanwhile

    def give_up(self, name: ObjectKey) -> None:
        """Cancels the changes of a pod that is being deleted."""
        task = self._tasks.get(name)
        # Once: a second cancellation would stop the clean-up of the first.
        if task is not None and not task.cancelling():
            task.cancel()

    async def ended(self, name: ObjectKey) -> None:
        """Returns when no change of this pod's interfaces is under way; cancels what is."""
        self.give_up(name)
        self._pauses.pop(name, None)
        if (task := self._tasks.get(name)) is not None:
            await asyncio.wait({task})

    async def finish(self) -> None:
        """Cancels all; what is unfinished is in the records."""
        for name in tuple(self._tasks):
            await self.ended(name)
