"""Runs the server: opens the database, offers the types, listens on its sockets, ends cleanly."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from weft import errors
from weft_lab.apiserver import (
    access,
    admissionchain,
    auth,
    builtin,
    certificates,
    connections,
    execstreams,
    expiry,
    http,
    kubeconfig,
    logs,
    machineapi,
    seed,
    sqlite,
    tokens,
)
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.lifecycle import Lifecycle


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen: an open socket, or an address to open one on."""

    sock: socket.socket | None = None
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = True


@dataclass(frozen=True, slots=True)
class Running:
    """What is known once the server listens: one URL for each listener, in their order."""

    urls: tuple[str, ...]
    token: str
    authority: bytes


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of a server."""

    database: Path
    listeners: tuple[Listener, ...]
    tokens: Path
    tls: Path
    crds: tuple[Path, ...] = ()
    logs: Path | None = None
    kubelets: str | None = None
    handlers: str | None = None
    kubeconfig: Path | None = None
    names: tuple[str, ...] = ()
    context: str = "weft"
    ready: Callable[[Running], None] | None = None
    limits: connections.Limits = field(default_factory=connections.Limits)


async def run(config: Config) -> None:
    """Serve until cancelled."""
    token = auth.ensure_tokens(config.tokens)
    cluster = Cluster(sqlite.open_database(config.database))
    lifecycle = Lifecycle(cluster)
    cluster.listeners.append(lifecycle.listen)
    builtin.fill_cluster(cluster)
    seed.types(cluster)
    await seed.manifests(cluster, config.crds)
    await seed.namespaces(cluster)
    await seed.roles(cluster)
    expiring = expiry.Expiry(cluster, time.monotonic())
    cluster.listeners.append(expiring.listen)
    key = tokens.ensure_key(config.tokens.with_name(tokens.KEY_FILE))
    gate = access.Access(cluster, auth.read_tokens(config.tokens), key)
    cluster.listeners.append(gate.listen)
    chain = admissionchain.Chain(cluster)
    files, kubelets = logs.Files(config.logs), execstreams.Kubelets(config.kubelets)
    machines = machineapi.Machines(cluster, chain, config.handlers)
    api = http.Api(cluster, gate, chain, files, kubelets, machines)
    connections.raise_descriptor_limit()
    server = connections.Server(api.handle, config.limits)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lifecycle.run())
            group.create_task(expiring.run())
            group.create_task(cluster.journal.failure())
            lifecycle.review_all()
            _settle()
            _report(config, await _listen(config, runner, token))
    except* errors.WeftError as failed:
        raise failed.exceptions[0] from None
    finally:
        cluster.hub.end_all()
        await runner.cleanup()
        await chain.close()
        await cluster.journal.close()


def _settle() -> None:
    """What is there now lives long: the collector need not visit it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _report(config: Config, running: Running) -> None:
    """Write the kubeconfig, then say that the server is ready."""
    if config.kubeconfig is not None:
        text = kubeconfig.render(
            running.urls[0], running.token, authority=running.authority, name=config.context
        )
        kubeconfig.write(config.kubeconfig, text)
    if config.ready is not None:
        config.ready(running)


async def _listen(config: Config, runner: web.ServerRunner, token: str) -> Running:
    context: ssl.SSLContext | None = None
    authority = b""
    if any(one.tls for one in config.listeners):
        context = certificates.context(config.tls, _names(config))
        authority = certificates.authority(config.tls)
    urls = []
    for one in config.listeners:
        sock = one.sock or _open(one)
        await web.SockSite(runner, sock, ssl_context=context if one.tls else None).start()
        urls.append(_url(sock, one.tls))
    return Running(tuple(urls), token, authority)


def _names(config: Config) -> tuple[str, ...]:
    """Every name and address by which clients may come, for the certificate."""
    found = list(config.names)
    for one in config.listeners:
        host = one.sock.getsockname()[0] if one.sock else one.host
        if host not in {"", "0.0.0.0", "::"}:
            found.append(host)
    return tuple(found)


def _open(listener: Listener) -> socket.socket:
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((listener.host, listener.port))
    except OSError as error:
        sock.close()
        raise errors.Unavailable(
            f"cannot listen: {error.strerror}",
            where=f"{listener.host}:{listener.port}",
            hint="choose another port, or end who holds this one",
        ) from error
    sock.listen(512)
    return sock


def _url(sock: socket.socket, tls: bool) -> str:
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def parse_listener(text: str) -> Listener:
    """`https://127.0.0.1:6443`, `http://[::1]:8080`, or `https:fd=3` for an inherited socket."""
    scheme, _, rest = text.partition(":")
    if scheme not in {"http", "https"}:
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with http: or https:")
    rest = rest.removeprefix("//")
    if rest.startswith("fd="):
        return Listener(sock=socket.socket(fileno=int(rest[3:])), tls=scheme == "https")
    host, _, port = rest.rpartition(":")
    return Listener(None, host.strip("[]"), int(port), scheme == "https")


def parse_arguments(arguments: list[str] | None = None) -> Config:
    parser = argparse.ArgumentParser(prog="weft-apiserver", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder for all that is kept")
    parser.add_argument("--listen", type=parse_listener, action="append", default=[])
    parser.add_argument("--crds", type=Path, action="append", default=[], help="CRD folder or file")
    parser.add_argument("--logs", type=Path, help="folder of <namespace>_<pod>_<container>.log")
    parser.add_argument("--kubelets", help="path of kubelets' sockets, with {node} in it")
    parser.add_argument("--handlers", help="path of virt-handlers' sockets, with {node} in it")
    parser.add_argument("--kubeconfig", type=Path, help="where to write the kubeconfig")
    parser.add_argument("--name", action="append", default=[], help="more names for TLS")
    parser.add_argument("--patience", type=float, help="seconds for any part of a request")
    parser.add_argument("--connections", type=int, default=4096, help="at most, at one time")
    parser.add_argument("--ready-fd", type=int, help="gets one line when the server listens")
    found = parser.parse_args(arguments)
    return Config(
        database=found.state / "api.db",
        listeners=tuple(found.listen) or (Listener(port=6443),),
        tokens=found.state / "tokens.csv",
        tls=found.state / "tls",
        crds=tuple(found.crds),
        logs=found.logs,
        kubelets=found.kubelets,
        handlers=found.handlers,
        kubeconfig=found.kubeconfig or found.state / "kubeconfig",
        names=tuple(found.name),
        ready=_announce(found.ready_fd),
        limits=_limits(found.patience, found.connections),
    )


def _limits(patience: float | None, connected: int) -> connections.Limits:
    if patience is None:
        return connections.Limits(connections=connected)
    return connections.Limits(patience, patience, patience, connected)


def _announce(descriptor: int | None) -> Callable[[Running], None] | None:
    if descriptor is None:
        return None

    def report_address(running: Running) -> None:
        with os.fdopen(descriptor, "w") as pipe:
            pipe.write(" ".join(running.urls) + "\n")

    return report_address


async def _run_until_signal(config: Config) -> None:
    task = asyncio.ensure_future(run(config))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise


def main() -> None:
    """Run from the command line."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = parse_arguments()
    try:
        import uvloop

        uvloop.run(_run_until_signal(config))
    except errors.WeftError as error:
        raise SystemExit(f"{error}\n{error.hint}".strip()) from None


if __name__ == "__main__":
    main()
