"""Plans what an ADD makes, from the pod's attachment, its allocation and its network.

Waits for the pod's annotations. `attach.py` makes the interface.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from weft import errors, model, names
from weft.api import plugged
from weft.api.pod import Pod
from weft.model import ObjectKey
from weft.nic import plan, port
from weft.node import call
from weft.node.dependencies import Dependencies
from weft.ovn import ports


@dataclass(frozen=True, slots=True)
class AddPlan:
    """The interface that an ADD makes, its owner and its network. `waits`: the machine that it is
    for runs on another node still."""

    nic: plan.Nic
    owner: port.PortOwner
    spec: model.NetworkSpec
    waits: bool = False


async def find(cni_call: call.Call, deps: Dependencies) -> AddPlan:
    """Waits until the cluster manager has allocated for this attachment; returns the plan.

    Raises NotReady or InvalidInput where that cannot happen, Conflict if another pod holds the
    address.
    """
    pod = await deps.pods.wait_for(cni_call.pod, lambda pod: is_decided(pod, cni_call, deps), None)
    attachment = _attachment_of(pod, cni_call, deps)
    assert attachment is not None
    refusal = deps.refusal(cni_call.pod, attachment.key)
    if refusal is not None:
        raise refusal
    spec = spec_of(cni_call.nad, deps)
    allocation = _allocations(pod, deps)[attachment.key]
    nic = plan.plan(
        deps.settings.kind,
        cni_call.sandbox,
        cni_call.interface,
        spec,
        allocation,
        peers=peers(pod, attachment, spec, deps),
    )
    owner = port.PortOwner(
        pod=pod.ref,
        sandbox=cni_call.sandbox,
        netns=cni_call.netns,
        network=spec.name,
        attachment=attachment.key,
        nad=str(cni_call.nad or names.DEFAULT_NETWORK),
        proof=deps.decided(pod).prove(),
        logical_port=ports.of_attachment(attachment.key, pod.ref, allocation),
    )
    migration = allocation.migration
    return AddPlan(nic, owner, spec, migration is not None and not migration.is_active)


def check_unchanged(made: AddPlan, deps: Dependencies) -> None:
    """Raises NotReady if the pod has another allocation for the attachment than the plan's."""
    pod = deps.pods.get(made.owner.pod.key)
    if pod is None or pod.uid != made.owner.pod.uid:
        return  # its sandbox ends with it
    now = _allocations(pod, deps).get(made.owner.attachment)
    if now is None or (now.mac, now.addresses) != (made.nic.mac, made.nic.addresses):
        raise errors.NotReady(
            "was given another allocation while its interface was made",
            where=f"Pod {pod.key}, interface {made.nic.interface}",
            hint=f"it is made anew once it is asked for; {names.NETWORKS} was edited meanwhile",
        )


def nic_of(bound: port.Bound, deps: Dependencies) -> plan.Nic | None:
    """Returns the plan of an existing port; None where its pod or network is not known now."""
    pod = deps.pods.get(bound.pod.key)
    if pod is None or pod.uid != bound.pod.uid:
        return None
    try:
        attachment = next(a for a in asked(pod, deps) if a.key == bound.attachment)
        spec = spec_of(attachment.nad, deps)
        allocation = _allocations(pod, deps)[attachment.key]
    except (errors.WeftError, StopIteration, KeyError):
        return (
            None  # the cluster manager reports errors of the pod, the CNI call those of the network
        )
    others = peers(pod, attachment, spec, deps)
    kind = deps.settings.kind
    return plan.plan(kind, bound.sandbox, bound.interface, spec, allocation, peers=others)


def named_now(known: port.PortOwner, deps: Dependencies) -> port.PortOwner:
    """Returns the owner of a port with the logical port that it should have now.

    An earlier version named the ports of virtual machines after their pods, and they keep that
    name until the machine migrates.
    """
    pod = deps.pods.get(known.pod.key)
    if pod is None or pod.uid != known.pod.uid:
        return known
    allocation = _allocations(pod, deps).get(known.attachment)
    if allocation is None:
        return known
    name = ports.of_attachment(known.attachment, pod.ref, allocation)
    return known if name == known.iface_id else replace(known, logical_port=name)


def is_decided(pod: Pod, cni_call: call.Call, deps: Dependencies) -> bool:
    """Whether the pod, of the right uid, has the allocation; raises if it never will."""
    if cni_call.uid and pod.uid != cni_call.uid:
        return False
    attachment = _attachment_of(pod, cni_call, deps)
    # Before the pod runs all are decided at once, or none; then each NIC counts alone.
    others = () if pod.has_interfaces and attachment is not None else pod.attachments()
    for each in (*others, *([attachment] if attachment is not None else [])):
        deps.check_use(each.nad, pod)
    if attachment is None:
        raise _mismatch(pod, cni_call, deps)
    return attachment.key in _allocations(pod, deps)


def held_up_by(cni_call: call.Call, deps: Dependencies) -> str:
    """Returns what an ADD waits for: one network without allocation holds up all of the pod.

    Names networks that are missing, invalid or not allowed, with the reason; else all of weft's
    without allocation. Empty where the pod itself is not known.
    """
    pod = deps.pods.get(cni_call.pod)
    if pod is None:
        return ""
    faults, late, decided = [], [], _allocations(pod, deps)
    for each in asked(pod, deps):
        if each.key in decided:
            continue
        try:
            is_weft = deps.network_of(each.nad) is not None
            deps.check_use(each.nad, pod)
        except errors.WeftError as error:
            faults.append(str(error))
            continue
        if is_weft:
            late.append(shown(each.nad))
        elif each.nad and not deps.is_defined(each.nad):
            faults.append(f"NetworkAttachmentDefinition {each.nad}: does not exist")
    return "; ".join(faults) or "no decision yet for " + ", ".join(late or [shown(cni_call.nad)])


def _allocations(pod: Pod, deps: Dependencies) -> dict[str, model.Allocation]:
    """The pod's allocations by attachment, without a default network that weft does not serve."""
    decided = deps.decided(pod).allocations
    return {key: decided[key] for key in decided if pod.primary or key != names.DEFAULT_NETWORK}


def shown(nad: ObjectKey | None) -> str:
    return str(nad or "the default network")


def _mismatch(pod: Pod, cni_call: call.Call, deps: Dependencies) -> errors.InvalidInput:
    """Returns why no element of the pod's selection matches the call."""
    for element in pod.attachments():
        if element.interface == cni_call.interface and element.nad and cni_call.nad:
            return errors.InvalidInput(
                f"NetworkAttachmentDefinition {element.nad}",
                "spec.config.netAttachDefName",
                str(cni_call.nad),
                f'must be "{element.nad}", the namespace and name of the NAD itself',
            )
    return errors.InvalidInput(
        f"Pod {cni_call.pod}",
        names.NETWORKS,
        None,
        f"has no element for {shown(cni_call.nad)} with interface {cni_call.interface}",
        hint="the annotation was changed meanwhile; a NIC that it does not name is not made",
    )


def _attachment_of(pod: Pod, cni_call: call.Call, deps: Dependencies) -> model.Attachment | None:
    """Returns the element of the pod's selection with the call's NAD and interface."""
    for attachment in asked(pod, deps):
        if attachment.nad == cni_call.nad and attachment.interface == cni_call.interface:
            return attachment
    return None


def asked(pod: Pod, deps: Dependencies) -> tuple[model.Attachment, ...]:
    """Returns what a pod asks for, by the keys under which it has it; raises InvalidInput."""
    requested = pod.attachments()
    if not pod.has_interfaces:
        return requested
    return plugged.keyed(requested, deps.decided(pod).allocations, pod.interfaces)


def spec_of(nad: ObjectKey | None, deps: Dependencies) -> model.NetworkSpec:
    """Returns the network of a NAD, of None the default network; raises NotReady for none."""
    spec = deps.network_of(nad)
    if spec is None and nad is None:
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


def peers(
    pod: Pod, attachment: model.Attachment, spec: model.NetworkSpec, deps: Dependencies
) -> tuple[str, ...]:
    """Returns the pod's other interfaces on the same network, through any NAD."""
    return tuple(
        other.interface
        for other in asked(pod, deps)
        if other.key != attachment.key and _network_name(other.nad, deps) == spec.name
    )


def _network_name(nad: ObjectKey | None, deps: Dependencies) -> str:
    try:
        spec = deps.network_of(nad)
    except errors.InvalidInput:
        return ""  # the ADD for that network reports it
    return spec.name if spec else ""
