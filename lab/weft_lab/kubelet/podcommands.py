"""Joins a client to a command in a container (exec), or to the container's first one (attach)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import struct
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from weft import errors
from weft.host import inotify
from weft_lab.apiserver import execstreams
from weft_lab.kubelet import descriptors, logs, podstatus

if TYPE_CHECKING:
    from weft_lab.kubelet.streaming import Connection

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
LEFT_OVER = 1 << 20  # bytes that are still read of each stream when the command has ended
START = 20.0  # seconds for a command to start
_LONGEST_LINE = 1 << 22
_LARGEST_SIZE = 0xFFFF


@dataclass
class Command:
    """A command that was started: our ends of its files, and where its end is told."""

    link: socket.socket
    feed: int = -1
    outputs: dict[int, int] = field(default_factory=dict)  # channel by descriptor
    screen: int = -1
    received: bytes = b""

    def close(self) -> None:
        for each in {self.feed, self.screen, *self.outputs} - {-1}:
            os.close(each)
        self.feed = self.screen = -1
        self.outputs.clear()
        self.link.close()


async def execute(connection: Connection) -> None:
    """Run a command in a container, to its end or that of the connection."""
    command = await asyncio.to_thread(_start, connection)
    try:
        if connection.request["tty"]:
            await _await_screen(command, connection.request)
        await connection.take()
        ended: list[Mapping[str, Any]] = []

        async def until_end() -> None:
            outputs = [
                asyncio.ensure_future(_copy(connection, source, channel))
                for source, channel in command.outputs.items()
            ]
            try:
                ended.append(await _end(command))
            finally:
                for each in outputs:
                    each.cancel()
                await asyncio.gather(*outputs, return_exceptions=True)
            for source, channel in command.outputs.items():
                await _drain(connection, source, channel)
            await connection.send(bytes([ERROR]) + orjson.dumps(verdict(ended[0])))

        async def inward() -> None:
            await _inward(connection, command)

        await execstreams.first_of(until_end, inward, connection.gone)
    finally:
        command.close()


def verdict(ended: Mapping[str, Any]) -> dict[str, Any]:
    """The Status that tells a client how its command ended."""
    if why := ended.get("error"):
        message = f"error executing command in container: {why}"
        return {
            "metadata": {},
            "status": "Failure",
            "message": f"Internal error occurred: {message}",
            "reason": "InternalError",
            "details": {"causes": [{"message": message}]},
            "code": 500,
        }
    code = podstatus.exit_code(ended["exited"])
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _start(connection: Connection) -> Command:
    """Have the pod's owner start it; blocks until it has the order. Raise WeftError if not."""
    request = connection.request
    where = f"pod {request['namespace']}/{request['pod']}"
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    command = Command(link)
    order = {"op": "exec", "name": request["container"], "argv": request["command"]}
    theirs: list[int] = []
    try:
        link.settimeout(START)
        link.connect(str(connection.box.folder / "init.sock"))
        if request["tty"]:
            order["tty"] = True
        else:
            theirs = _pipes(command, request)
        message = json.dumps(order).encode() + b"\n"
        sent = socket.send_fds(link, [message], theirs)
        link.sendall(message[sent:])
        link.setblocking(False)
    except OSError as error:
        command.close()
        raise errors.Unavailable(f"cannot be entered: {error}", where=where) from error
    except BaseException:
        command.close()
        raise
    finally:
        for each in theirs:
            os.close(each)
    return command


def _pipes(command: Command, request: Mapping[str, Any]) -> list[int]:
    """Make the command's files; those that the client does not want lead nowhere."""
    theirs = []
    for channel, name in enumerate(("stdin", "stdout", "stderr")):
        if not request[name]:
            theirs.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
            continue
        reader, writer = os.pipe2(os.O_CLOEXEC)
        if channel == STDIN:
            command.feed = writer
        else:
            command.outputs[reader] = channel
        theirs.append(reader if channel == STDIN else writer)
        os.set_blocking(writer if channel == STDIN else reader, False)
    return theirs


async def _await_screen(command: Command, request: Mapping[str, Any]) -> None:
    """Take the near end of the terminal, which the command's process has made, if it comes.

    That process is in the pod, whose root may stop it. Raise Unavailable then.
    """
    try:
        async with asyncio.timeout(START):
            await _take_screen(command)
    except (OSError, TimeoutError) as error:
        where = f"pod {request['namespace']}/{request['pod']}"
        why = str(error) or f"its terminal has not come in {START:.0f} seconds"
        raise errors.Unavailable(f"cannot be entered: {why}", where=where) from error


async def _take_screen(command: Command) -> None:
    while True:
        try:
            data, files, _, _ = socket.recv_fds(command.link, 1 << 16, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            await descriptors.readable(command.link.fileno())
            continue
        command.received += data
        if files:
            command.screen = files[0]
            os.set_blocking(command.screen, False)
            command.outputs[command.screen] = STDOUT
            return
        if not data or any("exited" in each for each in _lines(command)):
            return


def _lines(command: Command) -> Sequence[Mapping[str, Any]]:
    whole = command.received.rpartition(b"\n")[0]
    return [orjson.loads(line) for line in whole.split(b"\n") if line]


async def _end(command: Command) -> Mapping[str, Any]:
    """What the pod's owner tells of the command's end."""
    loop = asyncio.get_running_loop()
    while True:
        answer: dict[str, Any] = {}
        for each in _lines(command):
            answer.update(each)
        if "exited" in answer:
            return answer
        data = await loop.sock_recv(command.link, 1 << 16)
        if not data:
            return {"error": answer.get("error") or "the pod has ended", "exited": None}
        command.received += data
        if len(command.received) > _LONGEST_LINE:
            raise ConnectionError("the pod's first process says too much")


async def _copy(connection: Connection, source: int, channel: int) -> None:
    while data := await descriptors.read(source):
        await connection.send(bytes([channel]) + data)


async def _drain(connection: Connection, source: int, channel: int) -> None:
    """Send what the command left; a process that it left behind cannot prolong this."""
    left = LEFT_OVER
    while left > 0 and (data := descriptors.read_now(source)):
        left -= len(data)
        await connection.send(bytes([channel]) + data)


async def _inward(connection: Connection, command: Command) -> None:
    """Take what the client sends, until it goes."""
    while (frame := await connection.receive()) is not None:
        if not frame:
            continue
        channel, data = frame[0], frame[1:]
        if channel == STDIN and command.screen >= 0:
            await descriptors.write(command.screen, data)
        elif channel == STDIN and command.feed >= 0:
            if not await descriptors.write(command.feed, data):
                close_feed(command)
        elif channel == CLOSE and data == bytes([STDIN]):
            close_feed(command)
        elif channel == RESIZE and command.screen >= 0:
            resize(command.screen, data)


def close_feed(command: Command) -> None:
    if command.feed >= 0:
        os.close(command.feed)
        command.feed = -1


def resize(screen: int, data: bytes) -> None:
    """Give a terminal the size that a client's message names; others are no error."""
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        size = orjson.loads(data)
        width, height = int(size["Width"]), int(size["Height"])
        if 0 < width <= _LARGEST_SIZE and 0 < height <= _LARGEST_SIZE:
            fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("4H", height, width, 0, 0))


async def attach(connection: Connection) -> None:
    """Join a client to a container that runs, until that ends or the client goes."""
    request = connection.request
    name = request["container"]
    where = f"pod {request['namespace']}/{request['pod']}"
    path = logs.path(connection.logs, request["namespace"], request["pod"], name)
    try:
        command = await asyncio.to_thread(_attached, connection, request)
    except OSError as error:
        raise errors.Unavailable(f"cannot be entered: {error}", where=where) from error
    try:
        if not _runs(command, name):
            raise errors.Unavailable(f"container {name} is not running", where=where)
        with await asyncio.to_thread(path.open, "rb") as log:
            await asyncio.to_thread(log.seek, 0, os.SEEK_END)
            await connection.take()

            async def until_end() -> None:
                changed = asyncio.Event()
                with contextlib.closing(inotify.Inotify(changed.set)) as watch:
                    watch.add(path, inotify.MODIFIED)
                    ended = asyncio.ensure_future(_container_end(command, name, changed))
                    try:
                        while not ended.done():
                            await changed.wait()
                            changed.clear()
                            await _pass_on(connection, log)
                        await _pass_on(connection, log)
                    finally:
                        ended.cancel()
                await connection.send(bytes([ERROR]) + orjson.dumps(verdict({"exited": 0})))

            async def inward() -> None:
                await _inward(connection, command)

            await execstreams.first_of(until_end, inward, connection.gone)
    finally:
        command.close()


def _attached(connection: Connection, request: Mapping[str, Any]) -> Command:
    """Connect to the pod's owner, and get what the container reads; blocks. Raise OSError."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    command = Command(link)
    try:
        link.settimeout(START)
        link.connect(str(connection.box.folder / "init.sock"))
        link.sendall(json.dumps({"op": "attach", "name": request["container"]}).encode() + b"\n")
        while not any("attached" in each for each in _lines(command)):
            data, files, _, _ = socket.recv_fds(link, 1 << 16, 1, socket.MSG_CMSG_CLOEXEC)
            if not data:
                raise ConnectionResetError("the pod has ended")
            command.received += data
            for file in files:
                os.set_blocking(file, False)
                command.feed = file
        if any(each.get("tty") for each in _lines(command)):
            command.screen, command.feed = command.feed, -1
        if not request["stdin"]:
            close_feed(command)
        link.setblocking(False)
    except BaseException:
        command.close()
        raise
    return command


def _runs(command: Command, name: str) -> bool:
    """Whether the container runs, by the last report of the pod's owner."""
    reports = [each["state"] for each in _lines(command) if "state" in each]
    state = reports[-1].get(name) if reports else None
    return state is not None and state.get("status") is None


async def _container_end(command: Command, name: str, ended: asyncio.Event) -> None:
    """Wait until the container has ended, or its pod has."""
    loop = asyncio.get_running_loop()
    try:
        while _runs(command, name):
            data = await loop.sock_recv(command.link, 1 << 16)
            if not data:
                return
            last = command.received.rpartition(b"\n")[0].rpartition(b"\n")[2]
            rest = command.received.rpartition(b"\n")[2]
            command.received = last + b"\n" + rest + data
    finally:
        ended.set()


async def _pass_on(connection: Connection, log: BinaryIO) -> None:
    """Send what the log has now; one piece, when the client has taken the one before."""
    while data := await asyncio.to_thread(log.read, descriptors.CHUNK):
        await connection.send(bytes([STDOUT]) + data)
