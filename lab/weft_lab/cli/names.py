"""Defines the options that name a lab, and the hints that commands print."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from weft import errors
from weft.cli import output
from weft_lab import spec, state

Name = Annotated[
    str, typer.Option("--name", "--lab", help="Name of the lab. Several labs can run at once.")
]
Chosen = Annotated[
    str,
    typer.Option(
        "--name", "--lab", help="Name of the lab. By default the lab of $KUBECONFIG, else weft."
    ),
]


class LabCommand(TyperCommand):
    """A command of the lab; it refuses `-n` as the lab's name, which it once was."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        known = {opt for param in self.params for opt in param.opts}
        own = args[: args.index("--")] if "--" in args else args
        if not ctx.allow_interspersed_args:  # options after the first word are not this command's
            words = [place for place, word in enumerate(own) if not word.startswith("-")]
            named = [place for place in words if place == 0 or own[place - 1] not in known | {"-n"}]
            own = own[: named[0]] if named else own
        if "-n" not in known and any(word[:2] == "-n" for word in own):
            rule = "is a namespace in all commands: a lab is named by --name"
            raise errors.InvalidInput(ctx.command_path, "-n", None, rule)
        return super().parse_args(ctx, args)


def chosen(name: str) -> str:
    """The name of the lab that a command uses: `name`, else the lab of $KUBECONFIG, else weft."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    own = state.of_kubeconfig(Path(kubeconfig).expanduser()) if kubeconfig else ""
    return name or own or spec.DEFAULT_NAME


def option(name: str, *, word: str = "--name") -> str:
    """The option that chooses lab `name` in a hint; empty for the default lab."""
    return "" if name == spec.DEFAULT_NAME else f" {word} {name}"


def export(kubeconfig: str) -> str:
    """The shell command that makes kubectl and weft use this kubeconfig."""
    return f"export KUBECONFIG={shlex.quote(kubeconfig)}"


@contextlib.contextmanager
def interruptible(name: str) -> Iterator[None]:
    """On Ctrl-C, print whether the lab still runs, and the command that ends or starts it."""
    try:
        yield
    except KeyboardInterrupt:
        program = output.program()
        peer = state.Folder.of(name).connect()
        if peer is None:
            left = f"nothing of lab {name!r} runs; {program} lab up{option(name)} starts it"
        else:
            peer.close()
            left = f"lab {name!r} goes on running; {program} lab down{option(name)} ends it"
        typer.echo(f"\nInterrupted: {left}.", err=True)
        raise
