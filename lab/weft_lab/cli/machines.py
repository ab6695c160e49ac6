"""Reads which virtual machine a command means."""

from __future__ import annotations

from typing import Annotated

import typer

from weft import errors

Machine = Annotated[str, typer.Argument(help="The virtual machine: NAME or NAMESPACE/NAME.")]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="Its namespace, if VM names none.")
]


def named(vm: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of a virtual machine written as NAME or NAMESPACE/NAME.

    Raise InvalidInput for any other form.
    """
    space, slash, name = vm.rpartition("/")
    if not name or "/" in space or (slash and not space):
        raise errors.InvalidInput("command line", "VM", vm, "must be NAME or NAMESPACE/NAME")
    return space or namespace, name
