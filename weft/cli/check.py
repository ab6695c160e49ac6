"""Checks manifests before they are applied: `weft check`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from weft import errors
from weft.app import manageroptions, settings
from weft.cli import mistakes, output
from weft.cli.options import option
from weft.decode import budget, jsontext, yamltext


def command(
    files: Annotated[
        list[str], typer.Argument(help="Files with YAML or JSON; - is standard input.")
    ],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of objects that name none.")
    ] = "default",
    underlay_mtu: Annotated[int, option(settings.UNDERLAY_MTU)] = settings.UNDERLAY_MTU.default,
    reserved_subnets: Annotated[
        str, option(settings.RESERVED_SUBNETS)
    ] = settings.RESERVED_SUBNETS.default,
    global_namespaces: Annotated[
        str, option(settings.GLOBAL_NAMESPACES)
    ] = settings.GLOBAL_NAMESPACES.default,
    form: output.Option = output.Output.text,
) -> None:
    """Check NADs, policies, pods and virtual machines in files; exit status 1 if one has an error.

    Objects of other kinds are listed as not checked. To check a cluster's objects:
    kubectl get net-attach-def,multi-policy,vm -A -o yaml | weft check -
    """
    options = settings.ClusterManager(
        underlay_mtu=underlay_mtu,
        reserved_subnets=reserved_subnets,
        global_namespaces=global_namespaces,
    )
    rules = manageroptions.rules(options)
    read = [(file, document) for file in files for document in documents(file)]
    found = [twice for file, document in read for twice in _duplicates(file, document)]
    parsed = [(file, document.value) for file, document in read]
    found += mistakes.find(parsed, rules, namespace)
    count = mistakes.count(parsed)
    output.emit(form, [asdict(one) for one in found], lambda: _show(found, count))
    if any(one.is_error for one in found):
        raise typer.Exit(1)


def documents(file: str) -> Iterator[yamltext.Document]:
    """The documents of a file, "-" for standard input. Raise WeftError if it cannot be read."""
    try:
        yield from _parse(_read(file))
    except OSError as error:
        raise errors.WeftError(f"cannot be read: {error.strerror}", where=file) from None
    except UnicodeDecodeError:
        raise errors.WeftError("cannot be read: is not text", where=file) from None
    except budget.Exceeded as error:
        raise errors.WeftError(str(error), where=file, hint="check it in parts") from None
    except budget.Malformed as error:
        raise errors.WeftError(f"is neither YAML nor JSON: {error}", where=file) from None


def _read(file: str) -> str:
    """Reads one character more than the budget allows, so that a longer text breaks it."""
    most = budget.FILE.size + 1
    if file == "-":
        return sys.stdin.read(most)
    with Path(file).open(encoding="utf-8") as opened:
        return opened.read(most)


def _parse(text: str) -> Iterator[yamltext.Document]:
    """Tries JSON first where the text may be JSON, since YAML cannot express all of it."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            data = text.encode()
            value, keys = jsontext.parse_counted(data, budget.FILE)
            yield yamltext.Document(value, 1, tuple(jsontext.duplicates(data, keys)))
            return
        except budget.Exceeded:
            raise
        except budget.Malformed:
            pass  # flow style of YAML
    yield from yamltext.parse(text, budget.FILE)


def _duplicates(file: str, document: yamltext.Document) -> Iterator[mistakes.Mistake]:
    for one in document.duplicates:
        message = "appears twice in one object: only the last one would count"
        yield mistakes.Mistake(file, f"line {one.line}: {one.path} {message}")


_COLORS = {"error": typer.colors.RED, "warning": typer.colors.YELLOW}


def _show(found: list[mistakes.Mistake], count: int) -> None:
    tally = Counter(one.verdict for one in found)
    for one in found:
        word = typer.style(one.verdict, fg=_COLORS.get(one.verdict, typer.colors.CYAN))
        typer.echo(f"{one.file}: {word}: {one.message}", color=output.color())
    objects = f"{count} object{'' if count == 1 else 's'}"
    if not found:
        typer.echo(f"Nothing is wrong with {objects}.")
        return
    parts = [_counted(tally["error"], "error"), _counted(tally["warning"], "warning")]
    typer.echo(f"{objects}: {', '.join(parts)}, {tally['not checked']} not checked.")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
