"""Finds the two ends of a question in Kubernetes objects, and the network that they share. Pure.

An end is named as kubectl names things: NAME, NAMESPACE/NAME, pod/NAME or vm/NAME with or without a
namespace, an address, or "outside".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from weft import errors, model, names
from weft.api import nodeinfo, podnetworks, selection
from weft.api.objects import key as key_of
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe import details, guestaddresses, machines, members
from weft.observe.explain.evidence import End, EndKind, NetworkFacts, NodeState, Unseen
from weft.observe.members import Object, Objects
from weft.observe.reach import Member
from weft.ovn import ports, router

COMMAND = "weft explain"
OUTSIDE = "outside"
KINDS = {"pod": EndKind.POD, "vm": EndKind.MACHINE, "vmi": EndKind.MACHINE}
_DONE = ("Succeeded", "Failed")
_MAX_NAMED = 8


@dataclass(frozen=True, slots=True)
class Found:
    """The objects of a cluster. `nodes` and `machines` (VirtualMachines) are None if the user may
    not list them. `warnings`: the last warning Event about each pod, by "<namespace>/<name>".
    `partial`: the kinds that the user may not list in all namespaces, by plural, with the
    namespaces that were read."""

    objects: Objects
    nodes: Sequence[Object] | None = ()
    machines: Sequence[Object] | None = ()
    warnings: Mapping[str, str] | None = None
    partial: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def sees(self, kind: resources.Resource, namespace: str = "") -> bool:
        """Whether all objects of a kind were read: of a namespace, or of all."""
        read = self.partial.get(kind.plural)
        return read is None or namespace in read


@dataclass(frozen=True, slots=True)
class Named:
    """What a user's text names. `key` is empty for an address and for outside; with both, who holds
    the address."""

    kind: EndKind
    key: ObjectKey | None = None
    address: model.Address | None = None


def named(text: str, field: str, namespace: str, found: Found) -> Named:
    """What `text` names. Raise InvalidInput if there is no such thing, or if there are two."""
    if text == OUTSIDE:
        return Named(EndKind.OUTSIDE)
    try:
        if "%" not in text:  # a scope names an interface, and no member
            return Named(EndKind.ADDRESS, address=ip_address(text))
    except ValueError:
        pass
    kind: EndKind | None = None
    first, slash, rest = text.partition("/")
    if slash and first in KINDS:
        kind, text = KINDS[first], rest
    key = ObjectKey.parse(text) if "/" in text else ObjectKey(namespace, text)
    if not found.sees(resources.PODS, key.namespace):
        what = f"you may not list the pods of namespace {key.namespace}"
        raise errors.WeftError(what, where=COMMAND, hint="ask for the right to list pods there")
    pods = {key_of(each) for each in found.objects.pods}
    guests = {key_of(each) for each in (*found.objects.instances, *(found.machines or ()))}
    if not found.sees(resources.VMIS, key.namespace):
        guests |= _launched(found.objects.pods)
    there = [
        each
        for each, known in ((EndKind.MACHINE, guests), (EndKind.POD, pods))
        if key in known and kind in (None, each)
    ]
    if len(there) == 1:
        return Named(there[0], key)
    if there:
        rule = f"is a pod and a virtual machine: write pod/{text} or vm/{text}"
        raise errors.InvalidInput(COMMAND, field, text, rule)
    near = sorted({str(each) for each in pods | guests if each.name == key.name})
    hint = f"did you mean {', '.join(near[:_MAX_NAMED])}?" if near else "kubectl get pods,vm -A"
    rule = f"is no pod, virtual machine or address, and not {OUTSIDE!r}; looked for {key}"
    raise errors.InvalidInput(COMMAND, field, text, rule, hint=hint)


def _launched(pods: Iterable[Object]) -> set[ObjectKey]:
    """The machines that pods say they run."""
    named = {
        (key_of(each).namespace, (each["metadata"].get("labels") or {}).get(names.VM_NAME))
        for each in pods
    }
    return {ObjectKey(namespace, str(name)) for namespace, name in named if name}


def find(which: Named, network: str, found: Found) -> End:
    """The end on `network`; "" if no network is chosen yet."""
    if which.kind is EndKind.OUTSIDE:
        return End(OUTSIDE, EndKind.OUTSIDE)
    if which.key is None:
        assert which.address is not None
        return _holder(which.address, network, found)
    pod = _pod(which, found)
    if pod is None:
        trouble, remedy = _without_pod(which, found)
        declared = tuple(sorted(_declared(which.key, found)))
        return End(str(which.key), which.kind, networks=declared, trouble=trouble, remedy=remedy)
    return _attached(which, pod, network, found)


def shared(source: Named, target: Named, found: Found) -> tuple[str, ...]:
    """The networks on which both ends are, or may be."""
    known = set(members.networks(found.objects).values())
    both = [_networks(each, found) for each in (source, target)]
    return tuple(sorted(known.intersection(*both)))


def chosen(text: str, namespace: str, found: Found) -> str:
    """The network that a user's text names. Raise InvalidInput if there is none."""
    known = members.networks(found.objects)
    return members.choose(text, namespace, known, command=COMMAND, field="--network")


def several(networks: Sequence[str]) -> errors.InvalidInput:
    """The error that ends share several networks."""
    rule = f"is needed: both are on {', '.join(networks)}"
    return errors.InvalidInput(COMMAND, "--network", None, rule)


def facts(network: str, found: Found) -> NetworkFacts:
    """What is declared of a network."""
    spec = details.specs(found.objects).get(network)
    if spec is None:
        return NetworkFacts(network)
    return NetworkFacts(
        name=network,
        topology=str(spec.topology),
        subnets=spec.subnets,
        mtu=spec.mtu,
        vlan=spec.vlan_id,
        physical=spec.physical_network,
        mapped=tuple(_mapped(spec.physical_network, found.nodes or ())),
    )


def states(ends: Iterable[End], found: Found) -> dict[str, NodeState | Unseen]:
    """The Nodes of the ends."""
    of_ends = dict.fromkeys(end.node for end in ends if end.node)
    if found.nodes is None:
        return {name: Unseen("you may not list nodes") for name in of_ends}
    by_name = {each["metadata"]["name"]: each for each in found.nodes}
    return {
        name: _state(by_name[name]) if name in by_name else Unseen(f"there is no node {name}")
        for name in of_ends
    }


def encaps(found: Found) -> dict[str, tuple[str, ...]]:
    """The tunnel addresses of each node."""
    return {info.name: info.encap_ips for info in _published(found)}


def routers(found: Found) -> dict[str, str]:
    """The MAC of each node's routers on transit switches."""
    return {info.name: router.mac(info.transit) for info in _published(found) if info.transit}


def _published(found: Found) -> Iterator[model.NodeInfo]:
    """What nodes say of themselves that can be read."""
    for each in found.nodes or ():
        with contextlib.suppress(errors.InvalidInput):
            yield nodeinfo.parse(each)


def _networks(which: Named, found: Found) -> set[str]:
    specs = details.specs(found.objects)
    if which.kind is EndKind.OUTSIDE:
        return {name for name, spec in specs.items() if spec.topology is model.Topology.LOCALNET}
    if which.address is not None:
        holding = {
            name
            for name in specs
            if any(
                which.address in each.endpoint.addresses for each in members.on(name, found.objects)
            )
        }
        if holding:
            return holding
        inside = {
            name
            for name, spec in specs.items()
            if any(which.address in subnet for subnet in spec.subnets)
        }
        return inside or {name for name, spec in specs.items() if not spec.subnets}
    assert which.key is not None
    pod = _pod(which, found)
    return set(_asked(pod, found)) if pod is not None else _declared(which.key, found)


def _declared(machine: ObjectKey, found: Found) -> set[str]:
    """The networks that a virtual machine would be on."""
    known = members.networks(found.objects)
    both = [
        [each for each in listed if key_of(each) == machine]
        for listed in (found.machines or (), found.objects.instances)
    ]
    nics = [nic for each in machines.listed(both[0], both[1], ()) for nic in each.nics]
    nads = {ObjectKey.parse(nic.network) for nic in nics if "/" in nic.network}
    return {known[nad] for nad in nads if nad in known}


def _pod(which: Named, found: Found) -> Object | None:
    """The pod itself, or the machine's; one that has not ended if there is one."""
    assert which.key is not None
    if which.kind is EndKind.POD:
        mine = [each for each in found.objects.pods if key_of(each) == which.key]
    else:
        mine = [
            each
            for each in found.objects.pods
            if each["metadata"]["namespace"] == which.key.namespace
            and (each["metadata"].get("labels") or {}).get(names.VM_NAME) == which.key.name
        ]
    running = [each for each in mine if _phase(each) not in _DONE]
    if len(running) > 1:  # a live migration: the guest runs in one of them
        nodes = {
            (each.get("status") or {}).get("nodeName")
            for each in found.objects.instances
            if key_of(each) == which.key
        }
        running.sort(key=lambda pod: (pod.get("spec") or {}).get("nodeName") not in nodes)
    return next(iter(running or (mine if which.kind is EndKind.POD else ())), None)


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _without_pod(which: Named, found: Found) -> tuple[str, str]:
    """Why a virtual machine has no pod, and the remedy."""
    assert which.key is not None
    start = f"virtctl start {which.key.name} -n {which.key.namespace}"
    if which.key in {key_of(each) for each in found.objects.instances}:
        return "its VirtualMachineInstance has no pod", f"kubectl describe vmi {which.key.name}"
    return "is stopped", start


def _asked(pod: Object, found: Found) -> dict[str, ObjectKey]:
    """The secondary networks that a pod asks for, with the NAD of each."""
    known = members.networks(found.objects)
    try:
        attachments = selection.parse(pod)
    except errors.InvalidInput:
        return {}
    return {known[each.nad]: each.nad for each in attachments if each.nad in known}


def _hidden(pod: Object, found: Found) -> tuple[str, ...]:
    """The NADs that a pod names and the user may not read."""
    known = members.networks(found.objects)
    try:
        asked = [each.nad for each in selection.parse(pod)]
    except errors.InvalidInput:
        return ()
    return tuple(
        str(nad)
        for nad in dict.fromkeys(asked)
        if nad is not None and nad not in known and not found.sees(resources.NADS, nad.namespace)
    )


def _attached(which: Named, pod: Object, network: str, found: Found) -> End:
    name, kind = str(which.key), which.kind
    meta, spec = pod["metadata"], pod.get("spec") or {}
    asked = _asked(pod, found)
    is_paused = kind is EndKind.MACHINE and _is_paused(name, found)
    remedy = f"kubectl describe pod {meta['name']} -n {meta['namespace']}"
    if is_paused:
        remedy = f"unpause it: virtctl unpause vmi {name.partition('/')[2]} -n {meta['namespace']}"
    end = End(
        name=name,
        kind=kind,
        node=str(spec.get("nodeName") or ""),
        networks=tuple(sorted(asked)),
        hidden=_hidden(pod, found),
        address=which.address,
        trouble="is paused" if is_paused else _trouble(pod, found),
        remedy=remedy,
    )
    if network not in asked:
        return end
    key = f"{meta['namespace']}/{meta['name']}"
    mine = [each for each in members.on(network, found.objects) if each.pod == key]
    if not mine:
        warning = (found.warnings or {}).get(key, "")
        why = "has no address and MAC on it yet" + (f": {warning}" if warning else "")
        return replace(end, trouble=end.trouble or why)
    holding = [each for each in mine if which.address in each.endpoint.addresses]
    return _with_member(end, pod, (holding or mine)[0], found)


def _with_member(end: End, pod: Object, member: Member, found: Found) -> End:
    known = members.networks(found.objects)
    spec = details.specs(found.objects).get(member.endpoint.network)
    allocations = podnetworks.parse(pod)
    key = next(
        key
        for key, each in allocations.items()
        if each.mac == member.mac
        and known.get(podnetworks.nad_of(key) or ObjectKey("", "")) == member.endpoint.network
    )
    allocation = allocations[key]
    security = sorted(map(str, ports.port_security(spec, allocation))) if spec else ()
    meta = pod["metadata"]
    ref = model.PodRef(key_of(pod), str(meta.get("uid", "")))
    return replace(
        end,
        member=member,
        allocated=allocation.addresses,
        port=ports.of_attachment(key, ref, allocation),
        security=tuple(security),
        link_state=_link_state(member, found.objects.instances),
    )


def _holder(address: model.Address, network: str, found: Found) -> End:
    """Who holds an address on the network, else the address alone."""
    for member in members.on(network, found.objects) if network else ():
        if address in member.endpoint.addresses:
            kind = EndKind.MACHINE if member.machine else EndKind.POD
            named_key = ObjectKey(member.endpoint.namespace, member.machine or member.endpoint.pod)
            return find(Named(kind, named_key, address), network, found)
    blind = "" if found.sees(resources.PODS) else "you may not list the pods of all namespaces"
    return End(str(address), EndKind.ADDRESS, address=address, blind=blind)


def _trouble(pod: Object, found: Found) -> str:
    phase = _phase(pod)
    key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    warning = (found.warnings or {}).get(key, "")
    if phase == "Running":
        return ""
    why = f"is {phase or 'not started'}"
    return f"{why}: {warning}" if warning else why


def _is_paused(machine: str, found: Found) -> bool:
    """Whether its guest stands still: then it answers nothing."""
    return any(
        each.get("type") == "Paused" and each.get("status") == "True"
        for instance in found.objects.instances
        if str(key_of(instance)) == machine
        for each in (instance.get("status") or {}).get("conditions") or ()
    )


def _link_state(member: Member, instances: Iterable[Object]) -> str:
    """The link state of a machine's interface, "" if it is up or unknown."""
    key = member.endpoint.namespace, member.machine, member.mac
    state = str(guestaddresses.nics(instances).get(key, {}).get("linkState") or "")
    return "" if state == "up" else state


def _mapped(physical: str, nodes: Iterable[Object]) -> Iterable[str]:
    for node in nodes if physical else ():
        text = (node["metadata"].get("annotations") or {}).get(names.NODE_BRIDGE_MAPPINGS, "")
        if physical in nodeinfo.physical_networks(text):
            yield node["metadata"]["name"]


def _state(node: Object) -> NodeState:
    conditions: dict[str, Mapping[str, Any]] = {
        str(each.get("type")): each for each in (node.get("status") or {}).get("conditions") or ()
    }
    tunnels = conditions.get(names.TUNNELS_CONDITION, {})
    message = str(tunnels.get("message") or "tunnels are down")
    annotations = node["metadata"].get("annotations") or {}
    return NodeState(
        ready=conditions.get("Ready", {}).get("status") == "True",
        chassis=annotations.get(names.NODE_CHASSIS_ID, ""),
        tunnels={"True": "", "False": message}.get(str(tunnels.get("status"))),
    )
