"""Follows one attachment of a pod through all parts, each a pure call of the part itself.

NAD and pod, as a user writes them; the cluster manager's decision and the annotation that it
signs; the node's zone, which verifies that and desires a port; and the agent's ADD, with the JSON
that the plugin prints.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tests.support.manager_state import SIGNER, Manager, World
from tests.support.objects import Object
from weft import model, names, rows
from weft.api import pod as api_pod
from weft.api import podsignature
from weft.api.pod import Pod
from weft.control.cluster.outcome import Ref
from weft.control.zone import nads, networks, objects, state
from weft.kube import resources
from weft.kube.resources import NADS, NODES, PODS, Resource
from weft.model import ObjectKey
from weft.nic import plan, result
from weft.node import addplan, call, dependencies
from weft.ovn import ports

NODE, CHASSIS = "node1", "chassis-1"
KEYS = podsignature.TrustedKeys.parse({SIGNER.id: SIGNER.public})
ALL: dict[str, Resource] = {each.kind: each for each in resources.ALL}


def decided(
    *objects: Object, primary: model.Network | None = None, uids: dict[str, str] | None = None
) -> tuple[World, Manager]:
    """The world once a cluster manager has nothing left to do in it."""
    world = World()
    for obj in objects:
        meta = {"creationTimestamp": "2026-01-01T00:00:00Z", **obj["metadata"]}
        uid = (uids or {}).get(meta["name"], f"uid-{meta['name']}")
        world.put(ALL[obj["kind"]], {**obj, "metadata": {"uid": uid, **meta}})
    manager = Manager(world, primary=primary)
    manager.settle()
    return world, manager


@dataclass(frozen=True)
class Followed:
    """`annotation`: of this attachment; `port`: its row; `rows`: by table, all that the zone
    desires; `result`: the JSON of the ADD."""

    annotation: dict[str, Any]
    port: rows.Row
    rows: dict[str, list[rows.Row]]
    result: dict[str, Any]


def follow(
    world: World,
    pod: str = "default/web",
    interface: str = "net1",
    nad: str = "default/blue",
    *,
    sandbox: str = "sandbox1",
    primary: model.Network | None = None,
    kind: plan.NicKind = plan.NicKind.VETH,
) -> Followed:
    """An attachment by what the runtime knows of it; `nad` "" is the default network."""
    zone = state.Zone(NODE, CHASSIS)
    if primary is not None:
        zone.set_nad(networks.DEFAULT, state.DeclaredNetwork(primary))
    read = {
        ref.key: nads.read(obj, default_mtu=1400)
        for ref, obj in world.objects.items()
        if ref.resource is NADS
    }
    for key, seen in read.items():
        zone.set_nad(key, nads.declared_network(seen))
    for ref, obj in world.objects.items():
        if ref.resource is NODES:
            zone.set_node(ref.key.name, objects.node(obj).info)
    own = ObjectKey.parse(pod)
    found = world.objects[Ref(PODS, own)]
    seen_pod = api_pod.read(found, primary=primary is not None)
    proved = podsignature.verify(seen_pod.ref, seen_pod.proof, KEYS)
    zone.set_pod(own, objects.allocated(seen_pod, proved.allocations))
    by_table: dict[str, list[rows.Row]] = {}
    for row in zone.desired()[0]:
        by_table.setdefault(row.table, []).append(row)

    config = _config(world, nad)
    asked = call.parse(_environment(found, interface, sandbox), json.dumps(config).encode())

    def network_of(key: ObjectKey | None) -> model.NetworkSpec | None:
        if key is None:
            return primary.spec if primary is not None else None
        return read[key].network()

    async def wait_for(key: ObjectKey, predicate: Any, timeout: float | None) -> Pod:
        assert key == own
        assert predicate(seen_pod), "the call would wait"
        return seen_pod

    deps: Any = SimpleNamespace(
        pods=SimpleNamespace(wait_for=wait_for),
        network_of=network_of,
        decided=lambda _: proved,
        refusal=lambda key, attachment: zone.duplicates.refused(key).get(attachment),
        check_use=lambda key, _: nads.check_use(zone, read.get(key), own, runs=False),
        settings=dependencies.Settings(kind=kind),
    )
    requested = _at_once(addplan.find(asked, deps))
    attachment = requested.owner.attachment
    name = names.logical_port(attachment, own.namespace, own.name)
    (port,) = (row for row in by_table[ports.PORT] if row.key == name)
    text = found["metadata"]["annotations"][names.POD_NETWORKS]
    rendered = result.render(requested.nic, asked.netns, asked.version, asked.previous)
    return Followed(json.loads(text)[attachment], port, by_table, rendered)


def _at_once(coroutine: Coroutine[Any, Any, addplan.AddPlan]) -> addplan.AddPlan:
    """Its end, where it waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        found: addplan.AddPlan = end.value
        return found
    raise AssertionError("the call would wait")


def _config(world: World, nad: str) -> Object:
    if not nad:
        return {"cniVersion": "1.0.0", "name": names.DEFAULT_CNI_NAME, "type": names.CNI_TYPE}
    config: Object = json.loads(world.objects[Ref(NADS, ObjectKey.parse(nad))]["spec"]["config"])
    return config


def _environment(pod: Object, interface: str, sandbox: str) -> dict[str, str]:
    meta = pod["metadata"]
    fields = {"NAMESPACE": meta["namespace"], "NAME": meta["name"], "UID": meta["uid"]}
    return {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": sandbox,
        "CNI_NETNS": f"/run/netns/{meta['name']}",
        "CNI_IFNAME": interface,
        "CNI_ARGS": ";".join(f"K8S_POD_{key}={value}" for key, value in fields.items()),
    }


def of_kind(objects: Iterable[Object], kind: str) -> list[Object]:
    return [obj for obj in objects if obj and obj["kind"] == kind]
