"""ADD, DEL and CHECK: one attachment of one pod, made, unmade and looked at.

The question answered here: in which order do annotation, interface, OVS port and OVN come
together, and what is undone when one of them fails? What each should be is decided by
`weft.nic`; nothing is kept in memory, so an agent that is restarted knows as much as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from weft import errors, model, names, rows
from weft.api import podnetworks, selection
from weft.kube import cache
from weft.nic import plan, port, result
from weft.node import call, wiring
from weft.ovsdb import replica

log = logging.getLogger(__name__)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """`patience`: seconds for all waits of one ADD; runtimes give up after two to four minutes."""

    socket: str = "/run/weft/cni.sock"
    kind: plan.Kind = plan.Kind.INTERNAL
    bridge: str = port.BRIDGE
    patience: float = 110.0


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the CNI server needs of its process.

    `pods` holds this node's pods with uid and annotations; `network_of` answers for a
    "<namespace>/<name>" of a definition, and for "", the cluster's own network: what it is, None
    if there is none that weft serves; InvalidInput says what is wrong with one.
    `ovs` is a replica of `port.TABLES`.
    """

    node: str
    pods: cache.Cache
    network_of: Callable[[str], model.NetworkSpec | None]
    ovs: replica.Replica
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An ADD with everything that had to be waited for."""

    nic: plan.Nic
    owner: port.Owner


async def add(asked: call.Call, deps: Dependencies) -> result.Result:
    """Make the attachment; when this raises or is cancelled, nothing of it is left."""
    if not await wiring.is_free(asked.netns, asked.interface):
        raise call.Refused(
            call.Code.ENVIRONMENT,
            f"CNI_IFNAME {asked.interface!r}: the pod has an interface of that name already",
            where=f"netns {asked.netns}",
            hint="a runtime calls DEL before it adds an interface again",
        )
    progress = Progress()
    try:
        async with asyncio.timeout(deps.settings.patience):
            nic = await make(asked, deps, progress)
    except BaseException as error:
        if progress.nic is not None:
            await undo(progress.nic, asked.netns, deps)
        if isinstance(error, TimeoutError):
            raise progress.overdue(deps.settings.patience) from None
        raise
    return result.render(nic, asked.netns, asked.version, asked.previous)


@dataclass(slots=True)
class Progress:
    """How far an ADD has come: what to undo, and what it waits for."""

    nic: plan.Nic | None = None
    where: str = ""
    hint: str = ""

    def overdue(self, patience: float) -> errors.NotReady:
        what = f"is not ready after {patience:g} s"
        return errors.NotReady(what, where=self.where, hint=self.hint)


async def make(asked: call.Call, deps: Dependencies, progress: Progress) -> plan.Nic:
    """The steps of an ADD; each may take as long as its partner needs."""
    progress.where = f"Pod {asked.pod}, annotation {names.POD_NETWORKS} for {shown(asked.nad)}"
    progress.hint = "see the pod's events; is weft cluster-manager running?"
    wanted = await find_wanted(asked, deps)
    nic = progress.nic = wanted.nic
    if nic.kind is plan.Kind.VETH:
        await wiring.make_veth(nic, asked.netns)
    await write_port(wanted, deps)
    progress.where = f"OVS port {nic.device} of Pod {asked.pod}"
    if nic.kind is plan.Kind.INTERNAL:
        progress.hint = "is ovs-vswitchd running? see its log"
        await wait_for_port(nic, deps, lambda columns: port.number(columns) > 0)
        await wiring.move_internal(nic, asked.netns)
    progress.hint = "is ovn-controller running, and does its zone have the pod's logical port?"
    await wait_for_port(nic, deps, port.installed)
    return nic


async def find_wanted(asked: call.Call, deps: Dependencies) -> Wanted:
    """Wait until the cluster manager has decided about this attachment."""
    pod = await deps.pods.wait_for(asked.pod, lambda pod: is_decided(pod, asked, deps), None)
    attachment = attachment_of(pod, asked, deps)
    assert attachment is not None
    spec = spec_of(asked.nad, deps)
    nic = plan.plan(
        deps.settings.kind,
        asked.sandbox,
        asked.interface,
        spec,
        allocations(pod, deps)[attachment.key],
        shares_network=shares_network(pod, attachment, spec, deps),
    )
    meta = pod["metadata"]
    owner = port.Owner(
        pod=model.PodRef(meta["namespace"], meta["name"], meta["uid"]),
        sandbox=asked.sandbox,
        netns=asked.netns,
        network=spec.name,
        attachment=attachment.key,
        nad=asked.nad or names.DEFAULT_NETWORK,
    )
    return Wanted(nic, owner)


def is_decided(pod: Object, asked: call.Call, deps: Dependencies) -> bool:
    """The right incarnation of the pod carries the allocation; raises if it never will."""
    if asked.uid and pod["metadata"]["uid"] != asked.uid:
        return False
    attachment = attachment_of(pod, asked, deps)
    if attachment is None:
        raise mismatch(pod, asked, deps)
    return attachment.key in allocations(pod, deps)


def selected(pod: Object, deps: Dependencies) -> tuple[model.Attachment, ...]:
    """What the pod is attached to, the cluster's own network included where weft serves it."""
    return selection.parse(pod, primary=deps.network_of("") is not None)


def allocations(pod: Object, deps: Dependencies) -> dict[str, model.Allocation]:
    return podnetworks.parse(pod, primary=deps.network_of("") is not None)


def shown(nad: str) -> str:
    return nad or "the cluster's own network"


def mismatch(pod: Object, asked: call.Call, deps: Dependencies) -> errors.InvalidInput:
    """Why no element of the pod's selection is what the runtime asks for."""
    for element in selected(pod, deps):
        if element.interface == asked.interface and element.nad and asked.nad:
            return errors.InvalidInput(
                f"NetworkAttachmentDefinition {element.nad}",
                "spec.config.netAttachDefName",
                asked.nad,
                f'must be "{element.nad}", the namespace and name of the definition itself',
            )
    return errors.InvalidInput(
        f"Pod {asked.pod}",
        names.NETWORKS,
        None,
        f"has no element for {shown(asked.nad)} with interface {asked.interface}",
        hint="the annotation was changed after the pod was created; create the pod again",
    )


def attachment_of(pod: Object, asked: call.Call, deps: Dependencies) -> model.Attachment | None:
    """The element of the pod's selection that this call is about: its interface tells."""
    for attachment in selected(pod, deps):
        if attachment.nad == asked.nad and attachment.interface == asked.interface:
            return attachment
    return None


def spec_of(nad: str, deps: Dependencies) -> model.NetworkSpec:
    spec = deps.network_of(nad)
    if spec is None and not nad:
        raise errors.NotReady(
            "is not weft's", where=shown(nad), hint="run weft node with --cluster-subnets"
        )
    if spec is None:
        raise errors.NotReady(
            "does not exist, or is not one that weft serves",
            where=f"NetworkAttachmentDefinition {nad}",
            hint=f"create it, with type {names.CNI_TYPE} in spec.config",
        )
    return spec


def shares_network(
    pod: Object, attachment: model.Attachment, spec: model.NetworkSpec, deps: Dependencies
) -> bool:
    """Whether another interface of the pod is on the same network, by whichever definition."""
    others = {a.nad for a in selected(pod, deps) if a.key != attachment.key}
    return any(_network_name(nad, deps) == spec.name for nad in others)


def _network_name(nad: str, deps: Dependencies) -> str:
    try:
        spec = deps.network_of(nad)
    except errors.InvalidInput:
        return ""  # the ADD for that one says it
    return spec.name if spec else ""


async def write_port(wanted: Wanted, deps: Dependencies) -> None:
    """The port, and none of an older sandbox for the same logical port, in one transaction."""
    nic, settings = wanted.nic, deps.settings
    if deps.ovs.get("Bridge", settings.bridge) is None:
        raise errors.NotReady(
            "does not exist on this node",
            where=f"OVS bridge {settings.bridge}",
            hint="ovn-controller makes it; is it running?",
        )
    iface_id = names.logical_port(
        wanted.owner.attachment, wanted.owner.pod.namespace, wanted.owner.pod.name
    )
    stale = port.rivals(bounds(deps), iface_id, nic.device)
    desired = port.desired(nic, wanted.owner, bridge=settings.bridge)
    await deps.ovs.apply(desired, [("Port", device) for device in stale])


def bounds(deps: Dependencies) -> list[port.Bound]:
    """All ports of pods on this node, as OVS's database has them."""
    found = (port.bound(columns) for columns in deps.ovs.rows("Interface").values())
    return [bound for bound in found if bound is not None]


async def wait_for_port(
    nic: plan.Nic, deps: Dependencies, ready: Callable[[rows.Columns], bool]
) -> None:
    """Wait until the port is `ready`; raises in the words of vswitchd if it cannot be."""

    def settled(columns: rows.Columns | None) -> bool:
        return columns is None or bool(port.failure(columns)) or ready(columns)

    check_port(nic, await deps.ovs.wait_for("Interface", nic.device, settled))


def check_port(nic: plan.Nic, found: rows.Found | None) -> None:
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
    """Everything that an ADD may have made; what cannot be undone now is left to `gc`."""
    try:
        await deps.ovs.apply((), [("Port", nic.device)])
    except errors.WeftError as error:
        log.warning("OVS port %s is left behind for now: %s", nic.device, error)
    with contextlib.suppress(errors.WeftError):
        await wiring.unmake(nic.device, nic.interface, namespace)


async def delete(asked: call.Call, deps: Dependencies) -> None:
    """Remove what this sandbox has under this name; nothing there is as good as removed.

    Only this sandbox's port: a late DEL of an older one finds none, whatever the pod has now.
    """
    mine = [b for b in bounds(deps) if is_of(b, asked)]
    device = names.host_device(asked.sandbox, asked.interface)
    devices = {device, *(b.device for b in mine)}
    await deps.ovs.apply((), [("Port", name) for name in sorted(devices)])
    namespace = asked.netns or (mine[0].netns if mine else "")
    await wiring.unmake(device, asked.interface, namespace if mine else "")


def is_of(bound: port.Bound, asked: call.Call) -> bool:
    return (bound.sandbox, bound.interface) == (asked.sandbox, asked.interface)


async def check(asked: call.Call, deps: Dependencies) -> None:
    """Raise unless interface, addresses, OVS port and OVN still are what the ADD made."""
    if asked.previous is None:
        rule = "prevResult: must hold what the ADD gave"
        raise call.Refused(call.Code.CONFIGURATION, rule, where=f"network {asked.network}")
    where = f"interface {asked.interface} of Pod {asked.pod}"
    link = await wiring.read(asked.netns, asked.interface)
    if link is None:
        raise call.Refused(call.Code.CHANGED, "is not in the pod", where=where)
    pod = deps.pods.get(asked.pod)
    if pod is None or not is_decided(pod, asked, deps):
        what = "is not there, or has no allocation for this attachment"
        raise call.Refused(call.Code.CONTAINER, what, where=f"Pod {asked.pod}")
    nic = (await find_wanted(asked, deps)).nic
    found = plan.differences(nic, mac=link.mac, mtu=link.mtu, up=link.up, addresses=link.addresses)
    found += result.differences(asked.previous, asked.interface, asked.netns, link.addresses)
    found += [f"route {r.dest} is missing" for r in nic.routes if str(r.dest) not in link.routes]
    found += _check_ovs(nic, deps)
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
