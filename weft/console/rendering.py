"""Turns what pages show into HTML. Everything that comes from the cluster is escaped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup

from weft.console import libraries, pages
from weft.console.page import Page, Question, Reading
from weft.console.templatefunctions import FUNCTIONS

FOLDERS = [Path(__file__).parent]  # with templates/ and pages/


@dataclass(frozen=True, slots=True)
class Shown:
    """A page for one viewer: what was asked and read, and what the page makes of it. `starts`: jobs
    may start by themselves, without a button."""

    page: Page
    asked: Question
    reading: Reading
    view: object
    result: object = None  # of the action that was asked for before
    starts: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a page: the token of its forms, the viewer's name, a notice."""

    form_token: str
    viewer: str = ""
    server: str = ""
    is_login: bool = False
    notice: str = ""
    failed: bool = False


def linker(namespace: str) -> Callable[..., str]:
    """A function from path segments and query to a path that stays in the namespace."""

    def link(*segments: str, **query: str) -> str:
        path = "/" + "/".join(quote(each, safe="") for each in segments)
        asked = {"namespace": namespace, **query}
        kept = urlencode({name: value for name, value in asked.items() if value})
        return f"{path}?{kept}" if kept else path

    return link


class Renderer:
    """The templates of the console, compiled once."""

    def __init__(self) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDERS),
            autoescape=True,
            auto_reload=False,  # an upgrade's templates are for its own process
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(FUNCTIONS)

    def prepare(self) -> None:
        """Compile the templates of all pages, so that nobody who opens the first one waits."""
        for name in self._templates.list_templates(extensions=["html"]):
            self._templates.get_template(name)

    def fragment(self, shown: Shown, form_token: str) -> str:
        """The page alone, as a stream sends it."""
        return self._render("templates/fragment.html", shown, {"form_token": form_token})

    def whole(self, shown: Shown, frame: Frame) -> str:
        """The page with all that stands around it."""
        is_live = not libraries.missing(libraries.LIVE)
        fragment = self.fragment(shown, frame.form_token)
        streams = shown.page.reads and shown.page.is_live
        stream = _stream_of(shown.page, shown.asked, fragment) if streams else ""
        around = {
            "frame": frame,
            "form_token": frame.form_token,
            "fragment": Markup(fragment),
            "pages": pages.listed(),
            "scripts": libraries.LIVE if is_live else (),
            "is_live": is_live,
            "stream": stream,
        }
        return self._render("templates/layout.html", shown, around)

    def part(self, name: str, **values: object) -> str:
        """Another template: a line of a job, an error, the login."""
        return self._templates.get_template(name).render(**values)

    def _render(self, name: str, shown: Shown, more: Mapping[str, object]) -> str:
        page, asked, token = shown.page, shown.asked, more["form_token"]

        def action(name: str) -> str:
            assert name in page.actions, name
            return path_of(page, asked, after=f"/-/{name}")

        def job(name: str, **query: str) -> str:
            assert name in page.jobs, name
            given = {**query, "form_token": str(token)}
            return path_of(page, asked, before="/live", after=f"/-/{name}", **given)

        def socket(name: str) -> str:
            assert name in page.sockets, name
            return path_of(page, asked, before="/socket", after=f"/-/{name}")

        return self._templates.get_template(name).render(
            page=page,
            asked=asked,
            reading=shown.reading,
            view=shown.view,
            result=shown.result,
            starts=shown.starts,
            lacks=libraries.missing(page.libraries),
            link=linker(asked.namespace),
            action=action,
            job=job,
            socket=socket,
            **more,
        )


def path_of(page: Page, asked: Question, *, before: str = "", after: str = "", **query: str) -> str:
    """The path and query under which a page was asked for, and more of both."""
    path = page.path.format(**{name: quote(each, safe="") for name, each in asked.path.items()})
    path = f"{before}{path.rstrip('/')}{after}" if after else f"{before}{path}"
    query = {**asked.query, "namespace": asked.namespace, **query}
    kept = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{kept}" if kept else path


def digest(fragment: str) -> str:
    """What a stream is told of the page that its viewer has: it begins with what differs."""
    return hashlib.sha256(fragment.encode()).hexdigest()[:16]


def _stream_of(page: Page, asked: Question, fragment: str) -> str:
    """Where the page's updates come from."""
    return path_of(page, asked, before="/live", seen=digest(fragment))
