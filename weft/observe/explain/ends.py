"""Finds the two ends of a question in Kubernetes objects, and the network that they share. Pure.

`naming` reads what the user calls them.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from weft import errors, model, names
from weft.api import nodeinfo, podnetworks, selection
from weft.api.objects import key as key_of
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe import details, guestaddresses, machines, members
from weft.observe.explain.evidence import End, EndKind, NetworkFacts, NodeState, Unseen
from weft.observe.explain.naming import COMMAND, OUTSIDE, Found, Named
from weft.observe.members import Object
from weft.observe.reach import Member
from weft.ovn import ports, router

_DONE = ("Succeeded", "Failed")


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


def is_led_to(address: model.Address, found: Found) -> bool:
    """Whether somebody holds an address on a network of weft's, or a network has it in a subnet."""
    return bool(_holding(address, found) or _including(address, found))


def beside(source: End, target: End, found: Found) -> tuple[NetworkFacts, NetworkFacts] | None:
    """A network of each end, both of which are on one physical network."""
    both = [[facts(name, found) for name in end.networks] for end in (source, target)]
    for one, other in itertools.product(*both):
        if one.physical and one.physical == other.physical:
            return one, other
    return None


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
        held = _holding(which.address, found) or _including(which.address, found)
        return held or {name for name, spec in specs.items() if not spec.subnets}
    assert which.key is not None
    pod = _pod(which, found)
    return set(_asked(pod, found)) if pod is not None else _declared(which.key, found)


def _holding(address: model.Address, found: Found) -> set[str]:
    """The networks on which somebody has an address."""
    return {
        name
        for name in details.specs(found.objects)
        if any(address in each.endpoint.addresses for each in members.on(name, found.objects))
    }


def _including(address: model.Address, found: Found) -> set[str]:
    """The networks with an address in a subnet."""
    specs = details.specs(found.objects)
    return {
        name for name, spec in specs.items() if any(address in subnet for subnet in spec.subnets)
    }


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
        moves=_moves(name, found) if kind is EndKind.MACHINE else "",
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
    if which.interface:
        mine = [each for each in mine if each.interface == which.interface] or _no_nic(which, mine)
    holding = [each for each in mine if which.address in each.endpoint.addresses] or mine
    if which.address is None:
        end = replace(end, others=tuple(each.interface for each in mine[1:]))
    return _with_member(end, pod, holding[0], found)


def _no_nic(which: Named, there: Sequence[Member]) -> NoReturn:
    rule = f"has no such interface on the network: {', '.join(each.interface for each in there)}"
    raise errors.InvalidInput(COMMAND, str(which.key), which.interface, rule)


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


def _moves(machine: str, found: Found) -> str:
    """From where to where a machine migrates now; "" if it does not."""
    for each in found.objects.instances:
        state = (each.get("status") or {}).get("migrationState") or {}
        is_over = any(state.get(name) for name in ("completed", "failed", "endTimestamp"))
        if str(key_of(each)) == machine and state.get("startTimestamp") and not is_over:
            return f"from {state.get('sourceNode')} to {state.get('targetNode')}"
    return ""


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
