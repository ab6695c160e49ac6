"""Reads what a user calls an end, and says what it is if no network of weft's leads there. Pure.

An end is named as kubectl names things: NAME, NAMESPACE/NAME, pod/NAME or vm/NAME with or without a
namespace, and @INTERFACE after it where it is on a network more than once; an address, or
"outside".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from weft import errors, model, names
from weft.api.objects import key as key_of
from weft.kube import resources
from weft.model import ObjectKey
from weft.observe.explain.evidence import EndKind
from weft.observe.members import Object, Objects

COMMAND = "weft explain"
OUTSIDE = "outside"
KINDS = {"pod": EndKind.POD, "vm": EndKind.MACHINE, "vmi": EndKind.MACHINE}
_SERVICES = ("svc", "service", "services")
_NOT_OURS = "on the cluster's own network, which is not followed"
_BEHIND = "name a pod behind it: kubectl get endpointslices lists them"
_BROADCAST = "255.255.255.255"
_MAX_NAMED = 8


@dataclass(frozen=True, slots=True)
class Found:
    """The objects of a cluster. `nodes` and `machines` (VirtualMachines) are None if the user may
    not list them; `services` are read where an address is asked about. `warnings`: the last warning
    Event about each pod, by "<namespace>/<name>". `partial`: the kinds that the user may not list
    in all namespaces, by plural, with the namespaces that were read.
    """

    objects: Objects
    nodes: Sequence[Object] | None = ()
    machines: Sequence[Object] | None = ()
    warnings: Mapping[str, str] | None = None
    partial: Mapping[str, frozenset[str]] = field(default_factory=dict)
    services: Sequence[Object] = ()

    def sees(self, kind: resources.Resource, namespace: str = "") -> bool:
        """Whether all objects of a kind were read: of a namespace, or of all."""
        read = self.partial.get(kind.plural)
        return read is None or namespace in read


@dataclass(frozen=True, slots=True)
class Named:
    """What a user's text names. `key` is empty for an address and for outside; with both, who holds
    the address. `interface`: the one that the user named of several on a network."""

    kind: EndKind
    key: ObjectKey | None = None
    address: model.Address | None = None
    interface: str = ""


def named(text: str, field: str, namespace: str, found: Found) -> Named:
    """What `text` names. Raise InvalidInput if there is no such thing, or if there are two."""
    if text == OUTSIDE:
        return Named(EndKind.OUTSIDE)
    address = _address(text)
    if address is not None:
        if several := _several(address):
            hint = "name one end: a pod, a virtual machine or its address"
            raise errors.InvalidInput(COMMAND, field, text, several, hint=hint)
        return Named(EndKind.ADDRESS, address=address)
    kind: EndKind | None = None
    whole, (text, _, interface) = text, text.partition("@")
    first, slash, rest = text.partition("/")
    if slash and first in _SERVICES:
        raise errors.InvalidInput(COMMAND, field, whole, f"is a Service, {_NOT_OURS}", hint=_BEHIND)
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
        return Named(there[0], key, interface=interface)
    if there:
        rule = f"is a pod and a virtual machine: write pod/{text} or vm/{text}"
        raise errors.InvalidInput(COMMAND, field, text, rule)
    near = sorted({str(each) for each in pods | guests if each.name == key.name})
    hint = f"did you mean {', '.join(near[:_MAX_NAMED])}?" if near else "kubectl get pods,vm -A"
    rule = f"is no pod, virtual machine or address, and not {OUTSIDE!r}; looked for {key}"
    if "." in key.name:
        rule += "; names of DNS are not looked up"
    raise errors.InvalidInput(COMMAND, field, whole, rule, hint=hint)


def _launched(pods: Iterable[Object]) -> set[ObjectKey]:
    """The machines that pods say they run."""
    named = {
        (key_of(each).namespace, (each["metadata"].get("labels") or {}).get(names.VM_NAME))
        for each in pods
    }
    return {ObjectKey(namespace, str(name)) for namespace, name in named if name}


def is_address(text: str) -> bool:
    """Whether an end is named by an address."""
    return _address(text) is not None


def _address(text: str) -> model.Address | None:
    try:
        return None if "%" in text else ip_address(text)  # a scope names an interface, no member
    except ValueError:
        return None


def _several(address: model.Address) -> str:
    """Why an address is none of one end; "" if it is."""
    if address.is_multicast:
        return "is a multicast address, at which all who listen get a packet"
    if str(address) == _BROADCAST:
        return "is the broadcast address, at which all get a packet"
    if address.is_unspecified or address.is_loopback:
        return "is an address that each end has for itself alone"
    return ""


def check_followed(address: model.Address, field: str, found: Found) -> None:
    """Raise InvalidInput for an address that somebody has on the cluster's own network."""
    text = str(address)
    for what, hint, held in _holders(found):
        if text in held:
            rule = f"is the address of {what}, {_NOT_OURS}"
            raise errors.InvalidInput(COMMAND, field, text, rule, hint=hint)


def _holders(found: Found) -> Iterator[tuple[str, str, set[str]]]:
    """Who has addresses there, what to ask instead, and the addresses."""
    for each in found.services:
        spec, status = each.get("spec") or {}, each.get("status") or {}
        ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
        held = {spec.get("clusterIP"), *(spec.get("clusterIPs") or ())}
        held |= {*(spec.get("externalIPs") or ()), *(one.get("ip") for one in ingress)}
        yield f"Service {key_of(each)}", _BEHIND, held
    for each in found.nodes or ():
        listed = (each.get("status") or {}).get("addresses") or ()
        yield f"node {each['metadata']['name']}", "", {one.get("address") for one in listed}
    for each in found.objects.pods:
        status, key = each.get("status") or {}, key_of(each)
        held = {one.get("ip") for one in status.get("podIPs") or ()} | {status.get("podIP")}
        hint = f"name the pod, which may be on another network, too: {key}"
        yield f"pod {key}", hint, held
