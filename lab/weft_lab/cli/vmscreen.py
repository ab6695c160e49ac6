"""The command `weft vm screenshot`: a machine's screen, on any cluster with KubeVirt."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from weft import errors
from weft.cli import clusters, output
from weft.cli.clusters import Cluster
from weft.kube import resources
from weft.kube.client import NotFound
from weft_lab.cli.machines import Machine, Namespace, named

STANDARD_OUTPUT = "-"
_SCREENSHOT = "vnc/screenshot"


def screenshot(
    vm: Machine,
    file: Annotated[
        str, typer.Option("--file", "-f", help="Where to write it; - is standard output.")
    ] = "",
    namespace: Namespace = "default",
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    name: clusters.Name = "",
    form: output.Option = output.Output.text,
) -> None:
    """Take a picture of a virtual machine's screen, as PNG.

    Without --file it is VM.png in this folder.
    """
    space, machine = named(vm, namespace)
    cluster = clusters.choose(kubeconfig, context, lab, name)
    picture = asyncio.run(_fetch(cluster, space, machine))
    if file == STANDARD_OUTPUT:
        sys.stdout.buffer.write(picture)
        return
    path = Path(file or f"{machine}.png")
    try:
        path.write_bytes(picture)
    except OSError as error:
        rule = f"cannot be written: {error.strerror}"
        raise errors.InvalidInput("command line", "--file", str(path), rule) from error
    answer = {"namespace": space, "name": machine, "file": str(path), "bytes": len(picture)}
    output.emit(form, answer, lambda: typer.echo(f"{space}/{machine}: {path}"))


async def _fetch(cluster: Cluster, namespace: str, name: str) -> bytes:
    where = f"VirtualMachineInstance {namespace}/{name}"
    path = resources.VMI_CONSOLES.path(namespace, name, _SCREENSHOT)
    async with cluster.client() as api:
        try:
            return await api.content(path, where=where)
        except NotFound as error:
            error.hint = error.hint or f"start it first: weft vm start {namespace}/{name}"
            raise
