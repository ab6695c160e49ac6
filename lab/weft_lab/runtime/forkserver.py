"""Forks the lab's Python processes from one that has imported what they need.

This process imports what each of them needs, once, and forks; a fork is ready in milliseconds
and shares the imported pages. It never starts a thread or an event loop itself. A forked process
belongs to process 1 of the lab at once, for its starter dies (double fork), so that process 1
hears of its end. Requests come over a socket, one JSON line each, with descriptors beside it.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from weft_lab.runtime import namespaces

LARGEST_REQUEST = 1 << 16
MAX_DESCRIPTORS = 16


@dataclass(frozen=True, slots=True)
class Request:
    """`name` is what `ps` shows, `entry` is "module:function", `imports` what it will import.

    The first descriptor sent beside it is the log, the others become numbers `keep`.
    """

    id: int
    name: str
    entry: str
    imports: tuple[str, ...]
    argv: tuple[str, ...]
    env: dict[str, str]
    enter: tuple[str, ...]
    keep: tuple[int, ...]


def serve(link: socket.socket) -> None:
    """Answer each request with {"id", "pid"}, until the other end is closed."""
    while True:
        data, ancillary, _, _ = link.recvmsg(
            LARGEST_REQUEST, socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        )
        if not data:
            return
        descriptors = array.array("i")
        for _level, _kind, content in ancillary:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        request = Request(**json.loads(data))
        pid = 0
        try:
            run = _load(request)
        except Exception:
            os.write(descriptors[0], traceback.format_exc().encode())
        else:
            gc.freeze()  # a collection in a child would copy every shared page
            pid = _fork(link, run, request, list(descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        link.send(json.dumps({"id": request.id, "pid": pid}).encode())


def _load(request: Request) -> Callable[[], Any]:
    for module in request.imports:
        importlib.import_module(module)
    module, _, function = request.entry.partition(":")
    found: Callable[[], Any] = getattr(importlib.import_module(module), function)
    return found


def _fork(
    link: socket.socket, run: Callable[[], Any], request: Request, descriptors: list[int]
) -> int:
    """The number of the grandchild that runs `run`."""
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        try:
            pid = os.fork()
            if pid == 0:
                link.close()
                os.close(reader)
                os.close(writer)
                _become(run, request, descriptors)
            os.write(writer, pid.to_bytes(4, "little"))
        finally:
            os._exit(0)
    os.close(writer)
    pid = int.from_bytes(os.read(reader, 4), "little")
    os.close(reader)
    os.waitpid(middle, 0)
    return pid


def _become(run: Callable[[], Any], request: Request, descriptors: list[int]) -> NoReturn:
    """Turn this fork into the process that was asked for; never returns to the caller's code."""
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, descriptors[0]), (2, descriptors[0])):
            os.dup2(source, target)
        _place(descriptors[1:], request.keep)
        namespaces.enter(request.enter)
        os.chdir("/")
        os.environ.clear()
        os.environ.update(request.env)
        sys.argv = list(request.argv)
        namespaces.rename_process(request.name)
        result = run()
        status = result if isinstance(result, int) else 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status & 0xFF)


def _place(sources: Sequence[int], targets: Sequence[int]) -> None:
    """Give each descriptor its number; high copies first, so that none overwrites another."""
    high = [os.dup2(source, 1000 + place) for place, source in enumerate(sources)]
    for source, target in zip(high, targets, strict=True):
        os.dup2(source, target)
        os.close(source)


def main() -> None:
    namespaces.rename_process("weft-forkserver")
    with socket.socket(fileno=int(sys.argv[1])) as link:
        serve(link)


if __name__ == "__main__":
    main()
