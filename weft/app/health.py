"""Serves a process's probes and metrics over HTTP.

The paths are /healthz, /readyz and /metrics, over TCP or a unix socket, read-only.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from aiohttp import web

from weft import errors
from weft.metrics import PREFIX, Figures, Histogram, Labels, Metric, Series

Reasons = Callable[[], list[str]]


def render_figures(figures: Figures) -> str:
    """Renders figures in Prometheus' text format."""
    lines = []
    for metric, value in sorted(figures.items(), key=lambda each: each[0]):
        name = f"{PREFIX}{metric}"
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.type}"]
        lines += _samples(name, metric.labels, value)
    return "\n".join(lines) + "\n"


def _samples(name: str, labels: Labels, value: float | Series | Histogram) -> Iterator[str]:
    if isinstance(value, Histogram):
        for values, counts, total in value.series():
            given = tuple(zip(labels, values, strict=True))
            for bound, count in zip((*value.BOUNDS, float("inf")), counts, strict=True):
                le = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield f"{name}_bucket{_labelled((*given, ('le', le)))} {count}"
            yield f"{name}_sum{_labelled(given)} {total:g}"
            yield f"{name}_count{_labelled(given)} {counts[-1]}"
    elif isinstance(value, Mapping):
        for values, number in sorted(value.items()):
            yield f"{name}{_labelled(tuple(zip(labels, values, strict=True)))} {number:.15g}"
    else:
        yield f"{name} {value:.15g}"


def _labelled(labels: tuple[tuple[str, str], ...]) -> str:
    parts = (f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{','.join(parts)}}}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def process_figures(started: float) -> Figures:
    """Returns uptime and CPU in seconds, memory in bytes; `started` by time.monotonic()."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        Metric.UPTIME: time.monotonic() - started,
        Metric.CPU: usage.ru_utime + usage.ru_stime,
        Metric.MEMORY: usage.ru_maxrss * 1024,
    }


async def _nothing() -> None:
    """All figures are known."""


async def serve(
    address: str,
    not_ready: Reasons,
    figures: Callable[[], Figures],
    measure: Callable[[], Awaitable[None]] = _nothing,
    more: Callable[[], str] = str,
) -> None:
    """Serves until cancelled; raises Unavailable if it cannot serve at `address`.

    `not_ready` returns why the process is not ready; empty: ready. `measure` brings figures up to
    date that are read from elsewhere, when the metrics are asked for. `more` returns further
    samples, with their help, as text.
    """
    started = time.monotonic()

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reasons = not_ready()
        return web.Response(
            text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200
        )

    async def metrics(_: web.Request) -> web.Response:
        await measure()
        text = render_figures({**process_figures(started), **figures()})
        return web.Response(text=text + more())

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await _site(runner, address).start()
        await asyncio.Event().wait()
    except OSError as error:
        raise errors.Unavailable(
            f"cannot be served at {address}: {error.strerror or error}",
            where="health endpoint",
            hint="choose another address with --health",
        ) from error
    finally:
        await runner.cleanup()


def _site(runner: web.AppRunner, address: str) -> web.BaseSite:
    if address.startswith("unix:"):
        return web.SockSite(runner, _private_socket(Path(address.removeprefix("unix:"))))
    return web.TCPSite(runner, *host_and_port("health endpoint", address, "HOST:PORT or unix:PATH"))


def host_and_port(subject: str, address: str, form: str) -> tuple[str, int]:
    """Parses HOST:PORT, where an IPv6 address has brackets; raises InvalidInput."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise errors.InvalidInput(subject, "address", address, f"must be {form}")
    return host.strip("[]"), int(port)


def _private_socket(path: Path) -> socket.socket:
    """Returns a bound unix socket of mode 0600."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener
