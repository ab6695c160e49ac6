"""Turns what pages show into HTML. Everything that comes from the cluster is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import jinja2

from weft.console import libraries, pages
from weft.console.page import Page, Question, Reading
from weft.console.words import WORDS

ROOT = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Shown:
    """A page for one viewer: what was asked and read, and what the page makes of it."""

    page: Page
    asked: Question
    reading: Reading
    view: object


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
            loader=jinja2.FileSystemLoader(ROOT),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(WORDS)

    def fragment(self, shown: Shown, form_token: str) -> str:
        """The page alone, as a stream sends it."""
        return self._render("templates/fragment.html", shown, {"form_token": form_token})

    def whole(self, shown: Shown, frame: Frame) -> str:
        """The page with all that stands around it."""
        live = not libraries.missing(libraries.LIVE)
        around = {
            "frame": frame,
            "form_token": frame.form_token,
            "pages": pages.listed(),
            "scripts": libraries.LIVE if live else (),
            "stream": stream_of(shown.page, shown.asked) if live else "",
        }
        return self._render("templates/layout.html", shown, around)

    def part(self, name: str, **values: object) -> str:
        """Another template: a line of a job, an error, the login."""
        return self._templates.get_template(name).render(**values)

    def _render(self, name: str, shown: Shown, more: Mapping[str, object]) -> str:
        return self._templates.get_template(name).render(
            page=shown.page,
            asked=shown.asked,
            reading=shown.reading,
            view=shown.view,
            link=linker(shown.asked.namespace),
            **more,
        )


def path_of(page: Page, asked: Question) -> str:
    """The path and query under which a page was asked for."""
    path = page.path.format(**{name: quote(each, safe="") for name, each in asked.path.items()})
    query = {**asked.query, "namespace": asked.namespace}
    kept = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{kept}" if kept else path


def stream_of(page: Page, asked: Question) -> str:
    """Where the page's updates come from."""
    return f"/live{path_of(page, asked)}"
