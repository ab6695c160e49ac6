"""Runs the `weft` command line: finds the command that is called, and reports its errors.

Errors become text here only: one red sentence and a hint, or JSON; never a traceback. A command's
module is imported when that command is called, so `weft --help` is quick.
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

_NO_FILES = 4  # kubectl's directive: what is not listed is no file either
VARIABLE = "_WEFT_COMPLETE"  # set by a shell that wants completions
# name: (module, summary). The module has `app`, a group, or `command`, a function.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "check": ("weft.cli.check", "Find what is wrong in manifests before you apply them."),
    "plan": ("weft.cli.plan", "Say what an edit of networks or policies would do."),
    "matrix": ("weft.cli.matrix", "Show which pods reach which on a network."),
    "explain": (
        "weft.cli.explain",
        "Say whether one pod or VM reaches another, and if not, who stops it.",
    ),
    "policy": ("weft.cli.policy", "Make policies of what was seen."),
    "capture": ("weft.cli.capture", "Capture the packets of one NIC of a pod or VM."),
    "flows": ("weft.cli.flows", "List who talks with whom now, allowed and denied."),
    "networks": ("weft.cli.networks", "List networks, their members and what is wrong with them."),
    "ip": ("weft.cli.ip", "List addresses and who holds them; reserve and release them."),
    "topology": ("weft.cli.topology", "Draw networks, OVN's switches, or nodes and tunnels."),
    "console": ("weft.cli.console", "Serve pages about networks and machines to your browser."),
    "doctor": ("weft.cli.doctor", "Check whether this machine and the cluster are ready."),
    "support-bundle": (
        "weft.cli.supportbundle",
        "Collect state and logs for a bug report, without secrets.",
    ),
    "completion": ("weft.cli.completion", "Print the completion script for bash, zsh or fish."),
    "cluster-manager": (
        "weft.cli.cluster_manager",
        "Run the cluster manager, which allocates addresses.",
    ),
    "node": ("weft.cli.node", "Run the node agent, which writes the node's OVN zone."),
    "uninstall": ("weft.cli.uninstall", "Remove what weft has made on a node or in a cluster."),
    "daemon": ("weft.cli.daemon", "Run one daemon of a node's OVN zone or Open vSwitch."),
}


def application(argv: Sequence[str]) -> typer.Typer:
    """The command line for `argv`: the module of the called command is imported, no other."""
    app = typer.Typer(
        name="weft",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help, as kubectl shows it; Rich takes half of the time
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_weft)
    command = next((word for word in argv if not word.startswith("-")), "")
    for name, (module, summary) in _known(command).items():
        if name != command:
            app.command(name, help=summary)(_listed)
            continue
        loaded = importlib.import_module(module)
        if hasattr(loaded, "app"):
            app.add_typer(loaded.app, name=name, help=summary)
        else:
            kind = getattr(loaded, "COMMAND_CLASS", None)
            app.command(name, cls=kind)(loaded.command)
    return app


def _known(command: str) -> Mapping[str, tuple[str, str]]:
    """All commands; those of other packages only if `command` is not weft's own."""
    if command in COMMANDS:
        return COMMANDS
    known = {**COMMANDS, **labs.commands()}
    if command in labs.OWN_COMMANDS and command not in known:
        raise labs.missing(f"weft {command}")
    return known


def _listed() -> None:
    """A command that is only listed in the help."""


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
    """Whether `argv` asks for JSON; works also if the arguments are invalid."""
    own = list(argv[: argv.index("--")] if "--" in argv else argv)
    pairs = itertools.pairwise(own)
    return (
        "--output=json" in own
        or "-ojson" in own
        or any(flag in ("--output", "-o") and value == "json" for flag, value in pairs)
    )


def fail(error: errors.WeftError, *, as_json: bool) -> None:
    """Print what went wrong, where, and the remedy: to stderr, or as JSON to stdout."""
    if as_json:
        data = {"error": error.what, "where": error.where, "hint": error.hint, "retry": error.retry}
        typer.echo(json.dumps(data))
        return
    typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True, color=output.color())
    if error.hint:
        typer.echo(f"  {pasteable(error.hint)}", err=True)


def pasteable(hint: str) -> str:
    """The hint with weft's commands as the user called this one, so that they can be pasted."""
    known = "|".join((*COMMANDS, *labs.OWN_COMMANDS))
    return re.sub(rf"\bweft (?=(?:{known})\b)", lambda _: f"{output.program()} ", hint)


def main() -> int:
    """Run the command line of this process; returns its exit status."""
    argv = sys.argv[1:]
    if VARIABLE in os.environ:
        return _complete()
    as_json = wants_json(argv)
    _replace_unencodable()
    try:
        status = _run(argv, as_json)
        if sys.stdout is not None:  # it is None if the caller closed it
            sys.stdout.flush()  # here an error can still be reported
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except errors.WeftError as error:
        fail(error, as_json=as_json)
        return error.exit_status
    except Exception as error:
        if os.environ.get("WEFT_DEBUG"):
            traceback.print_exc()
        fail(_unexpected(error), as_json=as_json)
        return 1


def _complete() -> int:
    """Print completions for a shell; nothing if an error occurs."""
    from weft.cli import completion

    with contextlib.suppress(Exception):
        application(completion.typed())(prog_name="weft")
    return 0


def complete_plugin() -> int:
    """Print what may come next after `kubectl weft` and the arguments, as kubectl asks its plugins:
    a completion on each line, then a colon and kubectl's directive."""
    words = ["weft", *sys.argv[1:]]
    os.environ[VARIABLE] = "complete_bash"
    os.environ["COMP_WORDS"] = " ".join(words)
    os.environ["COMP_CWORD"] = str(len(words) - 1)
    with contextlib.suppress(SystemExit):
        _complete()
    typer.echo(f":{_NO_FILES}")
    return 0


def _run(argv: Sequence[str], as_json: bool) -> int:
    try:
        called = output.program()
        name = called if called == "kubectl weft" else "weft"
        result = application(argv)(prog_name=name, standalone_mode=not as_json)
        return result if isinstance(result, int) else 0
    except (
        typer.TyperException
    ) as error:  # invalid arguments; typer prints them unless JSON is wanted
        fail(errors.WeftError(error.format_message(), where="command line"), as_json=True)
        return error.exit_code
    except typer.Abort:
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _unexpected(error: Exception) -> errors.WeftError:
    """The error for an exception that no command handles: a full disk, or a bug."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = str(error.filename or "output")
        return errors.Unavailable(
            "cannot be written: no space is left",
            where=where,
            hint="free some space and run it again",
        )
    return errors.WeftError(
        f"this is a bug in weft: {type(error).__name__}: {error}",
        hint="run it again with WEFT_DEBUG=1 for a traceback, and report it",
    )


def _replace_unencodable() -> None:
    """Print question marks for characters that the terminal's encoding lacks, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
