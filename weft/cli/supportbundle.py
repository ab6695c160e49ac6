"""Collects state and logs for a bug report: `weft support-bundle`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from weft import __version__, errors
from weft.cli import clusters, output
from weft.observe import bundle, checks, survey


def command(
    file: Annotated[
        str, typer.Argument(help="File to write; by default weft-support-TIME.tar.gz.")
    ] = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace in which weft runs.")
    ] = "weft-system",
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
) -> None:
    """Collect what is needed to find a fault, in one archive.

    It has networks, NADs, policies, nodes, pods (without environment, arguments and volumes),
    Events, weft's logs, and what weft doctor says. Secrets are not read, and what looks like a
    password, token or key is removed. Look through it before you give it away.
    """
    now = datetime.now(UTC)
    target = Path(file or f"weft-support-{now:%Y%m%d-%H%M%S}.tar.gz")
    if target.exists():
        raise errors.WeftError("exists already", where=str(target), hint="choose another file")
    cluster = clusters.choose(kubeconfig, context, lab)
    with output.working(output.Output.text, "reading the cluster"):
        files = asyncio.run(_files(cluster, namespace, now))
    try:
        target.touch(mode=0o600)
        target.write_bytes(bundle.packed(files, now))
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise errors.WeftError(what, where=str(target), hint="choose another file") from None
    typer.echo(f"Wrote {target}: {len(files)} files. Look through them before you give them away.")


async def _files(cluster: clusters.Cluster, namespace: str, now: datetime) -> list[tuple[str, str]]:
    async with cluster.client() as api:
        found = checks.judge(await survey.read(api, now))
        report = json.dumps([asdict(each) for each in found], indent=1)
        own = [("weft.txt", f"weft {__version__}, {now:%Y-%m-%dT%H:%M:%SZ}\n")]
        own.append(("doctor.json", bundle.blanked(report)))
        return own + [each async for each in bundle.read(api, namespace)]
