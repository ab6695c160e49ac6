"""Lists who holds which address of a network, since when, and which addresses nobody uses. Pure.

Addresses are held by pods, and by IPAMClaims, which keep them between the pods of a virtual
machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from weft import errors, names
from weft.api import ipamclaim, podnetworks, selection
from weft.api.objects import key as key_of
from weft.model import ObjectKey
from weft.observe import members
from weft.observe.chassis import natural_key

Object = Mapping[str, Any]

_DONE = ("Succeeded", "Failed")
_OWNER_KINDS = ("VirtualMachine", "VirtualMachineInstance")


class Unused(StrEnum):
    """Why nobody uses an address. A claim that has none yet has the reason of its condition."""

    RESERVED = "Reserved"
    MACHINE_STOPPED = "VirtualMachineStopped"
    MACHINE_GONE = "VirtualMachineGone"
    POD_FINISHED = "PodFinished"
    POD_GONE = "PodGone"
    NODE_GONE = "NodeGone"
    NETWORK_GONE = "NetworkGone"
    NOT_ALLOCATED = "NotAllocated"


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects that say who holds what. None: the user may not list them, so what depends on
    them is not judged."""

    pods: Sequence[Object]
    claims: Sequence[Object]
    nads: Sequence[Object]
    nodes: Sequence[Object] | None = None
    machines: Sequence[Object] | None = None  # VirtualMachines


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address and who holds it; "" is unknown or none.

    `held_by` is as in "Pod default/web1" or "VirtualMachine default/web1". `nodes` are those of the
    pods that use it: two while a machine migrates. `since`: creation of the pod, or of the claim
    (RFC 3339). `unused`: why nobody uses it, "" if somebody does; `message` says what to do.
    """

    network: str
    address: str
    mac: str = ""
    held_by: str = ""
    claim: str = ""
    nodes: tuple[str, ...] = ()
    since: str = ""
    unused: str = ""
    message: str = ""


@dataclass(slots=True)
class _Use:
    """The pods that use what a claim keeps."""

    pods: list[Object] = field(default_factory=list)
    mac: str = ""


def held(objects: Objects, namespaces: Collection[str] = ()) -> tuple[list[HeldAddress], list[str]]:
    """Returns the held addresses, sorted, and what could not be read.

    `namespaces`: only of these holders; empty: of all.
    """
    known = members.networks(members.Objects(nads=objects.nads))
    uses: dict[ObjectKey, _Use] = {}
    problems: list[str] = []
    found = list(_together(_of_pods(objects, known, uses, problems)))
    found += _of_claims(objects, frozenset(known.values()), uses, problems)
    chosen = [each for each in found if not namespaces or _namespace(each) in namespaces]
    return sorted(chosen, key=_order), problems


def _namespace(each: HeldAddress) -> str:
    return (each.claim or each.held_by.rpartition(" ")[2]).partition("/")[0]


def _order(each: HeldAddress) -> tuple[Any, ...]:
    return natural_key(each.network), ":" in each.address, natural_key(each.address), each.claim


def _of_pods(
    objects: Objects,
    known: Mapping[ObjectKey, str],
    uses: dict[ObjectKey, _Use],
    problems: list[str],
) -> Iterator[HeldAddress]:
    """Yields what pods hold themselves; what they use of claims is added to `uses`."""
    claims = {key_of(each) for each in objects.claims}
    kept = dict(_kept(objects.claims))
    nodes = _names(objects.nodes)
    for pod in objects.pods:
        meta, spec = pod["metadata"], pod.get("spec") or {}
        if names.POD_NETWORKS not in (meta.get("annotations") or {}):
            continue
        try:
            allocations = podnetworks.parse(pod)
        except errors.InvalidInput as error:
            problems.append(error.in_full())
            continue
        is_finished = (pod.get("status") or {}).get("phase") in _DONE
        claimed = _claims(pod)
        for key, allocation in allocations.items():
            nad = podnetworks.nad_of(key)
            network = known.get(nad, str(nad)) if nad else names.DEFAULT_NETWORK
            claim = ObjectKey(meta["namespace"], claimed.get(key, ""))
            if not claim.name and names.VM_NAME in (meta.get("labels") or {}):
                # A machine has claims without naming them.
                addresses = [(meta["namespace"], network, str(a)) for a in allocation.addresses]
                claim = next((kept[each] for each in addresses if each in kept), claim)
            if claim.name and claim in claims:
                use = uses.setdefault(claim, _Use())
                use.pods.append(pod)
                use.mac = allocation.mac
                continue
            if is_finished:
                continue  # the manager has freed it
            node = str(spec.get("nodeName") or "")
            unused, message = _lost_node(pod, node, nodes)
            for address in allocation.addresses:
                yield HeldAddress(
                    network=network,
                    address=str(address),
                    mac=allocation.mac,
                    held_by=_user(pod),
                    nodes=(node,) if node else (),
                    since=str(meta.get("creationTimestamp") or ""),
                    unused=unused,
                    message=message,
                )


def _kept(claims: Iterable[Object]) -> Iterator[tuple[tuple[str, str, str], ObjectKey]]:
    """Yields the addresses that claims keep, by namespace and network, with their claim."""
    for each in claims:
        with contextlib.suppress(errors.InvalidInput):
            claim = ipamclaim.parse(each)
            for address in claim.addresses:
                yield (claim.key.namespace, claim.network, str(address)), claim.key


def _together(found: Iterable[HeldAddress]) -> Iterable[HeldAddress]:
    """Returns one of each address that two pods of a machine have while it migrates."""
    kept: dict[tuple[str, str, str], HeldAddress] = {}
    for each in found:
        place = each.network, each.address, each.held_by
        if (other := kept.get(place)) is not None:
            nodes = tuple(dict.fromkeys((*other.nodes, *each.nodes)))
            each = replace(other, nodes=nodes, unused=other.unused and each.unused)
        kept[place] = each
    return kept.values()


def _claims(pod: Object) -> dict[str, str]:
    """Returns the IPAMClaim that each attachment of a pod names, by the attachment's key."""
    try:
        return {each.key: each.ipam_claim for each in selection.parse(pod) if each.ipam_claim}
    except errors.InvalidInput:
        return {}


def _lost_node(pod: Object, node: str, nodes: Collection[str] | None) -> tuple[str, str]:
    if nodes is None or not node or node in nodes:
        return "", ""
    key = key_of(pod)
    remedy = f"kubectl delete pod {key.name} -n {key.namespace} --force"
    return Unused.NODE_GONE, f"node {node} is gone, and Pod {key} is still there: {remedy}"


def _user(pod: Object) -> str:
    meta = pod["metadata"]
    machine = (meta.get("labels") or {}).get(names.VM_NAME)
    namespace = meta["namespace"]
    return f"VirtualMachine {namespace}/{machine}" if machine else f"Pod {namespace}/{meta['name']}"


def _of_claims(
    objects: Objects,
    networks: Collection[str],
    uses: Mapping[ObjectKey, _Use],
    problems: list[str],
) -> Iterator[HeldAddress]:
    pods = {key_of(each): each for each in objects.pods}
    nodes = _names(objects.nodes)
    machines = None if objects.machines is None else set(map(key_of, objects.machines))
    for obj in objects.claims:
        try:
            claim = ipamclaim.parse(obj)
        except errors.InvalidInput as error:
            problems.append(error.in_full())
            continue
        use = uses.get(claim.key, _Use())
        using = [pod for pod in use.pods if (pod.get("status") or {}).get("phase") not in _DONE]
        machine, kept_mac = _machine(obj), ipamclaim.kept_mac(ipamclaim.condition(obj)[2])
        held_by = f"VirtualMachine {machine}" if machine else ""
        if using:
            node = str((using[0].get("spec") or {}).get("nodeName") or "")
            unused, message = _lost_node(using[0], node, nodes)
            held_by = _user(using[0])
        elif claim.network not in networks:
            unused, message = Unused.NETWORK_GONE.value, f"there is no network {claim.network}"
        elif not (claim.addresses or kept_mac):
            unused, message = _unallocated(obj)
        else:
            pod = pods.get(ObjectKey(claim.key.namespace, claim.owner_pod))
            unused, message = _idle(claim.key, machine, machines, claim.owner_pod, pod or use.pods)
        for address in claim.addresses or ("",):
            yield HeldAddress(
                network=claim.network,
                address=str(address),
                mac=use.mac or kept_mac,
                held_by=held_by,
                claim=str(claim.key),
                nodes=tuple(_nodes(using)),
                since=str(obj["metadata"].get("creationTimestamp") or ""),
                unused=unused,
                message=message,
            )


def _nodes(pods: Iterable[Object]) -> Iterator[str]:
    yield from dict.fromkeys(
        str(node) for pod in pods if (node := (pod.get("spec") or {}).get("nodeName"))
    )


def _unallocated(obj: Object) -> tuple[str, str]:
    status, reason, message = ipamclaim.condition(obj)
    if status == "False" and reason:
        return reason, message
    return Unused.NOT_ALLOCATED, "it gets its address with its first pod"


def _idle(
    claim: ObjectKey,
    machine: ObjectKey | None,
    machines: Collection[ObjectKey] | None,
    owner_pod: str,
    pod: object,
) -> tuple[str, str]:
    """Returns why no pod uses a claim, and the remedy."""
    release = f"weft ip release {claim.name} -n {claim.namespace}"
    if machine is not None and (machines is None or machine in machines):
        kept = "it has the address again when it starts"
        return Unused.MACHINE_STOPPED, f"VirtualMachine {machine} is not running; {kept}"
    if machine is not None:
        return Unused.MACHINE_GONE, f"VirtualMachine {machine} is gone: {release}"
    if pod:
        return Unused.POD_FINISHED, f"the pod that used it has ended: {release}"
    if owner_pod:
        return Unused.POD_GONE, f"Pod {claim.namespace}/{owner_pod} is gone: {release}"
    return Unused.RESERVED, f"no pod uses it: {release}, if none is to come"


def _machine(claim: Object) -> ObjectKey | None:
    """Returns the virtual machine that a claim is made for, by its label or its owner."""
    meta = claim["metadata"]
    owners = meta.get("ownerReferences") or ()
    named = [str(each.get("name")) for each in owners if each.get("kind") in _OWNER_KINDS]
    labelled = (meta.get("labels") or {}).get(names.CLAIM_VM)
    name = labelled or next(iter(named), "")
    return ObjectKey(meta["namespace"], name) if name else None


def _names(objects: Iterable[Object] | None) -> frozenset[str] | None:
    return None if objects is None else frozenset(each["metadata"]["name"] for each in objects)
