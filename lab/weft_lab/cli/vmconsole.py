"""The command `weft vm console`: a machine's serial console, on any cluster with KubeVirt."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import aiohttp
import typer

from weft import errors
from weft.cli import clusters
from weft.cli.clusters import Cluster
from weft.kube import resources
from weft.kube.client import NotFound
from weft_lab import terminal
from weft_lab.cli.machines import Machine, Namespace, named

Quiet = Annotated[
    float,
    typer.Option(help="With piped input: leave after so many seconds of silence."),
]
CHUNK = 1 << 15  # bytes
LONGEST = 1 << 20  # bytes of a message


def console(
    vm: Machine,
    namespace: Namespace = "default",
    quiet: Quiet = 2.0,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    name: clusters.Name = "",
) -> None:
    """Connect to a virtual machine's serial console.

    Whoever was connected before is not any more. In a terminal, Ctrl-] leaves.
    """
    space, machine = named(vm, namespace)
    talk(clusters.choose(kubeconfig, context, lab, name), space, machine, quiet=quiet)


def talk(cluster: Cluster, namespace: str, name: str, *, quiet: float, past: bytes = b"") -> None:
    """Join this process's terminal, or its standard input and output, to the console.

    `past` is shown first, in a terminal. Raise Unavailable when the console ends before its user.
    """
    where = f"VirtualMachineInstance {namespace}/{name}"
    with _connected(cluster, namespace, name, where) as link:
        if sys.stdin.isatty():
            typer.secho(f"Connected to {namespace}/{name}; Ctrl-] leaves.", err=True, dim=True)
            terminal.write(sys.stdout.fileno(), past)
        how = terminal.talk(link, sys.stdin.fileno(), sys.stdout.fileno(), quiet=quiet)
    if how == "closed":
        raise errors.Unavailable(
            "the console was closed: the machine ended or moved, or another client connected",
            where=where,
            hint="kubectl get vmi -A",
        )


@contextlib.contextmanager
def _connected(cluster: Cluster, namespace: str, name: str, where: str) -> Iterator[socket.socket]:
    """The near end of a pair of sockets; a thread of its own joins the far one to the console."""
    near, far = socket.socketpair()
    opened = threading.Event()
    failures: list[errors.WeftError] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        try:
            async with cluster.client() as api:
                path = resources.VMI_CONSOLES.path(namespace, name, "console")
                protocol = resources.CONSOLE_PROTOCOL
                opening = api.websocket(path, protocol=protocol, longest=LONGEST, where=where)
                async with opening as joined:
                    opened.set()
                    await _join(joined, far)
        except NotFound as error:
            error.hint = error.hint or f"start it first: weft vm start {namespace}/{name}"
            failures.append(error)
        except errors.WeftError as error:
            failures.append(error)
        finally:
            far.close()
            opened.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    opened.wait()
    try:
        if failures:
            raise failures[0]
        yield near
    finally:
        near.close()
        thread.join()
        loop.close()


async def _join(console: aiohttp.ClientWebSocketResponse, far: socket.socket) -> None:
    """Copy both ways until one end has closed."""
    reader, writer = await asyncio.open_unix_connection(sock=far)

    async def outward() -> None:
        while data := await reader.read(CHUNK):
            await console.send_bytes(data)

    async def inward() -> None:
        async for message in console:
            data: Any = message.data
            writer.write(data.encode() if isinstance(data, str) else data)
            await writer.drain()

    tasks = [asyncio.ensure_future(outward()), asyncio.ensure_future(inward())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
