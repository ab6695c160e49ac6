"""Serves ADD, DEL and CHECK: makes, removes and checks one attachment of one pod.

An ADD waits for the annotation (`addplan.py`), makes the interface and the OVS port as `weft.nic`
plans them, and waits for OVN; if a step fails, it undoes the others. A record in a file then lets a
restarted agent restore the rows, also in a new Open vSwitch database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from weft import errors, model, names, rows
from weft.host import uninterrupted
from weft.nic import plan, port, record, result
from weft.node import addplan, call, links, localnets
from weft.node.dependencies import Dependencies
from weft.reasons import Reason

log = logging.getLogger(__name__)

UNDO_PATIENCE = 10.0  # seconds for the database to delete a port; `repair.py` tries again


async def add(cni_call: call.Call, deps: Dependencies) -> result.Result:
    """Makes the attachment and returns the CNI result.

    Raises Refused if the pod has the interface already, NotReady when the patience ends, or
    another WeftError. If it raises or is cancelled, nothing of the attachment is left.
    """
    if not await links.is_free(cni_call.netns, cni_call.interface):
        raise call.Refused(
            call.Code.ENVIRONMENT,
            f"CNI_IFNAME {cni_call.interface!r}: the pod has an interface of that name already",
            where=f"netns {cni_call.netns}",
            hint="a runtime calls DEL before it adds an interface again",
        )
    progress = Progress()
    try:
        async with asyncio.timeout(deps.settings.patience):
            nic = await make(cni_call, deps, progress)
    except BaseException as error:
        if progress.nic is not None:
            # Runs to its end even if cancelled again: no other call removes the rest.
            await uninterrupted.finish(undo(progress.nic, cni_call.netns, deps))
        if isinstance(error, TimeoutError):
            why = progress.why
            if not why and progress.nic is None:
                why = addplan.held_up_by(cni_call, deps)
            raise progress.overdue(deps.settings.patience, why) from None
        raise
    return result.render(nic, cni_call.netns, cni_call.version, cni_call.previous)


@dataclass(slots=True)
class Progress:
    """How far an ADD has come: what to undo, and what it waits for."""

    nic: plan.Nic | None = None
    where: str = ""
    hint: str = ""
    why: str = ""

    def overdue(self, patience: float, why: str) -> errors.NotReady:
        what = f"is not ready after {patience:g} s" + (f": {why}" if why else "")
        return errors.NotReady(what, where=self.where, hint=self.hint)


async def make(cni_call: call.Call, deps: Dependencies, progress: Progress) -> plan.Nic:
    """Does the steps of an ADD; each takes as long as kernel, OVS or OVN need."""
    progress.where = f"Pod {cni_call.pod}, annotation {names.POD_NETWORKS}"
    progress.hint = "see the pod's events; is weft cluster-manager running?"
    timed = partial(deps.steps.timed, time.perf_counter)
    with timed("allocation"):
        add_plan = await addplan.find(cni_call, deps)
    await _await_mapping(add_plan, deps, progress)
    nic = progress.nic = add_plan.nic
    if nic.kind is plan.NicKind.VETH:
        with timed("device"):
            await links.make_veth(nic, cni_call.netns)
    with timed("port"):
        await write_port(add_plan, deps)
    progress.where = f"OVS port {nic.device} of Pod {cni_call.pod}"
    if nic.kind is plan.NicKind.INTERNAL:
        progress.hint = "is ovs-vswitchd running? see its log"
        with timed("interface"):
            await wait_for_port(nic, deps, lambda columns: port.number(columns) > 0)
            await links.move_internal(nic, cni_call.netns)
    progress.hint = "is ovn-controller running, and does its zone have the pod's logical port?"
    with timed("flows"):
        await wait_for_port(nic, deps, port.installed)
        await localnets.joined(add_plan.spec, deps)
    addplan.check_unchanged(add_plan, deps)
    with timed("record"):
        await deps.records.put(record.Record(nic, add_plan.owner))
    if add_plan.spec.topology is model.Topology.LOCALNET:
        if not add_plan.waits:
            await localnets.announce(nic, cni_call.netns)
        if warning := localnets.narrow(add_plan.spec, deps):
            deps.warn(add_plan.owner.pod, Reason.BRIDGE_MTU_TOO_SMALL, warning)
    return nic


async def _await_mapping(add_plan: addplan.AddPlan, deps: Dependencies, progress: Progress) -> None:
    """Waits for the bridge mapping of a localnet; a pod that waits gets an Event."""
    fault = localnets.missing(add_plan.spec, deps)
    if fault is not None:
        progress.where, progress.hint, progress.why = fault.where, fault.hint, fault.what
        deps.warn(add_plan.owner.pod, Reason.NO_BRIDGE_MAPPING, fault.in_full())
        await localnets.mapped(add_plan.spec, deps)
        progress.why = ""


async def write_port(add_plan: addplan.AddPlan, deps: Dependencies) -> None:
    """Writes the port and deletes those of older sandboxes for the same logical port, in one
    transaction. Raises NotReady without a bridge."""
    nic, settings = add_plan.nic, deps.settings
    if deps.ovs.get("Bridge", settings.bridge) is None:
        raise errors.NotReady(
            "does not exist on this node",
            where=f"OVS bridge {settings.bridge}",
            hint="ovn-controller makes it; is it running?",
        )
    owner = add_plan.owner
    iface_id = owner.iface_id
    stale = port.rivals(bounds(deps), iface_id, nic.device)
    older = deps.records.of_port(iface_id)
    for device in {*stale, *([older.device] if older else [])} - {nic.device}:
        await deps.records.forget(device)  # otherwise `repair.py` makes it again
    desired = port.desired(nic, owner, bridge=settings.bridge)
    await deps.ovs.apply(desired, [("Port", device) for device in stale])


def bounds(deps: Dependencies) -> list[port.Bound]:
    """Returns all ports of pods on this node, from OVS's database."""
    found = (port.bound(columns) for columns in deps.ovs.rows("Interface").values())
    return [bound for bound in found if bound is not None]


async def wait_for_port(
    nic: plan.Nic, deps: Dependencies, ready: Callable[[rows.Columns], bool]
) -> None:
    """Waits until the port is `ready`; raises Unavailable, with vswitchd's text, if it fails."""

    def settled(columns: rows.Columns | None) -> bool:
        return columns is None or bool(port.failure(columns)) or ready(columns)

    check_port(nic, await deps.ovs.wait_for("Interface", nic.device, settled))


def check_port(nic: plan.Nic, found: rows.ActualRow | None) -> None:
    """Raises Unavailable if the port is gone or vswitchd cannot use it."""
    if found is None:
        raise errors.Unavailable(
            "was removed while it was being made",
            where=f"OVS port {nic.device}",
            hint="a newer sandbox of the pod took over, or somebody deleted the port",
        )
    failure = port.failure(found[1])
    if failure:
        raise errors.Unavailable(failure, where=f"OVS port {nic.device}")


async def undo(nic: plan.Nic, namespace: str, deps: Dependencies) -> None:
    """Removes everything that an ADD may have made; `repair.py` removes what this cannot."""
    await deps.records.forget(nic.device)
    try:
        async with asyncio.timeout(UNDO_PATIENCE):
            await deps.ovs.apply((), [("Port", nic.device)])
    except (errors.WeftError, TimeoutError) as error:
        why = str(error) or f"no answer within {UNDO_PATIENCE:g} s"
        log.warning("OVS port %s is left behind for now: %s", nic.device, why)
    with contextlib.suppress(errors.WeftError, OSError):
        await links.unmake(nic.device, nic.interface, namespace)


async def delete(cni_call: call.Call, deps: Dependencies) -> None:
    """Removes the sandbox's interface and port; succeeds if there are none (CNI specification).

    Only this sandbox's port: a late DEL of an older sandbox does not touch the pod's present one.
    Nor does a DEL for one NAD, which undoes a refused ADD, touch an interface of another.
    """
    device = names.host_device(cni_call.sandbox, cni_call.interface)
    known = deps.records.get(device)
    if known is not None and known.owner.nad not in ("", str(cni_call.nad or "default")):
        log.info("interface %s is of %s, and stays", cni_call.interface, known.owner.nad)
        return
    mine = [b for b in bounds(deps) if is_of(b, cni_call)] or ([known.bound] if known else [])
    await deps.records.forget(device)  # first: `repair.py` makes again what has a record
    devices = {device, *(b.device for b in mine)}
    await deps.ovs.apply((), [("Port", name) for name in sorted(devices)])
    namespace = cni_call.netns or (mine[0].netns if mine else "")
    await links.unmake(device, cni_call.interface, namespace if mine else "")


def is_of(bound: port.Bound, cni_call: call.Call) -> bool:
    return (bound.sandbox, bound.interface) == (cni_call.sandbox, cni_call.interface)


async def check(cni_call: call.Call, deps: Dependencies) -> None:
    """Raises Refused unless interface, addresses, OVS port and OVN are as the ADD made them."""
    if cni_call.previous is None:
        rule = "prevResult: must hold what the ADD gave"
        raise call.Refused(call.Code.CONFIGURATION, rule, where=f"network {cni_call.network}")
    where = f"interface {cni_call.interface} of Pod {cni_call.pod}"
    link = await links.read(cni_call.netns, cni_call.interface)
    if link is None:
        raise call.Refused(call.Code.CHANGED, "is not in the pod", where=where)
    pod = deps.pods.get(cni_call.pod)
    if pod is None or not addplan.is_decided(pod, cni_call, deps):
        what = "is not there, or has no allocation for this attachment"
        raise call.Refused(call.Code.CONTAINER, what, where=f"Pod {cni_call.pod}")
    add_plan = await addplan.find(cni_call, deps)
    nic = add_plan.nic
    found = plan.differences(
        nic,
        mac=link.mac,
        mtu=link.mtu,
        up=link.up,
        addresses=link.addresses,
        routes=link.routes,
    )
    found += result.differences(
        cni_call.previous, cni_call.interface, cni_call.netns, link.addresses
    )
    found += _check_ovs(nic, deps)
    if (unmapped := localnets.missing(add_plan.spec, deps)) is not None:
        found.append(str(unmapped))
    if found:
        hint = "delete the pod, so that it is wired anew"
        raise call.Refused(call.Code.CHANGED, "; ".join(found), where=where, hint=hint)


def _check_ovs(nic: plan.Nic, deps: Dependencies) -> list[str]:
    interface = deps.ovs.get("Interface", nic.device)
    if interface is None:
        return [f"OVS port {nic.device} is missing"]
    if port.number(interface[1]) <= 0:
        return [f"OVS port {nic.device} is not in use: {port.failure(interface[1])}"]
    if not port.installed(interface[1]):
        return [f"OVN has not installed the flows of OVS port {nic.device}"]
    return []
