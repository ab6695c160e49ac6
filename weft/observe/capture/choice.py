"""Chooses the NIC that a user names, among those of a pod or virtual machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from weft import errors, model, names
from weft.api import podnetworks, selection
from weft.api.objects import key as key_of
from weft.model import ObjectKey
from weft.observe import machines
from weft.observe.capture.expression import COMMAND
from weft.observe.members import Object
from weft.ovn import ports

FIELD = "POD|vm/NAME"
_POD, _MACHINES = "pod", ("vm", "vmi")
_DONE = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Found:
    """The objects of the target's namespace, and all NADs that the user may read."""

    pods: Sequence[Object] = ()
    instances: Sequence[Object] = ()
    vms: Sequence[Object] = ()
    networks: Mapping[ObjectKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What a user's text names; `kind` "pod", "vm", or "" if the text does not say."""

    key: ObjectKey
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC of a pod. `interface` is the pod's name for it; `others` are a machine's."""

    pod: ObjectKey
    node: str
    network: str
    interface: str
    mac: str
    port: str
    others: tuple[str, ...] = ()
    machine: str = ""

    @property
    def owner(self) -> str:
        """As users name who has it."""
        return f"vm/{self.pod.namespace}/{self.machine}" if self.machine else str(self.pod)

    @property
    def title(self) -> str:
        """The NIC as a user tells it from the others: the guest's own name is a guest's text."""
        name = next(iter(self.others), "") or self.interface
        return "".join(each for each in f"{name} ({self.network})" if each.isprintable())


def target(text: str, namespace: str) -> Target:
    """Parse POD, NAMESPACE/POD, pod/NAME or vm/NAME with or without a namespace.

    Raise InvalidInput.
    """
    first, slash, rest = text.partition("/")
    kind = ""
    if slash and first in (_POD, *_MACHINES):
        kind, text = ("vm" if first in _MACHINES else _POD), rest
    key = ObjectKey.parse(text) if "/" in text else ObjectKey(namespace, text)
    if not key.name or not key.namespace or "/" in key.namespace + key.name:
        rule = "must be [pod/|vm/][NAMESPACE/]NAME"
        raise errors.InvalidInput(COMMAND, FIELD, text, rule)
    return Target(key, kind)


def choose(which: Target, nic: str, network: str, found: Found) -> Nic:
    """The NIC. Raise InvalidInput, with the NICs that there are, unless exactly one is named."""
    pod, machine = _pod(which, found)
    listed = nics(pod, machine, found)
    shown = "; ".join(f"{one.title} {one.mac}" for one in listed) or "none"
    if not listed:
        what = f"{pod['metadata']['name']} has no NIC on a network of weft"
        hint = f"kubectl describe pod {key_of(pod).name} -n {key_of(pod).namespace}"
        raise errors.NotReady(what, where=f"pod {key_of(pod)}", hint=hint)
    matching = [one for one in listed if not network or _is_on(one, network, which, found)]
    if network and not matching:
        rule = f"is no network of {which.key}; its NICs: {shown}"
        raise errors.InvalidInput(COMMAND, "--network", network, rule)
    if nic:
        named = [one for one in matching if nic in (one.interface, *one.others[:1])]
        named = named or [one for one in matching if nic.lower() in (one.mac, *one.others)]
        if not named:
            rule = f"is no NIC of {which.key}; its NICs: {shown}"
            raise errors.InvalidInput(COMMAND, "--nic", nic, rule)
        matching = named
    if len(matching) > 1 and not nic and not network:
        # A lab's default network is the stand-in for another plugin's.
        matching = [one for one in matching if one.network != names.DEFAULT_NETWORK] or matching
    if len(matching) > 1:
        rule = f"is needed: {which.key} has several NICs: {shown}"
        raise errors.InvalidInput(COMMAND, "--nic", nic or None, rule)
    return matching[0]


def _is_on(nic: Nic, network: str, which: Target, found: Found) -> bool:
    if nic.network == network:
        return True
    key = ObjectKey.parse(network) if "/" in network else ObjectKey(which.key.namespace, network)
    return found.networks.get(key) == nic.network


def nics(pod: Object, machine: machines.Machine | None, found: Found) -> tuple[Nic, ...]:
    """The NICs of a pod that weft has made ports for, in the order of its annotation."""
    meta = pod["metadata"]
    key, uid = key_of(pod), str(meta.get("uid", ""))
    try:
        allocations = podnetworks.parse(pod, primary=True)
        attachments = selection.parse(pod, primary=True)
    except errors.InvalidInput:
        return ()  # weft makes no ports for an invalid pod
    listed = []
    for each in attachments:
        allocation = allocations.get(each.key)
        if allocation is None:
            continue
        network = names.DEFAULT_NETWORK if each.nad is None else found.networks.get(each.nad, "")
        one = Nic(
            pod=key,
            node=str((pod.get("spec") or {}).get("nodeName") or ""),
            network=network or str(each.nad),
            interface=each.interface,
            mac=allocation.mac,
            port=ports.of_attachment(each.key, model.PodRef(key, uid), allocation),
            machine=machine.key.name if machine else "",
        )
        listed.append(replace(one, others=_others(one, machine)))
    return tuple(listed)


def _others(nic: Nic, machine: machines.Machine | None) -> tuple[str, ...]:
    """A machine's name for the NIC, then the guest's."""
    for each in machine.nics if machine else ():
        if each.mac == nic.mac:
            return each.name, *([each.interface] if each.interface else [])
    return ()


def _pod(which: Target, found: Found) -> tuple[Object, machines.Machine | None]:
    """The pod, and the machine in it. Raise InvalidInput or NotReady."""
    pods = {key_of(each): each for each in found.pods}
    listed = {each.key: each for each in machines.listed(found.vms, found.instances, found.pods)}
    pod, machine = pods.get(which.key), listed.get(which.key)
    if pod is not None and machine is not None and not which.kind:
        rule = f"is a pod and a virtual machine: write pod/{which.key} or vm/{which.key}"
        raise errors.InvalidInput(COMMAND, FIELD, str(which.key), rule)
    if pod is not None and which.kind != "vm":
        return _alive(pod), _inside(pod, listed.values())
    if machine is None or which.kind == _POD:
        kinds = {"": "pod or virtual machine", _POD: "pod", "vm": "virtual machine"}
        hint = f"kubectl get pods,vm -n {which.key.namespace}"
        rule = f"is no {kinds[which.kind]}"
        raise errors.InvalidInput(COMMAND, FIELD, str(which.key), rule, hint=hint)
    runs_in = pods.get(ObjectKey(machine.key.namespace, machine.pod))
    if runs_in is None:
        hint = f"virtctl start {machine.key.name} -n {machine.key.namespace}"
        where = f"virtual machine {machine.key}"
        raise errors.NotReady("it does not run", where=where, hint=hint)
    return _alive(runs_in), machine


def _inside(pod: Object, listed: Iterable[machines.Machine]) -> machines.Machine | None:
    name = (pod["metadata"].get("labels") or {}).get(names.VM_NAME)
    key = ObjectKey(pod["metadata"]["namespace"], str(name))
    return next((each for each in listed if name and each.key == key), None)


def _alive(pod: Object) -> Object:
    phase = str((pod.get("status") or {}).get("phase") or "")
    node = (pod.get("spec") or {}).get("nodeName")
    if phase in _DONE or not node:
        why = f"it has ended ({phase})" if node else "it waits for a node"
        raise errors.NotReady(why, where=f"pod {key_of(pod)}")
    return pod
