"""Lets requests in or refuses them, before any page sees them, and sets headers on all answers."""

from __future__ import annotations

import asyncio
import logging
import os
from asyncio import BaseTransport
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakSet

from aiohttp import web

from weft import errors
from weft.console import guard, peers, rendering, sessions
from weft.console.page import Nodes, NoSuchObject
from weft.console.viewers import TooMuch, Viewers
from weft.kube.client import Unauthorized
from weft.observe.checks import SYSTEM

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOGINS_AT_ONCE = 4  # each asks the API server about a token
LONGEST_FORM = 256 << 10  # bytes of a form: an edited manifest at most
OPEN = ("/static/", "/libraries/", "/enter", "/login")  # without a session
STREAMED = ("/live/", "/socket/")  # for the console's own pages alone


@dataclass(frozen=True, slots=True)
class Console:
    """What all handlers need. `links` is None where each viewer logs in, and `nodes` then, too.

    `lab`: the nodes of a lab, for viewers who may enter all of its pods. `system`: the namespace in
    which weft runs. `known`: connections of
    the console's own user, who is looked up once for each.
    """

    site: guard.Site
    seal: sessions.Seal
    viewers: Viewers
    renderer: rendering.Renderer
    links: sessions.Links | None
    known: WeakSet[BaseTransport] = field(default_factory=WeakSet)
    nodes: Nodes | None = None
    lab: Nodes | None = None
    system: str = SYSTEM
    logins: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOGINS_AT_ONCE))

    @property
    def cookie(self) -> str:
        """Its name; browsers share cookies among the ports of a host."""
        port = min(self.site.hosts, key=len, default="").rpartition(":")[2]
        return f"weft-console-{port}" if port.isdigit() else "weft-console"

    @property
    def notice_cookie(self) -> str:
        """That of what an action did, for the page that is shown next."""
        return f"{self.cookie}-notice"


CONSOLE = web.AppKey("console", Console)
SESSION = web.RequestKey("session", sessions.Session)


def session_of(request: web.Request) -> sessions.Session:
    """The session of a request that was let in."""
    return request[SESSION]


async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every answer, errors included; libraries may be cached, since they are public."""
    response.headers["Server"] = "weft"
    for name, value in guard.HEADERS.items():
        response.headers.setdefault(name, value)
    if request.path.startswith(("/static/", "/libraries/")):
        response.headers["Cache-Control"] = "no-cache"


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what no page of this console has sent, and who has no session."""
    console = request.app[CONSOLE]
    own, path = console.site, request.path
    if console.links is not None and request.transport not in console.known:
        try:
            peers.check(request.transport)
        except (peers.Refused, OSError) as error:
            return _refusal(console, 403, str(error), getattr(error, "hint", ""))
        if request.transport is not None:
            console.known.add(request.transport)
    if not guard.is_own_host(own, request.headers):
        return _refusal(console, 421, "This address does not lead to this console.")
    if request.method not in guard.SAFE or path.startswith(STREAMED):
        if not guard.is_from_own_page(own, request.headers):
            return _refusal(console, 403, "Another site's page has sent this request.")
    elif guard.is_led_from_elsewhere(request.headers):
        return _refusal(console, 403, "Another site's page may not show this console.")
    if path.startswith(OPEN):
        return await handler(request)
    session = console.seal.open(request.cookies.get(console.cookie, ""))
    if session is None:
        if path.startswith(STREAMED):
            return _refusal(console, 401, "The session has ended.")
        return _entrance(console)
    request[SESSION] = session
    if request.method not in guard.SAFE:
        given = (await request.post()).get("form_token", "")
        if not guard.is_form_token(console.seal.key, session.id, str(given)):
            return _refusal(console, 403, "The form is old: load the page again.")
    return await handler(request)


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in a sentence what went wrong; no traceback reaches a viewer."""
    console = request.app[CONSOLE]
    try:
        return await handler(request)
    except Unauthorized as error:
        if console.links is None:
            return _logged_out(console, "The API server does not know this token, or not any more.")
        return _refusal(console, 502, str(error), error.hint)
    except NoSuchObject as error:
        return _refusal(console, 404, str(error), error.hint)
    except TooMuch as error:
        return _refusal(console, 429, str(error), error.hint)
    except errors.InvalidInput as error:
        return _refusal(console, 400, str(error), error.hint)
    except errors.WeftError as error:
        return _refusal(console, 502, str(error), error.hint)
    except web.HTTPNotFound:
        return _refusal(console, 404, "There is no such page.")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _refusal(console, error.status, error.reason)
    except (ConnectionResetError, OSError):
        raise
    except Exception as error:
        debugs = bool(os.environ.get("WEFT_DEBUG"))
        what = f"this is a bug in weft: {type(error).__name__} at {request.method} {request.path}"
        log.error(what, exc_info=debugs)
        hint = "run weft console with WEFT_DEBUG=1 for a traceback, and report it"
        return _refusal(console, 500, "This is a bug in weft.", hint)


def _refusal(console: Console, status: int, what: str, hint: str = "") -> web.Response:
    text = console.renderer.part("templates/refusal.html", what=what, hint=hint)
    return web.Response(status=status, text=text, content_type="text/html")


def _entrance(console: Console) -> web.Response:
    """Where somebody without a session gets in."""
    if console.links is None:
        return web.Response(status=303, headers={"Location": "/login"})
    hint = "open the address that weft console has printed last; it is good for one browser"
    return _refusal(console, 401, "You are not let in yet.", hint)


def _logged_out(console: Console, why: str) -> web.Response:
    text = console.renderer.part("templates/login.html", why=why)
    answer = web.Response(status=401, text=text, content_type="text/html")
    answer.del_cookie(console.cookie, path="/")
    return answer


def _let_in(console: Console, token: str = "") -> web.Response:
    answer = web.Response(status=303, headers={"Location": "/"})
    answer.set_cookie(
        *(console.cookie, console.seal.close(token)),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=console.site.scheme == "https",
        max_age=sessions.LIFETIME,
    )
    return answer


async def enter(request: web.Request) -> web.StreamResponse:
    """By the link that the console has printed."""
    console = request.app[CONSOLE]
    if console.links is None:
        raise web.HTTPNotFound
    if console.links.spend(request.query.get("key", "")):
        # A page, not a redirect: a cookie that is SameSite=Strict does not follow a link from
        # another site through a redirect.
        answer = _let_in(console)
        answer.set_status(200)
        del answer.headers["Location"]
        answer.content_type = "text/html"
        answer.text = console.renderer.part("templates/entered.html")
        return answer
    if console.seal.open(request.cookies.get(console.cookie, "")):
        return web.Response(status=303, headers={"Location": "/"})
    hint = "open the address that weft console has printed last; each is good for one browser"
    return _refusal(console, 403, "This link was used already.", hint)


async def show_login(request: web.Request) -> web.StreamResponse:
    """The form for a bearer token."""
    console = request.app[CONSOLE]
    if console.links is not None:
        raise web.HTTPNotFound
    text = console.renderer.part("templates/login.html", why="")
    return web.Response(text=text, content_type="text/html")


async def log_in(request: web.Request) -> web.StreamResponse:
    """Let in who has a token that the API server knows."""
    console = request.app[CONSOLE]
    if console.links is not None:
        raise web.HTTPNotFound
    token = str((await request.post()).get("token", "")).strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        return _logged_out(console, "A token is one line without blanks.")
    if len(token) > sessions.LONGEST_TOKEN:
        what = f"The token has more than {sessions.LONGEST_TOKEN} characters: no cookie holds it."
        return _logged_out(console, what)
    async with console.logins:
        await console.viewers.check(token)
    return _let_in(console, token)


async def log_out(request: web.Request) -> web.StreamResponse:
    """Take the cookie back, and end what the session has open."""
    console = request.app[CONSOLE]
    console.seal.log_out(session_of(request))
    answer = web.Response(status=303, headers={"Location": "/login"})
    answer.del_cookie(console.cookie, path="/")
    return answer


def routes(static: Path, libraries: Path) -> list[web.AbstractRouteDef]:
    """The routes of ways in and out, and of files."""
    files = [web.static("/static", static)]
    if libraries.is_dir():
        files.append(web.static("/libraries", libraries))
    return [
        *files,
        web.get("/enter", enter),
        web.get("/login", show_login),
        web.post("/login", log_in),
        web.post("/logout", log_out),
    ]
