"""A small world that policies are tried on: three namespaces and networks, seven pods of two nodes.

`flat` is layer2 with subnets of both families and has two NADs, `bare` is layer2 without
subnets, `routed` is layer3. Labels change while the world runs, so a world is a value: what it is
at one time. On `bare` a pod may use what address it likes; these are the prober's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from tests.support import objects
from tests.support.objects import Object
from weft import model, names, ranges
from weft.api import podnetworks
from weft.model import ObjectKey
from weft.policy import netpolicy
from weft.policy.netpolicy import Protocol

Labels = Mapping[str, str]
FLAT, BARE, ROUTED = "flat", "bare", "routed"
# Which network each NAD is of.
DECLARED_NADS = {
    "red/flat": FLAT,
    "blue/flat": FLAT,
    "red/bare": BARE,
    "green/routed": ROUTED,
}
NETWORKS = {ObjectKey.parse(nad): network for nad, network in DECLARED_NADS.items()}
INTERFACES = {FLAT: "net1", BARE: "net2", ROUTED: "net3"}
_TCP, _UDP, _SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP


@dataclass(frozen=True, slots=True)
class Pod:
    namespace: str
    name: str
    node: str
    labels: Labels
    ports: netpolicy.NamedPorts

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Nic:
    """A pod's interface on a network: one address of each family, and a layer3 one's router."""

    mac: str
    addresses: tuple[model.Address, ...]
    router_mac: str = ""


@dataclass(frozen=True, slots=True)
class World:
    namespaces: Mapping[str, Labels]
    pods: tuple[Pod, ...]
    nics: Mapping[tuple[str, str], Nic]  # by pod's key and network

    def endpoint(self, pod: Pod, network: str) -> netpolicy.Endpoint:
        return netpolicy.Endpoint(
            pod.namespace,
            pod.name,
            pod.labels,
            self.namespaces[pod.namespace],
            network,
            self.nics[pod.key, network].addresses,
            pod.ports,
        )

    def relabelled(self, key: str, labels: Labels) -> World:
        """With other labels for a pod ("namespace/name") or a namespace."""
        if "/" not in key:
            return replace(self, namespaces={**self.namespaces, key: labels})
        pods = (replace(pod, labels=labels) if pod.key == key else pod for pod in self.pods)
        return replace(self, pods=tuple(pods))


def _named(name: str) -> Labels:
    return {"kubernetes.io/metadata.name": name}


NAMESPACES: Mapping[str, Labels] = {
    "red": {**_named("red"), "team": "a", "env": "prod"},
    "blue": {**_named("blue"), "team": "b", "env": "prod"},
    "green": {**_named("green"), "team": "a"},
}
PODS = (
    Pod("red", "r1", "node1", {"app": "web", "tier": "front"}, {(_TCP, "web"): 80}),
    Pod("red", "r2", "node2", {"app": "db"}, {(_TCP, "web"): 8080, (_UDP, "dns"): 53}),
    Pod("red", "r3", "node1", {"app": "web", "tier": "back"}, {(_UDP, "web"): 80}),
    Pod("blue", "b1", "node1", {"app": "db", "tier": "back"}, {(_SCTP, "sig"): 3868}),
    Pod("blue", "b2", "node2", {"app": "web"}, {(_TCP, "web"): 80, (_SCTP, "sig"): 3868}),
    Pod("green", "g1", "node2", {"tier": "front"}, {(_UDP, "dns"): 5005, (_SCTP, "sig"): 80}),
    Pod("green", "g2", "node1", {}, {(_UDP, "dns"): 53, (_TCP, "web"): 5005}),
)
# Two more on `flat`, one on each node, in a namespace that no policy of the world knows: by them a
# prober sees how far changes have come.
SEAL = "seal"
SEALED = (Pod(SEAL, "c1", "node1", {}, {}), Pod(SEAL, "c2", "node2", {}, {}))


def imagined(pods: tuple[Pod, ...] = PODS) -> World:
    """The world with addresses such as weft gives, for tests without a lab."""
    nics = {}
    for number, pod in enumerate(pods, 1):
        node = pod.node.removeprefix("node")
        for network, (four, six) in {
            FLAT: ("10.10.0", "fd10:"),
            BARE: ("10.30.0", "fd30:"),
            ROUTED: (f"10.20.{node}", f"fd20:0:0:{node}:"),
        }.items():
            addresses = (ip_address(f"{four}.{number + 9}"), ip_address(f"{six}:{number + 9:x}"))
            nics[pod.key, network] = Nic(names.address_mac(str(addresses[0])), addresses)
    return World(NAMESPACES, pods, nics)


def read(pods: Mapping[str, Object]) -> World:
    """The world as weft made it; `pods` are the objects by key."""
    nics = {}
    for number, pod in enumerate((*PODS, *SEALED), 1):
        for key, allocation in podnetworks.parse(pods[pod.key]).items():
            network = DECLARED_NADS[key]
            addresses: tuple[model.Address, ...] = tuple(each.ip for each in allocation.addresses)
            router = ""
            if network == BARE:
                addresses = ip_address(f"10.30.0.{number + 9}"), ip_address(f"fd30::{number + 9:x}")
            elif network == ROUTED:
                hop = ranges.router(allocation.addresses[0].network)
                router = names.address_mac(str(hop.ip))
            nics[pod.key, network] = Nic(allocation.mac, addresses, router)
    return World(NAMESPACES, PODS, nics)


def manifests() -> Iterator[Object]:
    """All that a lab needs of it, in the order in which to make it."""
    for name, labels in (*NAMESPACES.items(), (SEAL, {})):
        meta = {"name": name, "labels": dict(labels)}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
    yield _nad("red/flat", subnets="10.10.0.0/16,fd10::/64")
    yield _nad("blue/flat", subnets="10.10.0.0/16,fd10::/64")
    yield _nad("red/bare")
    yield _nad("green/routed", topology="layer3", subnets="10.20.0.0/16/24,fd20::/48/64")
    yield from (_pod(pod, f"{_flat(pod)},red/bare,green/routed") for pod in PODS)
    yield from (_pod(pod, _flat(pod)) for pod in SEALED)


def _flat(pod: Pod) -> str:
    """Pods of blue are on `flat` by their own namespace's NAD."""
    return "blue/flat" if pod.namespace == "blue" else "red/flat"


def _nad(key: str, subnets: str | None = None, **config: str) -> Object:
    namespace, name = key.split("/")
    merged = {"name": DECLARED_NADS[key], "mtu": 1300, "namespaceSelector": {}, **config}
    return objects.nad(name, subnets, namespace=namespace, **merged)


def _pod(pod: Pod, networks: str) -> Object:
    ports = [
        {"name": name, "protocol": protocol.value, "containerPort": number}
        for (protocol, name), number in pod.ports.items()
    ]
    made = objects.pod(
        pod.name,
        networks,
        namespace=pod.namespace,
        node=pod.node,
        labels=pod.labels,
        command=["sleep", "99999"],
        terminationGracePeriodSeconds=0,
    )
    if ports:
        made["spec"]["containers"][0]["ports"] = ports
    return made
