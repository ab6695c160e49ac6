"""Answers requests for pages, their updates, actions and jobs: a route for each, from the list."""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from aiohttp import WSCloseCode, web
from yarl import URL

from weft import errors
from weft.console import guard, middleware, pages, rendering, sessions
from weft.console.computing import Computing
from weft.console.middleware import CONSOLE, Console, Handler
from weft.console.nodes import ViewersNodes
from weft.console.page import (
    Access,
    Action,
    Job,
    JobAccess,
    Outcome,
    Page,
    Question,
    Reading,
    Talk,
)
from weft.console.rendering import Frame, Shown
from weft.console.stores import Store, reading
from weft.console.viewers import Viewer
from weft.console.views import Views
from weft.kube import events
from weft.kube.client import Unreachable

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_OWN = ("namespace", "form_token", "seen")  # in a query; the rest is the page's
_PAUSE = 0.4  # seconds between two updates of a page, at least
_SHARE = 9  # times as long as a page took to make, it is not made again: a tenth of a processor
_RATE = 1 << 20  # bytes of updates a second for one page
_LONGEST = 256 << 10  # bytes of a message that a browser sends through a WebSocket
_SIGN_OF_LIFE = 20.0  # seconds
_LIFETIME = 600.0  # seconds; then the browser connects again, and its cookie is looked at again


def asked_of(request: web.Request) -> Question:
    """What the request asks for; raises InvalidInput for a namespace that cannot exist."""
    query = {name: value for name, value in request.query.items() if name not in _OWN}
    namespace = request.query.get("namespace", "")
    if namespace and not _NAMESPACE.fullmatch(namespace):
        rule = "is no name of a namespace: lower case letters, digits and '-'"
        raise errors.InvalidInput("address", "namespace", namespace, rule)
    return Question(dict(request.match_info), query, namespace, events.now())


@asynccontextmanager
async def viewing(request: web.Request) -> AsyncIterator[Viewer]:
    """The viewer who sent the request."""
    async with request.app[CONSOLE].viewers.of(middleware.session_of(request).token) as viewer:
        yield viewer


def _form_token(request: web.Request) -> str:
    console = request.app[CONSOLE]
    return guard.form_token(console.seal.key, middleware.session_of(request).id)


async def _read(viewer: Viewer, page: Page, asked: Question) -> Reading:
    async with viewer.following(page.reads, asked.namespace) as stores:
        return reading(stores)


async def _whole(
    request: web.Request, page: Page, asked: Question, outcome: Outcome | None = None
) -> web.Response:
    console, session = request.app[CONSOLE], middleware.session_of(request)
    cookie = "" if outcome else request.cookies.get(console.notice_cookie, "")
    done = console.seal.notice_of(session, request.path, cookie) if cookie else ""
    async with viewing(request) as viewer:
        naming = asyncio.create_task(viewer.name())
        try:
            read = await _read(viewer, page, asked)
            name = await naming
        finally:
            naming.cancel()
        frame = Frame(
            form_token=_form_token(request),
            viewer=name,
            server=viewer.client.server,
            is_login=console.links is None,
            notice=outcome.sentence if outcome else done,
            failed=bool(outcome and outcome.failed),
        )
        result = outcome.result if outcome else None
        # A probe sends packets by the viewer's right.
        starts = guard.is_led_by_own(request.headers, by_page="probe" in asked.query)
        text = await viewer.computing.run(
            lambda: console.renderer.whole(
                Shown(page, asked, read, viewer.views.of(page, read, asked), result, starts), frame
            )
        )
    status = 422 if frame.failed else 200
    answer = web.Response(status=status, text=text, content_type="text/html")
    if cookie:
        answer.del_cookie(console.notice_cookie, path=request.rel_url.raw_path)
    if page.inline_styles:
        policy = guard.HEADERS["Content-Security-Policy"] + guard.INLINE_STYLES
        answer.headers["Content-Security-Policy"] = policy
    return answer


def show(page: Page) -> Handler:
    """The handler of a page."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _whole(request, page, asked_of(request))

    return handle


def act(page: Page, action: Action) -> Handler:
    """The handler of a form: it shows the page again, with what was done or why not."""

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = asked_of(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        form.pop("form_token", None)
        async with viewing(request) as viewer:
            try:
                access = Access(viewer.client, computing=viewer.computing)
                with viewer.acting():
                    outcome = await action(access, asked, form)
            except errors.WeftError as error:
                outcome = Outcome(error.in_full(), failed=True)
        if outcome.to:
            return _led_on(request, outcome)
        return await _whole(request, page, asked, outcome)

    return handle


def _led_on(request: web.Request, outcome: Outcome) -> web.Response:
    """To the page that an action has led to; a cookie tells that page what was done."""
    assert outcome.to.startswith("/"), outcome.to
    assert not outcome.to.startswith("//"), outcome.to
    console, session = request.app[CONSOLE], middleware.session_of(request)
    answer = web.Response(status=303, headers={"Location": outcome.to})
    to = URL(outcome.to, encoded=True)
    answer.set_cookie(
        *(console.notice_cookie, console.seal.note(session, to.path, outcome.sentence)),
        path=to.raw_path,
        httponly=True,
        samesite="Strict",
        secure=console.site.scheme == "https",
        max_age=sessions.NOTICE_LIFETIME,
    )
    return answer


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    response.headers["X-Accel-Buffering"] = "no"
    await response.prepare(request)
    return response


def message(name: str, html: str) -> bytes:
    """A server-sent event; lines of its data may not hold carriage returns."""
    lines = html.replace("\r", "").split("\n")
    return "".join([f"event: {name}\n", *(f"data: {line}\n" for line in lines), "\n"]).encode()


def follow(page: Page) -> Handler:
    """The handler of a page's updates: the page anew after each change, a few times a second."""

    async def handle(request: web.Request) -> web.StreamResponse:
        asked, token = asked_of(request), _form_token(request)
        async with (
            viewing(request) as viewer,
            viewer.following(page.reads, asked.namespace) as stores,
        ):
            with viewer.streaming():
                response = await _stream(request)
                console, session = request.app[CONSOLE], middleware.session_of(request)
                async with console.seal.lasting(session, _LIFETIME):
                    seen = request.query.get("seen", "")
                    show = functools.partial(_fragment, console, viewer.views, page, asked, token)
                    await _update(response, viewer.computing, show, stores, seen)
                return response

    return handle


async def _update(
    response: web.StreamResponse,
    computing: Computing,
    show: Callable[[Reading], str],
    stores: Sequence[Store],
    seen: str,
) -> None:
    """Send what `show` makes of the stores whenever they have changed and it is not `seen`."""
    changed = asyncio.Event()
    for store in stores:
        store.changed.add(changed)
    try:
        while True:
            changed.clear()
            html, took = await computing.run(_timed, show, reading(stores))
            size = 0
            if rendering.digest(html) != seen:
                content = message("page", html)
                size = len(content)
                await response.write(content)
                seen = rendering.digest(html)
            await _rest(response, max(_PAUSE, size / _RATE, _SHARE * took))
            while not changed.is_set():
                try:
                    async with asyncio.timeout(_SIGN_OF_LIFE):
                        await changed.wait()
                except TimeoutError:
                    await response.write(b":\n\n")
    finally:
        for store in stores:
            store.changed.discard(changed)


def _timed(show: Callable[[Reading], str], read: Reading) -> tuple[str, float]:
    """What it shows, and the seconds of a processor that this took: on a busy machine the clock's
    are many times as many."""
    began = time.thread_time()
    return show(read), time.thread_time() - began


async def _rest(response: web.StreamResponse, seconds: float) -> None:
    while seconds > _SIGN_OF_LIFE:
        await asyncio.sleep(_SIGN_OF_LIFE)
        await response.write(b":\n\n")
        seconds -= _SIGN_OF_LIFE
    await asyncio.sleep(seconds)


def _fragment(
    console: Console, views: Views, page: Page, asked: Question, token: str, read: Reading
) -> str:
    asked = replace(asked, now=events.now())
    try:
        shown = Shown(page, asked, read, views.of(page, read, asked))
        return console.renderer.fragment(shown, token)
    except errors.WeftError as error:  # what the page is about may be deleted
        return console.renderer.part("templates/gone.html", what=str(error), hint=error.hint)


def work(page: Page, name: str, job: Job) -> Handler:
    """The handler of a job: what it yields, line by line, and an end.

    It has effects, and a stream is opened by GET: the query holds the form token.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        console, session = request.app[CONSOLE], middleware.session_of(request)
        given = request.query.get("form_token", "")
        if not guard.is_form_token(console.seal.key, session.id, given):
            raise web.HTTPForbidden(reason="The form is old: load the page again.")
        asked = asked_of(request)
        render = console.renderer.part
        async with viewing(request) as viewer:
            with viewer.streaming():
                response = await _stream(request)
                nodes = console.nodes
                if nodes is None:
                    nodes = ViewersNodes(viewer.client, viewer.asking, console.lab, console.system)
                access = JobAccess(viewer.client, viewer.computing, nodes=nodes)
                template = f"pages/{page.name}.{name}.html"
                try:
                    async with (
                        console.seal.lasting(session, _LIFETIME) as limit,
                        aclosing(job(access, asked)) as lines,
                    ):
                        async for line in lines:
                            html = await viewer.computing.run(render, template, line=line)
                            await response.write(message("line", html))
                    if limit.expired():
                        what = f"It ends after {_LIFETIME / 60:.0f} minutes, and with the session."
                        html = render("templates/gone.html", what=what, hint="load the page again")
                        await response.write(message("line", html))
                except errors.WeftError as error:
                    html = render("templates/gone.html", what=str(error), hint=error.hint)
                    await response.write(message("line", html))
                await response.write(message("end", ""))
                return response

    return handle


def socket(talk: Talk) -> Handler:
    """The handler of a WebSocket: the middleware has checked Host, Origin and session."""

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = asked_of(request)
        async with viewing(request) as viewer:
            with viewer.streaming():
                ws = web.WebSocketResponse(max_msg_size=_LONGEST, heartbeat=30.0, compress=False)
                await ws.prepare(request)
                console, session = request.app[CONSOLE], middleware.session_of(request)
                try:
                    async with console.seal.lasting(session, sessions.LIFETIME):
                        await talk(viewer.client, asked, ws)
                except errors.WeftError as error:
                    why = str(error).encode()[:120].decode(errors="ignore")  # a close has 123
                    # The page connects again by itself after this one alone.
                    is_cut = isinstance(error, Unreachable)
                    code = WSCloseCode.SERVICE_RESTART if is_cut else WSCloseCode.INTERNAL_ERROR
                    await ws.close(code=code, message=why.encode())
                finally:
                    await ws.close()
                return ws

    return handle


def routes() -> list[web.RouteDef]:
    """The routes of all pages."""
    found: list[web.RouteDef] = []
    for page in pages.listed():
        path = page.path.rstrip("/")
        found += [web.get(page.path, show(page)), web.get(f"/live{page.path}", follow(page))]
        found += [
            web.post(f"{path}/-/{name}", act(page, one)) for name, one in page.actions.items()
        ]
        for name, job in page.jobs.items():
            found.append(web.get(f"/live{path}/-/{name}", work(page, name, job)))
        for name, talk in page.sockets.items():
            found.append(web.get(f"/socket{path}/-/{name}", socket(talk)))
    return found
