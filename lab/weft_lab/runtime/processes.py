"""Starts the lab's processes and reports when one has ended.

`Processes` is for process 1 of a PID namespace: it also collects the orphans of everybody else.
services.py decides what to start, when, and what follows an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from weft_lab.runtime import namespaces


class Processes:
    """`watch` works for children and for orphans that became process 1's."""

    def __init__(self) -> None:
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._unclaimed: dict[int, int] = {}  # ended before `watch` was called
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def install(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: int,
        enter: Sequence[str] = (),
        keep: Sequence[int] = (),
    ) -> int:
        """Start a program in the namespaces at `enter`; `log` takes its output."""
        child = subprocess.Popen(
            argv,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=tuple(keep),
            start_new_session=True,
            cwd="/",
            # One thread here, so that nothing can be locked in the child between fork and exec.
            preexec_fn=(lambda: namespaces.enter(enter)) if enter else None,
        )
        self._children[child.pid] = child
        return child.pid

    def watch(self, pid: int) -> asyncio.Future[int]:
        """Its exit status as in `subprocess`: negative for a signal. Once for each process."""
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if pid in self._unclaimed:
            end.set_result(self._unclaimed.pop(pid))
        else:
            self._ends[pid] = end
        return end

    def signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            child = self._children.pop(pid, None)
            if child is not None:
                child.returncode = code  # so that Popen does not wait for it as well
            end = self._ends.pop(pid, None)
            if end is None:
                self._remember(pid, code)
            elif not end.done():
                end.set_result(code)

    def _remember(self, pid: int, code: int) -> None:
        """A process may end before its starter has said that it watches; most are orphans."""
        self._unclaimed[pid] = code
        while len(self._unclaimed) > 256:
            del self._unclaimed[next(iter(self._unclaimed))]
