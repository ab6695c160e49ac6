"""How does `weft lab status` look? A line for each node, then its virtual machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer


def show(found: Mapping[str, Any]) -> None:
    from rich.console import Console

    if not found["running"]:
        fate = "stopped; its objects are kept" if found["exists"] else "not there"
        typer.echo(f"Lab {found['name']!r} is {fate}.")
        return
    cluster = found.get("cluster", {})
    console = Console()
    console.print(_nodes(found, {one["name"]: one["ready"] for one in cluster.get("nodes", [])}))
    if cluster.get("vms"):
        console.print(_machines(cluster["vms"]))
    if cluster:
        typer.echo(f"API: https://127.0.0.1:{found['lab']['port']} {cluster['api']}")
    typer.echo(f"KUBECONFIG: {found['kubeconfig']}")
    typer.echo(f"logs: {found['folder']}/logs")


def _nodes(found: Mapping[str, Any], ready: Mapping[str, bool]) -> Any:
    table = _table("node", "ready", "up", "not up", "restarts")
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for service in found["services"]:
        parts.setdefault(service["node"] or "lab", []).append(service)
    for node, services in parts.items():
        table.add_row(
            node,
            ("yes" if ready[node] else "no") if node in ready else "",
            " ".join(_short(one) for one in services if one["state"] == "running"),
            " ".join(
                f"{_short(one)} ({one['state']})"
                for one in services
                if one["state"] not in ("running", "done")
            ),
            str(sum(one["restarts"] for one in services)),
        )
    return table


def _machines(vms: Sequence[Mapping[str, Any]]) -> Any:
    table = _table("virtual machine", "phase", "node", "addresses")
    for vm in vms:
        name = f"{vm['namespace']}/{vm['name']}"
        table.add_row(name, vm["phase"], vm["node"], " ".join(vm["addresses"]))
    return table


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(column)
    return table


def _short(service: Mapping[str, Any]) -> str:
    return str(service["name"]).rpartition("/")[2]
