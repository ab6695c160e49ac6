"""Runs the console's web server until it is told to end."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from weft import errors
from weft.console import guard, libraries, middleware, rendering, serving, sessions
from weft.console.page import Nodes
from weft.console.viewers import Viewers
from weft.kube import config
from weft.kube.client import Client
from weft.kube.transport import Transport
from weft.observe.checks import SYSTEM

_WHERE = "weft console"
_PATIENCE = 5.0  # seconds of retries of a request to the API server; people wait for it
STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Settings:
    """`connect` makes a client for a viewer's token, or for the user of the console.

    `names`: further names by which browsers reach it. `certificate` and `key` are files in PEM
    form. `nodes` serves the user of the console alone. `lab`: the nodes of a lab, for who logs in
    and may enter all of its pods. `system`: the namespace in which weft runs.
    """

    connect: Callable[[str], Client]
    address: str = "127.0.0.1"
    port: int = 0
    is_login: bool = False
    names: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    nodes: Nodes | None = None
    lab: Nodes | None = None
    system: str = SYSTEM


def connector(kubeconfig: str | None, context: str = "") -> Callable[[str], Client]:
    """Clients of a kubeconfig's cluster: with its own credentials, or with a viewer's token alone.

    Raises InvalidInput.
    """

    def connect(token: str) -> Client:
        if not token:
            return Client.from_kubeconfig(
                kubeconfig, context=context, patience=_PATIENCE, component="weft-console"
            )
        endpoint = replace(config.without_user(kubeconfig, context), token=token)
        return Client(Transport(endpoint, patience=_PATIENCE, component="weft-console"))

    return connect


def check(settings: Settings) -> None:
    """Raise InvalidInput for settings that would let others in, or let tokens be read."""
    try:
        address = ipaddress.ip_address(settings.address)
    except ValueError:
        rule = "must be an address of this machine"
        raise errors.InvalidInput(_WHERE, "--address", settings.address, rule) from None
    if bool(settings.certificate) != bool(settings.key):
        lacking = "--tls-key" if settings.certificate else "--tls-certificate"
        raise errors.InvalidInput(_WHERE, lacking, None, "is needed with the other of the two")
    if address.is_loopback:
        return
    if not settings.is_login:
        rule = "is not on loopback, where everybody would have your rights"
        hint = "add --login, so that each viewer gives a token"
        raise errors.InvalidInput(_WHERE, "--address", settings.address, rule, hint=hint)
    if not settings.certificate:
        rule = "is needed for an address that is not on loopback: tokens would be sent in the clear"
        raise errors.InvalidInput(_WHERE, "--tls-certificate", None, rule)


def application(
    settings: Settings, site: guard.Site, announce: Callable[[str], None]
) -> web.Application:
    """The web application; `announce` is called with the path of each new way in."""
    links = None
    if not settings.is_login:
        links = sessions.Links(lambda secret: announce(f"/enter?key={secret}"))
    app = web.Application(
        middlewares=[middleware.explained, middleware.guarded],
        client_max_size=middleware.LONGEST_FORM,
    )
    app[middleware.CONSOLE] = middleware.Console(
        site=site,
        seal=sessions.Seal(is_login=settings.is_login),
        viewers=Viewers(settings.connect),
        renderer=rendering.Renderer(),
        links=links,
        nodes=None if settings.is_login else settings.nodes,
        lab=settings.lab,
        system=settings.system,
    )
    app.on_response_prepare.append(middleware.set_headers)
    app.on_cleanup.append(_clean)
    app.add_routes(middleware.routes(STATIC, libraries.FOLDER))
    app.add_routes(serving.routes())
    return app


async def _clean(app: web.Application) -> None:
    await app[middleware.CONSOLE].viewers.close()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        rule = f"cannot be loaded: {error}"
        raise errors.InvalidInput(
            _WHERE, "--tls-certificate", settings.certificate, rule
        ) from error
    return context


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.address, settings.port))
    except OSError as error:
        listening.close()
        where = f"{settings.address}:{settings.port}"
        hint = "choose another with --port" if error.errno == errno.EADDRINUSE else ""
        what = f"cannot be listened on: {error.strerror}"
        raise errors.Unavailable(what, where=where, hint=hint) from error
    listening.listen(128)
    return listening


async def serve(
    settings: Settings, announce: Callable[[str], None], ended: asyncio.Event | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, or until `ended` is set.

    `announce` is called with the address to open, and again when that was used. Raises
    InvalidInput and Unavailable.
    """
    check(settings)
    settings.connect("no viewer's")  # its errors come before the first viewer
    tls, listening = _tls(settings), _listen(settings)
    port = listening.getsockname()[1]
    is_loopback = ipaddress.ip_address(settings.address).is_loopback
    names = (settings.address, *(("localhost",) if is_loopback else ()), *settings.names)
    site = guard.site("https" if tls else "http", port, names)
    host = settings.names[0] if settings.names else settings.address
    base = f"{site.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    # Before the address is printed: who reads it may press Ctrl-C at once.
    ended = ended or _until_signalled()
    app = application(settings, site, lambda path: announce(base + path))
    if settings.is_login:
        announce(base + "/login")
    # A handler ends when its viewer leaves, and with it what it follows.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listening, ssl_context=tls).start()
        await asyncio.to_thread(app[middleware.CONSOLE].renderer.prepare)
        await ended.wait()
    finally:
        await runner.cleanup()


def _until_signalled() -> asyncio.Event:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    return ended
