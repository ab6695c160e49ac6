"""Shows what a command found, as text for people or as one JSON or YAML document for scripts."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weft import errors

if TYPE_CHECKING:
    from weft.observe.render.grid_text import Line


class Output(StrEnum):
    text = "text"
    json = "json"
    yaml = "yaml"


# Formats of --output; formats by the suffix of a file; former names of formats.
TEXT, JSON, YAML, SVG, MERMAID = "text", "json", "yaml", "svg", "mermaid"
DATA = (JSON, YAML)
SUFFIXES = {
    ".txt": TEXT,
    ".json": JSON,
    ".yaml": YAML,
    ".yml": YAML,
    ".svg": SVG,
    ".mmd": MERMAID,
    ".mermaid": MERMAID,
}
FORMER = {"tree": TEXT, "table": TEXT, "-": TEXT}
PLUGIN = "kubectl-weft"  # the name under which kubectl calls weft as its plugin
WIDTH = 100  # characters of a line, if the terminal's width is unknown
STYLES = {
    "title": "bold",
    "name": "bold",
    "good": "green",
    "silent": "dim",
    "unknown": "yellow",
    "warn": "bold yellow",
    "bad": "bold red",
    "muted": "dim",
}

Option = Annotated[
    Output, typer.Option("--output", "-o", help="Text for people; JSON or YAML for scripts.")
]

Networks = Annotated[
    list[str] | None,
    typer.Option("--network", metavar="NAME", help="Only this network. May be repeated."),
]
Namespaces = Annotated[
    list[str] | None,
    typer.Option("--namespace", "-n", help="Only pods of this namespace. May be repeated."),
]

# (what is being done, fraction done, or None if the total is unknown)
Report = Callable[[str, float | None], None]


def color() -> bool | None:
    """typer's argument `color`: False if $NO_COLOR is set, else None, which lets the stream
    decide."""
    return False if os.environ.get("NO_COLOR") else None


def emit(output: Output, data: Any, text: Callable[[], None]) -> None:
    """Print `data` as a document, or call `text`, which prints."""
    if output is Output.text:
        text()
    else:
        typer.echo(document(data, output), nl=False)


def document(data: Any, form: str) -> str:
    """`data` in one of the forms DATA."""
    text = json.dumps(data, indent=2, default=str)
    if form == JSON:
        return text + "\n"
    import yaml

    return yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True, slots=True)
class Target:
    """The format of the output, and its file; an empty one is standard output."""

    form: str
    file: str = ""


def target(command: str, output: str, forms: Sequence[str], form: str = "") -> Target:
    """Parse --output: one of `forms`, or a file whose suffix names one, unless `form` does.

    Raise InvalidInput for anything else.
    """
    if output in forms or output in FORMER:
        return Target(FORMER.get(form or output, form or output))
    found = FORMER.get(form, form) or SUFFIXES.get(Path(output).suffix, "")
    if found not in forms:
        ends = [suffix for suffix, known in SUFFIXES.items() if known in forms]
        rule = f"must be {', '.join(forms)}, or a file that ends in {', '.join(ends)}"
        raise errors.InvalidInput(command, "--output", output, rule)
    return Target(found, output)


def deliver(drawn: str, target: Target) -> None:
    """Print a document, or write it to the target's file."""
    if not target.file:
        typer.echo(drawn, nl=False)
        return
    try:
        Path(target.file).write_text(drawn, encoding="utf-8")
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        hint = "choose another --output"
        raise errors.Unavailable(what, where=target.file, hint=hint) from error


def write(lines: Iterable[Line], target: Target) -> None:
    """Print lines of spans in their colours, or write them to the target's file without."""
    if target.file:
        deliver(plain(lines), target)
    else:
        show(lines)


def width() -> int:
    """Characters of a line of standard output, from $COLUMNS or the terminal."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def show(lines: Iterable[Line]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width())
    for line in lines:
        spans = ((span.text, _style(span.style, span.hue)) for span in line)
        console.print(Text.assemble(*spans), soft_wrap=True)


def _style(style: str, hue: int | None) -> str:
    """Rich's style; a network's colour replaces any other."""
    own = STYLES.get(style, "")
    if hue is None:
        return own
    from weft.observe.render import colours

    return f"{'bold ' if 'bold' in own else ''}{colours.colour(hue).terminal}"


def plain(lines: Iterable[Line]) -> str:
    """Lines of spans without colours."""
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in lines)


def counting(report: Report, what: str) -> Callable[[Mapping[str, object]], None]:
    """Return a listener that reports progress from events.

    Events with `ready` and `total` report a fraction, those with `step` an open end.
    """

    def listen(event: Mapping[str, object]) -> None:
        ready, total = event.get("ready"), event.get("total")
        if isinstance(ready, int) and isinstance(total, int):
            report(what, ready / total)
        elif isinstance(event.get("step"), str):
            report(str(event["step"]), None)

    return listen


@contextlib.contextmanager
def progress(output: Output) -> Iterator[Report]:
    """Show a bar on standard error during a long step; nothing for documents and in pipes."""
    if output is not Output.text or not sys.stderr.isatty():
        yield lambda _what, _fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<32}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(what: str, fraction: float | None) -> None:
            if what not in tasks:
                for earlier in tasks.values():  # earlier steps are done
                    bar.update(earlier, total=1.0, completed=1.0)
                tasks[what] = bar.add_task(what, total=None if fraction is None else 1.0)
            bar.update(tasks[what], completed=fraction)

        yield report


@contextlib.contextmanager
def working(output: Output, what: str) -> Iterator[None]:
    """Show a bar without an end during one step of unknown length."""
    with progress(output) as report:
        report(what, None)
        yield


def program() -> str:
    """How to call this program in a hint that can be pasted: as kubectl's plugin if it is called
    so, `weft` if $PATH has it, else its path."""
    called = sys.argv[0]
    if os.path.basename(called) == PLUGIN:
        return "kubectl weft"
    if not os.path.basename(called).startswith("weft"):
        return "weft"  # as a module, or by another program
    found = shutil.which("weft")
    if found and os.path.exists(called) and os.path.samefile(found, called):
        return "weft"
    return shlex.quote(called)
