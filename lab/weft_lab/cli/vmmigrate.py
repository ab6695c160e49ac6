"""The commands `weft vm migrate` and `weft vm migrate-cancel`, for machines of any cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import typer

from weft import errors
from weft.cli import clusters, output
from weft.cli.clusters import Cluster
from weft.kube import cache, resources
from weft.kube.client import Client, Forbidden, Invalid, NotFound, Object
from weft.model import ObjectKey
from weft_lab.cli.machines import Machine, Namespace, named
from weft_lab.vm import (
    launcherpod,
    migration,
    migrationcost,
    migrationreport,
    status,
    targetpending,
)

Show = Callable[[str], None]

HOSTNAME = "kubernetes.io/hostname"
FIGURES_SECONDS = 5.0  # until the figures of a migration that has succeeded are there


def migrate(
    vm: Machine,
    namespace: Namespace = "default",
    node: Annotated[str, typer.Option(help="Move it to this node; else to any that fits.")] = "",
    budget: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="End with status 1 if the guest stood still for longer, such as 200ms.",
        ),
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the end of the migration.")
    ] = True,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    name: clusters.Name = "",
    form: output.Option = output.Output.text,
) -> None:
    """Move a running virtual machine to another node."""
    cluster = clusters.choose(kubeconfig, context, lab, name)
    space, machine = named(vm, namespace)
    limit = migrationreport.budget(budget) if budget else None
    if limit is not None and not wait:
        rule = "needs the end of the migration"
        raise errors.InvalidInput("command line", "--budget", budget, rule, hint="drop --no-wait")

    def show(phase: str) -> None:
        if form is output.Output.text:
            typer.echo(f"{space}/{machine}: {phase}", err=True)

    found = asyncio.run(_migrate(cluster, ObjectKey(space, machine), node, wait, show, limit))
    if not wait:
        text = f"{space}/{machine}: migration {found['migration']} is requested"
        output.emit(form, found, lambda: typer.echo(text))
        return
    output.emit(form, found, lambda: typer.echo("\n".join(migrationreport.lines(found))))
    if not found.get("budget", {}).get("kept", True):
        raise typer.Exit(1)


def cancel(
    vm: Machine,
    namespace: Namespace = "default",
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    name: clusters.Name = "",
    form: output.Option = output.Output.text,
) -> None:
    """Cancel the migration of a virtual machine; its guest stays where it is."""
    cluster = clusters.choose(kubeconfig, context, lab, name)
    space, machine = named(vm, namespace)
    found = asyncio.run(_cancel(cluster, ObjectKey(space, machine)))
    answer = {"namespace": space, "name": machine, "migration": found}
    output.emit(
        form, answer, lambda: typer.echo(f"{space}/{machine}: migration {found} is canceled")
    )


async def _migrate(
    cluster: Cluster, key: ObjectKey, node: str, wait: bool, show: Show, limit: int | None
) -> dict[str, Any]:
    async with cluster.client() as api:
        await _check(api, key, node)
        spec: dict[str, Any] = {"vmiName": key.name}
        if node:
            spec["addedNodeSelector"] = {HOSTNAME: node}
        body = {
            "apiVersion": resources.VMIMS.api_version,
            "kind": resources.VMIMS.kind,
            "metadata": {"generateName": "kubevirt-migrate-vm-", "namespace": key.namespace},
            "spec": spec,
        }
        try:
            made = await api.create(resources.VMIMS, body)
        except Invalid as error:
            why = migrationreport.refusal(error.message)
            under_way = f"wait for it, or: weft vm migrate-cancel {key}"
            raise errors.Conflict(
                why,
                where=f"VirtualMachineInstance {key}",
                hint=under_way if why.startswith("in-flight") else "",
            ) from error
        if not wait:
            return migrationreport.result(made, limit)
        return migrationreport.result(await _finished(api, made, show), limit)


async def _check(api: Client, key: ObjectKey, node: str) -> None:
    """That the machine runs, and can move to the node; KubeVirt's webhook judges the rest."""
    where = f"VirtualMachineInstance {key}"
    try:
        vmi = await api.get(resources.VMIS, key.name, key.namespace)
    except NotFound as error:
        hint = f"start it first: weft vm start {key}"
        raise errors.Conflict("it does not run", where=where, hint=hint) from error
    if not node:
        return
    if (vmi.get("status") or {}).get("nodeName") == node:
        raise errors.Conflict(f"it runs on {node} already", where=where)
    try:
        await api.get(resources.NODES, node)
    except NotFound as error:
        rule = "is no node of the cluster"
        raise errors.InvalidInput(
            "command line", "--node", node, rule, hint="kubectl get nodes"
        ) from error


async def _finished(api: Client, made: Object, show: Show) -> Object:
    """The migration when it is over. Raises Conflict with the reason of one that has failed."""
    where = f"VirtualMachineInstanceMigration {resources.key(made)}"
    async with _watched(api, made) as changes, _waiting(api, made, show):
        last, shown = made, ""
        async for one in changes:
            if one is None:
                raise errors.Conflict("it was canceled; the guest stays where it is", where=where)
            last = one
            if migration.phase(one) != shown:
                shown = migration.phase(one)
                show(shown)
            if migration.is_final(one):
                break
        if migration.phase(last) == "Failed":
            state = (last.get("status") or {}).get("migrationState") or {}
            failed = status.condition(last, migration.FAILED) or {}
            why = state.get("failureReason") or failed.get("message") or "see its Events"
            raise errors.Conflict(
                f"the migration failed: {why}",
                where=where,
                hint="the guest runs on where it was, unless it ended itself: weft vm list",
            )
        if _is_measured(last):
            return last
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIGURES_SECONDS):
                async for one in changes:
                    last = one or last
                    if _is_measured(last):
                        break
        return last


def _is_measured(one: Object) -> bool:
    found = one.get("status") or {}
    return migrationcost.FIELD in found and "migrationState" in found


@contextlib.asynccontextmanager
async def _watched(api: Client, made: Object) -> AsyncIterator[AsyncIterator[Object | None]]:
    """Each version of the migration from now on; None when it is gone."""
    meta = made["metadata"]
    seen: asyncio.Queue[Object | None] = asyncio.Queue()
    found = cache.Cache(
        api,
        resources.VMIMS,
        namespace=meta["namespace"],
        field_selector=f"metadata.name={meta['name']}",
    )
    found.subscribe(lambda key, old, new: seen.put_nowait(new))

    async def changes(running: asyncio.Future[None]) -> AsyncIterator[Object | None]:
        while True:
            next_one = asyncio.ensure_future(seen.get())
            both: set[asyncio.Future[Any]] = {next_one, running}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            yield await next_one

    async with _run(found) as running:
        yield changes(running)


@contextlib.asynccontextmanager
async def _waiting(api: Client, made: Object, show: Show) -> AsyncIterator[None]:
    """Show why no node takes the target pod, each time that the scheduler says something else.

    Who may migrate may lack the right to see pods: nothing is shown then.
    """
    meta, reported = made["metadata"], ""
    selector = f"{launcherpod.MIGRATION_UID}={meta['uid']}"
    try:
        await api.list(resources.PODS, meta["namespace"], label_selector=selector)
    except Forbidden:
        yield
        return
    found = cache.Cache(api, resources.PODS, namespace=meta["namespace"], label_selector=selector)

    def report(key: ObjectKey, old: Object | None, new: Object | None) -> None:
        nonlocal reported
        why = targetpending.why(new) if new else ""
        if why and why != reported:
            show(f"no node takes it yet: {why}")
        reported = why

    found.subscribe(report)
    async with _run(found):
        yield


@contextlib.asynccontextmanager
async def _run(found: cache.Cache) -> AsyncIterator[asyncio.Future[None]]:
    """A cache that runs meanwhile."""
    running = asyncio.ensure_future(found.run())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _cancel(cluster: Cluster, key: ObjectKey) -> str:
    async with cluster.client() as api:
        for each in await api.list(resources.VMIMS, key.namespace):
            if each["spec"].get("vmiName") == key.name and not migration.is_final(each):
                meta = each["metadata"]
                await api.delete(resources.VMIMS, meta["name"], meta["namespace"], uid=meta["uid"])
                return str(meta["name"])
        raise errors.Conflict(
            "Found no migration to cancel",
            where=f"VirtualMachineInstance {key}",
            hint="kubectl get vmim",
        )
