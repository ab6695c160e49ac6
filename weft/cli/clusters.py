"""Chooses the cluster that a command works on, as kubectl does; the same for all commands.

`--kubeconfig` or `--lab`, else $KUBECONFIG, else the lab that commands use by default if there is
one, else `~/.kube/config`. `--context` chooses in the file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weft import errors
from weft.cli import labs

if TYPE_CHECKING:
    from weft.kube.client import Client

_FILE_HELP = "Kubeconfig. By default $KUBECONFIG, the lab weft, or ~/.kube/config."
Kubeconfig = Annotated[str, typer.Option("--kubeconfig", metavar="FILE", help=_FILE_HELP)]
Context = Annotated[
    str, typer.Option("--context", help="Context of the kubeconfig; by default its current one.")
]
Lab = Annotated[str, typer.Option("--lab", metavar="NAME", help="Use the lab of this name.")]
Name = Annotated[str, typer.Option("--name", hidden=True, help="The former name of --lab.")]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A kubeconfig and its context. `lab` is the lab that it belongs to, None if it is no lab's."""

    kubeconfig: str
    context: str = ""
    lab: str | None = None

    def client(self) -> Client:
        """A client of the cluster's API; raises Unavailable if the kubeconfig does not exist."""
        from weft.kube.client import Client  # slow to import, and only some commands connect

        return Client.from_kubeconfig(self.existing(), context=self.context)

    def existing(self) -> str:
        """The kubeconfig; raises Unavailable if it does not exist."""
        for file in self.kubeconfig.split(os.pathsep):
            if Path(file).expanduser().exists():
                return self.kubeconfig
        hint = "choose another with --kubeconfig"
        if self.lab is not None:
            hint = f"weft lab up --name {self.lab}" if self.lab else "weft lab up"
        what = "there is no such kubeconfig"
        raise errors.Unavailable(what, where=self.kubeconfig or "no cluster", hint=hint)


def choose(kubeconfig: str = "", context: str = "", lab: str = "", name: str = "") -> Cluster:
    """Return the cluster that the options choose; `name` is the former name of `lab`.

    Raise InvalidInput for options that contradict, and Unavailable if no cluster is found.
    """
    lab = lab or name
    if kubeconfig and lab:
        rule = "cannot be combined with --kubeconfig: both choose the cluster"
        raise errors.InvalidInput("command line", "--lab", lab, rule)
    if lab:
        return _lab(lab, context)
    chosen = kubeconfig or os.environ.get("KUBECONFIG", "")
    known = labs.installed()
    if chosen:
        own = known.owner(Path(chosen).expanduser()) if known else ""
        return Cluster(chosen, context, own or None)
    usual = Path.home() / ".kube" / "config"
    if known is not None and (known.kubeconfig("").exists() or not usual.exists()):
        return _lab("", context)
    if usual.exists():
        return Cluster(str(usual), context)
    hint = f"set KUBECONFIG, or try a lab: pip install {labs.PACKAGE}"
    raise errors.Unavailable("no cluster is chosen", where="command line", hint=hint)


def is_in_pod() -> bool:
    """Whether this runs in a pod, without a kubeconfig."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG")


def exists() -> bool:
    """Whether there is a cluster to work on, chosen or by default."""
    try:
        chosen = choose()
    except errors.WeftError:
        return False
    return any(Path(file).expanduser().exists() for file in chosen.kubeconfig.split(os.pathsep))


def _lab(lab: str, context: str) -> Cluster:
    found = labs.needed("a lab", otherwise="set KUBECONFIG")
    return Cluster(str(found.kubeconfig(lab)), context, lab)
