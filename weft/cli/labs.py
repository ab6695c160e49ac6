"""Finds the package weft-lab by its entry points: its commands, and the labs of this machine."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from weft import errors

if TYPE_CHECKING:
    from weft.host import process
    from weft.observe.checks import Finding
    from weft.observe.explain.collect import Explorer
    from weft.observe.reach import Matrix
    from weft.observe.reading import Addresses
    from weft.policy import netpolicy

PACKAGE = "weft-lab"
COMMANDS = "weft.commands"  # a mapping: name of a command to its module and summary
LABS = "weft.labs"  # an object of class Labs
OWN_COMMANDS = ("demo", "lab", "vm")  # of weft-lab, known also without it


class Labs(Protocol):
    """The labs of this machine. An empty `lab` is the one that all commands use by default."""

    def owner(self, kubeconfig: Path) -> str:
        """The name of the lab whose kubeconfig this is; empty if it is no lab's."""

    def kubeconfig(self, lab: str) -> Path:
        """Where the lab's kubeconfig is, if there is such a lab."""

    def machine_findings(self) -> Sequence[Finding]:
        """Whether this machine can run a lab."""

    def is_running(self, lab: str) -> bool: ...

    def databases(self, lab: str) -> AbstractContextManager[Sequence[Addresses]]:
        """Where each node's databases listen. Raises Unavailable if the lab does not run."""

    async def measure(
        self,
        lab: str,
        network: tuple[str, str],
        question: netpolicy.Connection,
        *,
        ipv6: bool,
        patience: float,
    ) -> Matrix:
        """Who reaches whom on `network`, a name and the namespace of a NAD.

        `patience` is in seconds, for each probe. Raises Unavailable if the lab does not run.
        """

    def command(self, lab: str, node: str, module: str) -> AbstractContextManager[process.Command]:
        """What runs a module of weft on a node. Raises Unavailable if the lab does not run."""

    def explorer(self, lab: str) -> AbstractAsyncContextManager[Explorer]:
        """What looks at the lab's nodes and sends packets. Raises Unavailable if none runs."""

    def machine_problems(self, obj: Mapping[str, Any]) -> Iterable[errors.InvalidInput]:
        """What is wrong with a VirtualMachine or a VirtualMachineInstance."""


def commands() -> dict[str, tuple[str, str]]:
    """The commands of other packages: name to module and summary."""
    return {name: entry for table in _provided(COMMANDS) for name, entry in table.items()}


@functools.cache
def installed() -> Labs | None:
    """The labs of this machine, if weft-lab is installed."""
    return next(iter(_provided(LABS)), None)


def needed(what: str, *, otherwise: str = "") -> Labs:
    """The labs of this machine. Raise Unavailable, naming `what` needs them, without weft-lab."""
    found = installed()
    if found is None:
        raise missing(what, otherwise=otherwise)
    return found


def missing(what: str, *, otherwise: str = "") -> errors.Unavailable:
    """The error that weft-lab is not installed; `otherwise` is another remedy."""
    hint = f"pip install {PACKAGE}"
    return errors.Unavailable(
        f"{what} is in the package {PACKAGE}, which is not installed",
        hint=f"{hint}, or {otherwise}" if otherwise else hint,
    )


def _provided(group: str) -> list[Any]:
    from importlib import metadata  # takes longer than the rest of a command's start

    return [point.load() for point in metadata.entry_points(group=group)]
