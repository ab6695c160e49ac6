"""How does a command show what it found? As text for people or as one JSON document for scripts."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from weft import errors


class Output(StrEnum):
    text = "text"
    json = "json"


Option = Annotated[Output, typer.Option("--output", "-o", help="For people, or for scripts.")]

Report = Callable[[str, float], None]  # (what is being done, fraction done)


def color() -> bool | None:
    """What typer is to know of colors: none where $NO_COLOR is set, else as the stream is."""
    return False if os.environ.get("NO_COLOR") else None


def emit(output: Output, data: Any, text: Callable[[], None]) -> None:
    """Print `data` as JSON, or call `text`, which prints."""
    if output is Output.json:
        typer.echo(json.dumps(data, indent=2, default=str))
    else:
        text()


def deliver(drawn: str, to: str, *, screen: str) -> None:
    """Print a picture where `to` is `screen`, or write it to the file of that name."""
    if to == screen:
        typer.echo(drawn, nl=False)
        return
    try:
        Path(to).write_text(drawn, encoding="utf-8")
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise errors.Unavailable(what, where=to, hint="choose another --output") from error


def counting(report: Report, what: str) -> Callable[[Mapping[str, object]], None]:
    """A listener that reports, of the events that count, how many of a total are ready."""

    def tell(event: Mapping[str, object]) -> None:
        ready, total = event.get("ready"), event.get("total")
        if isinstance(ready, int) and isinstance(total, int):
            report(what, ready / total)

    return tell


@contextlib.contextmanager
def progress(output: Output) -> Iterator[Report]:
    """A bar on standard error while something long goes on; silent in JSON and in pipes."""
    if output is Output.json or not sys.stderr.isatty():
        yield lambda _what, _fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<32}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(what: str, fraction: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1.0)
            bar.update(tasks[what], completed=fraction)

        yield report
