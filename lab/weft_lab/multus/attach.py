"""Adds and deletes all interfaces of a pod, as the multi-network specification has it.

First comes the default network, or the one that the pod chose in its place, then one attachment for
each element of the pod's selection. When one fails, the earlier ones are undone: a pod has all of
its attachments or none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import orjson

from weft import errors, model, names
from weft.api import selection, status
from weft.host import files, netlink, netns
from weft.kube import cache, client, events
from weft.kube.resources import PODS
from weft_lab.multus import delegate, plugin, primary, report, routes
from weft_lab.reasons import Reason

Object = dict[str, Any]
FIRST = names.DEFAULT_INTERFACE


@dataclass(frozen=True, slots=True)
class Multus:
    """`path` is the folders of plugins (CNI_PATH); `nads` all NADs of the cluster.

    `primary` is the lab's own first network, None where weft's plugin is called for that too.
    """

    client: client.Client
    nads: cache.Cache
    recorder: events.Recorder
    primary: primary.Primary | None
    path: str


async def add(multus: Multus, pod: Object, sandbox: plugin.Sandbox, record: Path) -> list[str]:
    """Attach the pod; its addresses on the default network.

    `record` is the file that remembers what was made, for `delete`.
    """
    done: list[Object] = []
    try:
        requested = selection.parse(pod, primary=multus.primary is None)
        chains = [chain_of(multus, pod, attachment) for attachment in requested]
        if multus.primary is not None and not (chains and chains[0].interface == FIRST):
            entry = {"interface": FIRST, "name": primary.NAME}
            # Recorded before it is made, so that a DEL after a crash undoes it.
            write(record, [{**entry, "result": {}}])
            result = await multus.primary.add(sandbox, FIRST)
            done.append({**entry, "result": result})
            write(record, done)
            report_added(multus, pod, FIRST, result, primary.NAME)
        for chain in chains:
            write(record, [*done, delegate.to_record(chain, {})])
            result = await add_chain(multus, chain, sandbox)
            done.append(delegate.to_record(chain, result))
            write(record, done)
            report_added(multus, pod, chain.interface, result, chain.name)
        leading = next((request for request in requested if request.default_route), None)
        if leading is not None:
            gateways = leading.default_route
            await routes.move_default(sandbox.netns, leading.interface, gateways)
        await write_status(multus, pod, sandbox, done, leading)
    except BaseException:
        await delete(multus, sandbox, record)
        raise
    return [str(ip_interface(each["address"]).ip) for each in done[0]["result"].get("ips") or ()]


async def delete(multus: Multus, sandbox: plugin.Sandbox, record: Path) -> list[errors.WeftError]:
    """Undo what the record says, last first; all of it, whatever fails on the way."""
    failures: list[errors.WeftError] = []
    for entry in reversed(read(record)):
        try:
            await unmake(multus, entry, sandbox)
        except errors.WeftError as error:
            failures.append(error)
    if not failures:
        _forget(record)
    return failures


async def unmake(multus: Multus, entry: Object, sandbox: plugin.Sandbox) -> None:
    """Undo one entry of a record."""
    if "plugins" in entry:
        await _delete_chain(multus, *delegate.from_record(entry), sandbox)
    elif multus.primary is not None:
        await multus.primary.delete(sandbox, entry["interface"])


def read(record: Path) -> list[Object]:
    try:
        listed = orjson.loads(record.read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    return listed if isinstance(listed, list) else []


def _forget(record: Path) -> None:
    record.unlink(missing_ok=True)


def write(record: Path, entries: list[Object]) -> None:
    files.replace(record, orjson.dumps(entries))


def chain_of(multus: Multus, pod: Object, attachment: model.Attachment) -> delegate.Delegate:
    if not attachment.nad:
        return delegate.cluster_network()
    nad = multus.nads.get(attachment.nad)
    if nad is not None:
        return delegate.from_nad(nad, attachment)
    namespace, name = attachment.nad
    what = (
        f"cannot find a network-attachment-definition ({name}) in namespace ({namespace}): "
        f'network-attachment-definitions.k8s.cni.cncf.io "{name}" not found'
    )
    multus.recorder.emit(pod, Reason.NO_NETWORK_FOUND, what)
    raise errors.NotReady(what, hint="create the NAD; the pod starts when it is there")


async def add_chain(
    multus: Multus, chain: delegate.Delegate, sandbox: plugin.Sandbox
) -> dict[str, Any]:
    result: dict[str, Any] | None = None
    env = plugin.variables("ADD", sandbox, chain.interface, multus.path, os.environ)
    for config in chain.plugins:
        result = await plugin.execute(
            str(config.get("type", "")), delegate.render(chain, config, result), env
        )
    return result or {}


async def _delete_chain(
    multus: Multus, chain: delegate.Delegate, result: Mapping[str, Any], sandbox: plugin.Sandbox
) -> None:
    env = plugin.variables("DEL", sandbox, chain.interface, multus.path, os.environ)
    # Only since 0.4.0 does a DEL carry the result of the ADD.
    previous = result if result and chain.version not in ("0.3.0", "0.3.1") else None
    for config in reversed(chain.plugins):
        data = delegate.render(chain, config, previous)
        await plugin.execute(str(config.get("type", "")), data, env)


def report_added(
    multus: Multus, pod: Object, interface: str, result: Mapping[str, Any], name: str
) -> None:
    addresses = " ".join(entry["address"] for entry in result.get("ips") or ())
    multus.recorder.emit(pod, Reason.ADDED_INTERFACE, f"Add {interface} [{addresses}] from {name}")


async def write_status(
    multus: Multus,
    pod: Object,
    sandbox: plugin.Sandbox,
    done: list[Object],
    leading: model.Attachment | None,
) -> None:
    listed = [await _status(each, sandbox, leading) for each in done]
    metadata = pod["metadata"]
    body = {
        "metadata": {
            "uid": metadata["uid"],
            "annotations": {names.NETWORK_STATUS: status.render(listed)},
        }
    }
    await multus.client.patch(
        PODS, metadata["name"], metadata["namespace"], body, field_manager="multus"
    )


async def _status(
    made: Object, sandbox: plugin.Sandbox, leading: model.Attachment | None
) -> status.NetworkStatus:
    reported = report.entry(made["name"], made["interface"], made["result"], leading)
    if reported.mtu:
        return reported
    link = await netns.run_inside(sandbox.netns, netlink.read, reported.interface)
    return replace(reported, mtu=link.mtu if link is not None else 0)
