#!/usr/bin/env python3
"""Write the pages of docs/reference that the code itself tells.

python -m tools.reference            write them
python -m tools.reference --check    exit status 1 if one is out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from tools import annotationkeys
from weft import eventreasons, reasons
from weft.api import netfields
from weft.app import settings
from weft.cli import main
from weft.metrics import PREFIX, Metric
from weft_lab import reasons as lab

PAGES = Path(__file__).resolve().parents[1] / "docs/reference"
REASONS: tuple[reasons.EventReason, ...] = (*reasons.Reason, *lab.REASONS)
MADE = "<!-- Made by `python -m tools.reference`. Edit the code, not this page. -->"


def settings_page() -> str:
    """Each setting of the two processes, with its flag, variable, default and meaning."""
    lines = [
        *("# Settings", "", MADE, ""),
        "Each setting is a flag and an environment variable. A flag wins over its variable.",
    ]
    for title, command, known in (
        ("Cluster manager", "weft cluster-manager", settings.CLUSTER_MANAGER),
        ("Node agent", "weft node", settings.AGENT),
    ):
        lines += ["", f"## {title}", "", f"`{command}`", ""]
        lines += _table(
            ("flag", "variable", "default", "meaning"),
            ((f"`{s.flag}`", f"`{s.env}`", _default(s.default), _meaning(s)) for s in known),
        )
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value == "" else f"`{value}`"


def _meaning(setting: settings.Setting[Any]) -> str:
    limits = ""
    if setting.minimum is not None:
        most = f" to {setting.maximum}" if setting.maximum is not None else " or more"
        limits = f" ({setting.minimum}{most})"
    return setting.help + limits


def commands_page() -> str:
    """Each command with its arguments and options, as `--help` tells them."""
    lines = ["# Commands", "", MADE, ""]
    lines.append("`weft COMMAND --help` says the same. `weft --version` prints the version.")
    for name in typer.main.get_command(main.application([])).commands:  # type: ignore[attr-defined]
        group = typer.main.get_command(main.application([name]))
        lines += _command(group.commands[name], f"weft {name}")  # type: ignore[attr-defined]
    return "\n".join(lines) + "\n"


def _command(command: Any, name: str) -> Iterator[str]:
    yield from ("", f"## {name}" if name.count(" ") == 1 else f"### {name}", "")
    yield from _paragraphs(command.help or command.short_help or "")
    below = getattr(command, "commands", None)
    if below:
        if command.invoke_without_command:
            yield from _usage_and_parameters(command, name)
        for each in below.values():
            if not each.hidden:
                yield from _command(each, f"{name} {each.name}")
        return
    yield from _usage_and_parameters(command, name)


def _usage_and_parameters(command: Any, name: str) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([name, "[OPTIONS]" if options else "", *map(_usage, arguments)])
    yield from ("", f"    {' '.join(usage.split())}", "")
    rows = [(f"`{_usage(each)}`", "", each.help or "") for each in arguments]
    rows += [(_flags(each), _shown(each), each.help or "") for each in options]
    yield from _table(("argument or option", "default", "meaning"), rows) if rows else ()


def _paragraphs(text: str) -> Iterator[str]:
    yield from (line.strip() for line in text.split("\f")[0].strip().splitlines())


def _usage(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper()).strip("[]").removesuffix("...")
    if argument.nargs == -1:
        name += "..."
    return name if argument.required else f"[{name}]"


def _flags(option: Any) -> str:
    return ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))


def _shown(option: Any) -> str:
    default = option.default
    if option.required:
        return "required"
    if default is None or callable(default) or default in ("", ()) or option.is_flag:
        return "on" if default is True and option.secondary_opts else ""
    return f"`{default.value if hasattr(default, 'value') else default}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = (cell.replace("|", "&#124;").replace("\\[", "[") for cell in row)
        yield f"| {' | '.join(cells)} |"


def events_page() -> str:
    """Each reason of an Event, with what it says and what to do."""
    lines = [
        *("# Events", "", MADE, ""),
        "Every mistake is an Event on the object that has to be changed. Its message names the",
        "object, the field, the value, the rule and the remedy. Below, … stands for what differs.",
        "What a node that is not ready says stands in [readiness](readiness.md).",
    ]
    for part, registry in ((None, reasons.Reason), ("In the lab", lab.REASONS)):
        lines += ["", f"## {part}"] if part else []
        found = list(registry)
        for about in dict.fromkeys(one.about for one in found):
            article = "an" if about[0] in "AEIOU" and not about.startswith("User") else "a"
            lines += ["", f"{'###' if part else '##'} At {article} {about}", ""]
            rows = (
                (f"`{one}`" + ("" if one.type == eventreasons.WARNING else f" ({one.type})"), *case)
                for one in found
                if one.about == about
                for case in one.cases
            )
            lines += _table(("reason", "the message says", "meaning, and what to do"), rows)
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Each metric with its type and meaning."""
    lines = [
        *("# Metrics", "", MADE, ""),
        "`/metrics` of the address that `--health` names, in Prometheus' text format. Labels name",
        "networks, nodes and kinds, never pods.",
        "",
    ]
    rows = (
        (f"`{PREFIX}{one}`", one.type, ", ".join(one.labels), one.of, one.help) for one in Metric
    )
    lines += _table(("metric", "type", "labels", "process", "meaning"), rows)
    return "\n".join(lines) + "\n"


def annotations_page() -> str:
    """Each annotation, label and finalizer, with who writes it and how."""
    lines = ["# Annotations, labels and finalizers", "", MADE]
    for title, by in (
        ("You write these", (annotationkeys.YOU,)),
        ("weft writes these; others leave them alone", annotationkeys.WEFT),
        ("Others write these, and weft reads them", (annotationkeys.OTHERS,)),
    ):
        lines += ["", f"## {title}", ""]
        rows = (
            (f"`{one.key}`", one.on, one.by, one.form, one.says)
            for one in annotationkeys.ALL
            if one.by in by
        )
        lines += _table(("key", "on", "written by", "format", "says"), rows)
    return "\n".join(lines) + "\n"


_KINDS = {str: "string", int: "number", bool: "boolean", dict: "object", list: "list"}


def nad_page() -> str:
    """The page as it is, with the fields of a configuration and of its `dhcp` as the parser has."""
    page = (PAGES / "nad.md").read_text()
    tables = iter((netfields.USED, netfields.DHCP))

    def filled(found: re.Match[str]) -> str:
        rows = (
            (f"`{name}`", _KINDS[field.type], field.default, field.rule)
            for name, field in next(tables).items()
        )
        table = _table(("field", "type", "default", "rule"), rows)
        return "\n".join((found[1], "", *table, "", found[2]))

    return re.sub(r"(<!-- Made by.*? -->).*?(<!-- The end of .*? -->)", filled, page, flags=re.S)


def pages() -> dict[Path, str]:
    made = {
        "settings": settings_page,
        "commands": commands_page,
        "events": events_page,
        "metrics": metrics_page,
        "annotations": annotations_page,
        "nad": nad_page,
    }
    return {PAGES / f"{name}.md": page() for name, page in made.items()}


if __name__ == "__main__":
    made = pages()
    if "--check" in sys.argv:
        old = [path.name for path, text in made.items() if path.read_text() != text]
        sys.exit(f"out of date: {', '.join(old)}; run python -m tools.reference" if old else 0)
    for path, text in made.items():
        path.write_text(text)
