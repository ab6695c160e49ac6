"""Connects the handlers of two nodes for a migration, and proves to each that the other is one.

The target listens at its node's address. Both sides have the lab's migration key, which nodes alone
may read; each signs the other's nonce, so neither a pod nor a guest that reaches the port gets
further than a refusal; whoever calls from elsewhere than a node whose machine is expected does not
get that far. Until then nothing that a caller sends is more than text, its failure ends
its own connection alone, and it cannot keep a place that a node needs. Then the connection either
carries signed lines of JSON between the handlers, or is handed to QEMU as it is, which encrypts
(migrationtls.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import hmac
import logging
import re
import secrets
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from weft import errors

log = logging.getLogger(__name__)

SOURCE, TARGET = "source", "target"  # the sides of a connection
NONCE = 32  # bytes
LONGEST_LINE = 4096  # bytes
PATIENCE = 15.0  # seconds for a handshake
MAX_STRANGERS = 64  # connections that have not proved themselves
SHARE = 16  # of those, from one address
ACCEPT_PAUSE = 0.5  # seconds, when the kernel has no descriptor or memory for a connection
_DIGEST = re.compile("[0-9a-f]{64}")
_USER_TIMEOUT_MS = 20_000  # until a peer that does not acknowledge is taken for gone

Message = dict[str, Any]


class Seal:
    """Signs the lines of one connection, each by its side and number: none can be made by others,
    sent again or left out."""

    def __init__(self, key: bytes, side: str) -> None:
        self._key, self._side = key, side
        self._sent = self._received = 0

    def closed(self, message: Message) -> Message:
        text = orjson.dumps(message).decode()
        self._sent += 1
        return {"line": text, "proof": self._sign(self._side, self._sent, text)}

    def opened(self, message: Message) -> Message:
        """Raises Unavailable for a line that the other side has not sent now."""
        text = message.get("line")
        other = TARGET if self._side == SOURCE else SOURCE
        self._received += 1
        if not isinstance(text, str) or not _is_proved(
            message, self._sign(other, self._received, text)
        ):
            raise errors.Unavailable("a line that the other node's handler has not sent")
        return _object(text)

    def _sign(self, side: str, number: int, text: str) -> str:
        return _digest_of(self._key, side, str(number), text)


class Line:
    """A non-blocking socket that carries one JSON object a line, and then anything.

    With a `seal` each is signed, and one that is not is refused.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.seal: Seal | None = None
        connection.setblocking(False)
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = b""

    async def send(self, message: Message) -> None:
        """Raises Unavailable where the peer has gone."""
        message = self.seal.closed(message) if self.seal is not None else message
        try:
            await asyncio.get_running_loop().sock_sendall(
                self.connection, orjson.dumps(message) + b"\n"
            )
        except OSError as error:
            raise _lost() from error

    async def receive(self) -> Message:
        """The next object. May read what comes behind it, which only another call returns.

        Raises Unavailable at the end, and for anything that is no object.
        """
        loop = asyncio.get_running_loop()
        while b"\n" not in self._pending:
            try:
                chunk = await loop.sock_recv(self.connection, LONGEST_LINE)
            except OSError as error:
                raise _lost() from error
            self._pending += chunk
            if not chunk or len(self._pending) > LONGEST_LINE:
                raise _lost()
        line, _, self._pending = self._pending.partition(b"\n")
        message = _object(line)
        return self.seal.opened(message) if self.seal is not None else message

    @property
    def peer(self) -> str:
        """The address of the other end; "" where it has gone."""
        try:
            return str(self.connection.getpeername()[0])
        except (OSError, IndexError):
            return ""

    def close(self) -> None:
        self.connection.close()


Serve = Callable[[Message, Line], Awaitable[None]]


async def call(address: str, port: int, key: bytes, hello: Message) -> Line:
    """Connect to the handler of another node; `hello` says for what.

    Raises Unavailable where it is not reached, does not prove itself, or refuses.
    """
    connection = socket.socket(_family(address), socket.SOCK_STREAM)
    line = Line(connection)
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_connect(connection, (address, port))
            theirs = _digest(await line.receive(), "nonce")
            ours, text = secrets.token_hex(NONCE), orjson.dumps(hello).decode()
            proof = _sign(key, SOURCE, theirs, ours, text)
            await line.send({"hello": text, "nonce": ours, "proof": proof})
            answer = await line.receive()
        if not _is_proved(answer, _sign(key, TARGET, ours, theirs, text)):
            raise errors.Unavailable(
                "whoever listens does not have the lab's migration key", where=f"{address}:{port}"
            )
        if answer.get("refused"):
            raise errors.Unavailable(str(answer["refused"]), where=f"{address}:{port}")
        _keep(connection)
        line.seal = Seal(_session(key, theirs, ours), SOURCE)
    except (OSError, TimeoutError) as error:
        line.close()
        raise errors.Unavailable(
            f"the target node is not reached ({error or 'no answer'})", where=f"{address}:{port}"
        ) from error
    except BaseException:
        line.close()
        raise
    return line


class Listener:
    """Accepts connections of other nodes' handlers; `serve` gets each that proved itself.

    `serve` answers with `welcome` or `refuse`, and owns the line. Who calls from an address that
    `admits` does not name is not spoken to.
    """

    def __init__(
        self, address: str, key: bytes, serve: Serve, admits: Callable[[str], bool]
    ) -> None:
        self._key, self._serve, self._admits = key, serve, admits
        self._socket = socket.create_server((address, 0), family=_family(address), backlog=16)
        self._socket.setblocking(False)
        self._strangers: dict[asyncio.Task[None], str] = {}  # their addresses, oldest first

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    try:
                        connection, peer = await loop.sock_accept(self._socket)
                    except OSError as error:
                        log.warning("no connection is accepted for now: %s", error)
                        await asyncio.sleep(ACCEPT_PAUSE)
                        continue
                    if not self._admits(str(peer[0])):
                        connection.close()
                        continue
                    task = group.create_task(self._greet(connection))
                    self._strangers[task] = peer[0]
                    task.add_done_callback(functools.partial(self._ended, connection))
                    place = surplus(list(self._strangers.values()))
                    if place is not None:
                        list(self._strangers)[place].cancel()
                    await asyncio.sleep(0)  # a flood is accepted without a wait
        finally:
            self._socket.close()

    def _ended(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        self._strangers.pop(task, None)
        if task.cancelled():  # perhaps before it began
            connection.close()

    async def _greet(self, connection: socket.socket) -> None:
        """Whatever a caller does ends its own connection at most."""
        try:
            line = Line(connection)
            async with asyncio.timeout(PATIENCE):
                hello, proof, session = await self._judge(line)
            if (task := asyncio.current_task()) is not None:
                self._strangers.pop(task, None)
            hello |= {"proof": proof, "session": session}
            _keep(connection)
            await self._serve(hello, line)
        except (errors.WeftError, OSError, TimeoutError):
            connection.close()
        except Exception:
            log.exception("a connection of a migration failed unexpectedly")
            connection.close()
        except BaseException:
            connection.close()
            raise

    async def _judge(self, line: Line) -> tuple[Message, str, bytes]:
        ours = secrets.token_hex(NONCE)
        await line.send({"nonce": ours})
        signed = await line.receive()
        text, theirs = signed.get("hello"), _digest(signed, "nonce")
        if not isinstance(text, str) or not _is_proved(
            signed, _sign(self._key, SOURCE, ours, theirs, text)
        ):
            raise errors.Unavailable("a caller does not have the lab's migration key")
        proof = _sign(self._key, TARGET, theirs, ours, text)
        return _object(text), proof, _session(self._key, ours, theirs)


def surplus(addresses: Sequence[str]) -> int | None:
    """Which stranger leaves when the last of `addresses` has come, oldest first; None if all stay.

    One of the same address where that has more than its share, else one of whoever has most.
    """
    held = Counter(addresses)
    newest = addresses[-1]
    if held[newest] > SHARE:
        return addresses.index(newest)
    if len(addresses) > MAX_STRANGERS:
        return addresses.index(max(held, key=lambda address: held[address]))
    return None


async def welcome(line: Line, hello: Message, refused: str = "") -> None:
    """Answer a caller; with `refused` the line is closed behind the answer."""
    answer = {"proof": hello["proof"], **({"refused": refused} if refused else {})}
    with contextlib.ExitStack() as after:
        if refused:
            after.callback(line.close)
        await line.send(answer)
        line.seal = Seal(hello["session"], TARGET)


def _object(text: str | bytes) -> Message:
    """Raises Unavailable for anything but an object."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _lost() from error
    if not isinstance(found, dict):
        raise _lost()
    return found


def _session(key: bytes, target: str, source: str) -> bytes:
    """The key of one connection, by the nonces of both sides."""
    return bytes.fromhex(_digest_of(key, "lines", target, source))


def _sign(key: bytes, side: str, nonce: str, own: str, hello: str) -> str:
    """Of `hello` as it is on the wire. `side` is in it, so that no answer serves as a question."""
    return _digest_of(key, side, nonce, own, hello)


def _digest_of(key: bytes, *parts: str) -> str:
    return hmac.new(key, b"\0".join(map(str.encode, parts)), hashlib.sha256).hexdigest()


def _digest(message: Message, name: str) -> str:
    """Raises Unavailable unless the field is what a nonce or a proof looks like."""
    found = message.get(name)
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise errors.Unavailable(f"a handshake without a proper {name}")
    return found


def _is_proved(message: Message, proof: str) -> bool:
    return hmac.compare_digest(_digest(message, "proof"), proof)


def _keep(connection: socket.socket) -> None:
    """Have the kernel notice a peer that is no longer there."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _lost() -> errors.Unavailable:
    return errors.Unavailable("the handler of the other node closed the connection")
