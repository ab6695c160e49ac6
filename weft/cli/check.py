"""`weft check`: what is wrong with manifests, before they are applied."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from weft import errors
from weft.app import cluster, settings
from weft.cli import mistakes, output
from weft.cli.options import option


def command(
    files: Annotated[
        list[str], typer.Argument(help="Files with YAML or JSON; - is standard input.")
    ],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Of objects that name none.")
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
    """Check network definitions, policies, pods and virtual machines in files; exit status 1 if any
    is wrong.

    To check what a cluster has:
    kubectl get net-attach-def,multi-policy,vm -A -o yaml | weft check -
    """
    options = settings.ClusterManager(
        underlay_mtu=underlay_mtu,
        reserved_subnets=reserved_subnets,
        global_namespaces=global_namespaces,
    )
    rules = cluster.rules(options)
    documents = [(file, document) for file in files for document in _documents(file)]
    found = list(mistakes.find(documents, rules, namespace))
    output.emit(form, [asdict(one) for one in found], lambda: _show(found, len(documents)))
    if any(one.is_error for one in found):
        raise typer.Exit(1)


def _documents(file: str) -> Iterator[Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        yield from yaml.safe_load_all(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise errors.WeftError(f"cannot be read: {reason}", where=file) from None
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise errors.WeftError(f"is neither YAML nor JSON: {said}", where=file) from None


def _show(found: list[mistakes.Mistake], count: int) -> None:
    for one in found:
        color = typer.colors.RED if one.is_error else typer.colors.YELLOW
        word = typer.style("error" if one.is_error else "warning", fg=color)
        typer.echo(f"{one.file}: {word}: {one.message}", color=output.color())
    if not found:
        typer.echo(f"Nothing is wrong with {count} object{'' if count == 1 else 's'}.")
