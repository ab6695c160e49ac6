"""Prints `weft lab status`: a line for each node, then its virtual machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from weft.cli import columns


def show(found: Mapping[str, Any]) -> None:
    if not found["running"]:
        fate = "stopped; its objects are kept" if found["exists"] else "not there"
        typer.echo(f"Lab {found['name']!r} is {fate}.")
        return
    cluster = found.get("cluster", {})
    ready = {one["name"]: one["ready"] for one in cluster.get("nodes", [])}
    tables = [_nodes(found["services"], ready)]
    if cluster.get("vms"):
        tables.append(_machines(cluster["vms"]))
    for table in tables:
        typer.echo("\n".join([*columns.aligned(table), ""]))
    for line in _faults(cluster.get("nodes", [])):
        typer.echo(line + "\n")
    for line in _notes(found["services"]):
        typer.echo(line + "\n")
    if cluster:
        typer.echo(f"API: https://127.0.0.1:{found['lab']['port']} {cluster['api']}")
    if found.get("console"):
        typer.echo(f"console: {found['console']} (for one browser; then there is another one)")
    typer.echo(f"KUBECONFIG: {found['kubeconfig']}")
    typer.echo(f"logs: {found['folder']}/logs")


def _nodes(services: Sequence[Mapping[str, Any]], ready: Mapping[str, bool]) -> list[list[str]]:
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for service in services:
        parts.setdefault(service["node"] or "lab", []).append(service)
    rows = [["node", "ready", "restarts", "up", "not up"]]
    for node, running in parts.items():
        up = [_short(one) for one in running if one["state"] == "running"]
        down = [
            f"{_short(one)} ({one['state']})"
            for one in running
            if one["state"] not in ("running", "done")
        ]
        restarts = str(sum(one["restarts"] for one in running))
        is_ready = ("yes" if ready[node] else "no") if node in ready else ""
        rows.append([node, is_ready, restarts, " ".join(up), " ".join(down)])
    return rows if any(row[-1] for row in rows[1:]) else [row[:-1] for row in rows]


def _faults(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each fault once, with the names of all nodes that have it."""
    messages: dict[str, list[str]] = {}
    for node in nodes:
        if message := node.get("faults"):
            messages.setdefault(message, []).append(str(node["name"]))
    return [f"{', '.join(names)}: {message}" for message, names in messages.items()]


def _notes(services: Sequence[Mapping[str, Any]]) -> list[str]:
    """The notes that services have for a user, such as a database that was replaced."""
    return [f"{one['name']}: {one['note']}" for one in services if one.get("note")]


def _machines(vms: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    rows = [["virtual machine", "phase", "node", "addresses"]]
    for vm in vms:
        name = f"{vm['namespace']}/{vm['name']}"
        rows.append([name, vm["phase"], vm["node"], " ".join(vm["addresses"])])
    return rows


def _short(service: Mapping[str, Any]) -> str:
    return str(service["name"]).rpartition("/")[2]
