"""The `weft` command: finds the command that is called and tells of its errors.

The one place where an error becomes words: one red sentence and a hint, or JSON; never a
traceback. A command's module is imported when that command is called, so `weft --help` is quick.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import itertools
import json
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence

import typer

import weft
from weft import errors
from weft.cli import labs, output

VARIABLE = "_WEFT_COMPLETE"  # a shell asks by it what may come next
# name: (module, what it does). The module has `app`, a group, or `command`, a function.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "check": ("weft.cli.check", "Find what is wrong with manifests before they are applied."),
    "matrix": (
        "weft.cli.matrix",
        "Show who reaches whom on a network, and what is not as expected.",
    ),
    "topology": ("weft.cli.topology", "Draw the networks of a lab or node, or what carries them."),
    "doctor": ("weft.cli.doctor", "Check a machine before the first run, and a cluster after."),
    "completion": ("weft.cli.completion", "Complete commands and options in bash, zsh or fish."),
    "cluster-manager": ("weft.cli.cluster_manager", "Decide which pod gets what on which network."),
    "node": ("weft.cli.node", "Run the agent of one node."),
}


def application(argv: Sequence[str]) -> typer.Typer:
    """The command line as these arguments need it: one command for real, the rest as listed."""
    app = typer.Typer(
        name="weft",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_weft)
    wanted = next((word for word in argv if not word.startswith("-")), "")
    for name, (module, summary) in _known(wanted).items():
        if name != wanted:
            app.command(name, help=summary)(_listed)
            continue
        loaded = importlib.import_module(module)
        if hasattr(loaded, "app"):
            app.add_typer(loaded.app, name=name, help=summary)
        else:
            kind = getattr(loaded, "COMMAND_CLASS", None)
            app.command(name, cls=kind)(loaded.command)
    return app


def _known(wanted: str) -> Mapping[str, tuple[str, str]]:
    """The commands to choose from: those of other packages too, unless one of weft's is called."""
    if wanted in COMMANDS:
        return COMMANDS
    known = {**COMMANDS, **labs.commands()}
    if wanted in labs.OWN_COMMANDS and wanted not in known:
        raise labs.missing(f"weft {wanted}")
    return known


def _listed() -> None:
    """Stands for a command that these arguments do not call."""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"weft {weft.__version__}")
        raise typer.Exit


def _weft(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Overlay networks for virtual machines and pods on Kubernetes, on OVN."""


def wants_json(argv: Sequence[str]) -> bool:
    """Whether these arguments ask for JSON; needed also when they cannot be parsed."""
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    pairs = itertools.pairwise(own)
    return (
        "--output=json" in own
        or "-ojson" in own
        or any(flag in ("--output", "-o") and value == "json" for flag, value in pairs)
    )


def fail(error: errors.WeftError, *, as_json: bool) -> None:
    """Say what went wrong, where, and what to do about it."""
    if as_json:
        told = {"error": error.what, "where": error.where, "hint": error.hint, "retry": error.retry}
        typer.echo(json.dumps(told))
        return
    typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True, color=output.color())
    if error.hint:
        typer.echo(f"  {pasteable(error.hint)}", err=True)


def pasteable(hint: str) -> str:
    """The hint with weft's commands as this one was called, so that they can be pasted."""
    known = "|".join((*COMMANDS, *labs.OWN_COMMANDS))
    return re.sub(rf"\bweft (?=(?:{known})\b)", lambda _: f"{output.program()} ", hint)


def main() -> int:
    """Run the command line of this process; its exit status."""
    argv = sys.argv[1:]
    if VARIABLE in os.environ:
        return _complete()
    as_json = wants_json(argv)
    _show_what_can_be_shown()
    try:
        status = _run(argv, as_json)
        if sys.stdout is not None:  # it is where the caller has closed it
            sys.stdout.flush()  # at the interpreter's end nobody could be told
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except errors.WeftError as error:
        fail(error, as_json=as_json)
        return 1
    except Exception as error:
        if os.environ.get("WEFT_DEBUG"):
            traceback.print_exc()
        fail(_told(error), as_json=as_json)
        return 1


def _complete() -> int:
    """Tell a shell what may come next; nothing where that cannot be said."""
    from weft.cli import completion

    with contextlib.suppress(Exception):
        application(completion.typed())(prog_name="weft")
    return 0


def _run(argv: Sequence[str], as_json: bool) -> int:
    try:
        result = application(argv)(prog_name="weft", standalone_mode=not as_json)
        return result if isinstance(result, int) else 0
    except typer.TyperException as error:  # the arguments are wrong; otherwise said by typer
        fail(errors.WeftError(error.format_message(), where="command line"), as_json=True)
        return error.exit_code
    except typer.Abort:
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _told(error: Exception) -> errors.WeftError:
    """What nobody foresaw; but that a disk is full can happen to every command."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = str(error.filename or "output")
        return errors.Unavailable(
            "cannot be written: no space is left", where=where, hint="free some and run it again"
        )
    return errors.WeftError(
        f"this should not have happened: {type(error).__name__}: {error}",
        hint="run it again with WEFT_DEBUG=1 to see the place in the code, and report it",
    )


def _show_what_can_be_shown() -> None:
    """A terminal of few characters gets question marks for the others, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
