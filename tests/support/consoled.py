"""A console for a test: its web application in this process, on a loopback port of its own."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.support.patience import PATIENCE
from weft.console import server, viewers
from weft.console.page import Nodes, Object, Question, Reading
from weft.kube.client import Client
from weft.kube.resources import Resource

viewers.PATIENCE = PATIENCE  # a loaded machine shows a page when it is read, and no sooner
OWN = {"Sec-Fetch-Site": "same-origin"}
NOW = "2026-02-01T00:00:00Z"


def read(
    objects: Mapping[Resource, Iterable[Object]], denied: Mapping[Resource, str] | None = None
) -> Reading:
    """What a page reads, given by kind."""
    return Reading({kind: tuple(each) for kind, each in objects.items()}, denied or {})


def asked(
    query: Mapping[str, str] | None = None,
    *,
    path: Mapping[str, str] | None = None,
    namespace: str = "",
) -> Question:
    return Question(path or {}, query or {}, namespace, NOW)


@dataclass
class Browser:
    """A browser at a console. `links` are the addresses that the console has announced."""

    session: aiohttp.ClientSession
    links: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        return self.links[0].partition("/enter")[0].partition("/login")[0]

    async def get(self, path: str, **headers: str) -> tuple[int, str, Mapping[str, str]]:
        """Status, text and headers."""
        async with self.session.get(
            self.base + path, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text(), answer.headers

    async def post(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str] = OWN
    ) -> tuple[int, str, Mapping[str, str]]:
        async with self.session.post(
            self.base + path, data=form, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text(), answer.headers

    async def enter(self) -> None:
        async with self.session.get(self.links[-1]) as answer:
            assert answer.status == 200, await answer.text()

    async def form_token(self, path: str = "/") -> str:
        """The one that the forms of a page carry."""
        _, text, _ = await self.get(path)
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', text)
        assert found, text
        return found[1]

    async def job(self, path: str) -> str:
        """What the job of a page has streamed when it ends."""
        _, text, _ = await self.get(path)
        found = re.search(r'data-job="([^"]+)"', text)
        assert found, text
        status, text, _ = await self.get(html.unescape(found[1]), **OWN)
        assert status == 200, text
        assert text.endswith("event: end\ndata: \n\n"), text
        return html.unescape(text)

    async def look(self, path: str) -> str:
        """What a job that looks again and again has shown first."""
        _, text, _ = await self.get(path)
        found = re.search(r'data-job="/live([^"]+)"', text)
        assert found, text
        async with self.stream(html.unescape(found[1])) as until:
            return html.unescape(await until("event: line"))

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
        """A function that waits until a message of the stream has a text, and returns it."""
        async with self.session.get(self.base + "/live" + path, headers=OWN) as answer:
            assert answer.status == 200, await answer.text()

            async def until(text: str) -> str:
                async with asyncio.timeout(PATIENCE):
                    while True:
                        found = await answer.content.readuntil(b"\n\n")
                        if text in found.decode():
                            return found.decode()

            yield until


@asynccontextmanager
async def running(
    connect: Callable[[str], Client],
    *,
    is_login: bool = False,
    names: tuple[str, ...] = (),
    nodes: Nodes | None = None,
    lab: Nodes | None = None,
) -> AsyncIterator[Browser]:
    """A console, and a browser that has not entered yet."""
    ended, links = asyncio.Event(), list[str]()
    settings = server.Settings(connect, is_login=is_login, names=names, nodes=nodes, lab=lab)
    ready = asyncio.Event()

    def announce(link: str) -> None:
        links.append(link)
        ready.set()

    serving = asyncio.create_task(server.serve(settings, announce, ended))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        await serving
    jar = aiohttp.CookieJar(unsafe=True)  # of numeric addresses, too
    try:
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Browser(session, links)
    finally:
        ended.set()
        await serving
