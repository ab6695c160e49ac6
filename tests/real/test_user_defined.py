"""UserDefinedNetworks before the lab's API server: its rules, and a manager that is killed."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import apiserver, cluster_manager, objects
from tests.support.patience import PATIENCE
from weft import names
from weft.kube.client import Client, Invalid, NotFound
from weft.kube.resources import CUDNS, NADS, NAMESPACES, PODS, UDNS, Resource

pytestmark = pytest.mark.real

Object = dict[str, Any]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples/user-defined"
FOUR, SIX = "10.9.0.0/24", "fd00:9::/64"
LAYER2 = {"role": "Secondary", "subnets": [FOUR, SIX]}
LAYER3 = {"role": "Secondary", "subnets": [{"cidr": "10.64.0.0/16", "hostSubnet": 24}]}
LOCALNET = {"role": "Secondary", "physicalNetworkName": "blue", "subnets": [FOUR]}
PRIMARY = {"role": "Primary", "subnets": [FOUR]}


def network(topology: str, block: Mapping[str, Any]) -> Object:
    return {"topology": topology, topology.lower(): dict(block)}


def udn(spec: Object, name: str = "db") -> Object:
    return {**objects.named(UDNS, name), "spec": copy.deepcopy(spec)}


def cudn(spec: Object, name: str = "pay", **labels: str) -> Object:
    chosen = {"namespaceSelector": {"matchLabels": labels}}
    return {**objects.named(CUDNS, name), "spec": {**chosen, "network": copy.deepcopy(spec)}}


def two(**block: Any) -> Object:
    return network("Layer2", {**LAYER2, **block})


def routed(*subnets: Object, **block: Any) -> Object:
    return network("Layer3", {**LAYER3, **({"subnets": list(subnets)} if subnets else {}), **block})


def physical(**block: Any) -> Object:
    return network("Localnet", {**LOCALNET, **block})


def part(cidr: str, length: int | None = None) -> Object:
    return {"cidr": cidr, **({"hostSubnet": length} if length is not None else {})}


VALID = {
    "layer2": two(mtu=1280, ipam={"mode": "Enabled", "lifecycle": "Persistent"}),
    "layer2 without addresses": network(
        "Layer2", {"role": "Secondary", "ipam": {"mode": "Disabled"}}
    ),
    "layer2 with a small MTU": two(subnets=[FOUR], mtu=576),
    "layer3": routed(part("10.64.0.0/16", 24), part("fd00::/48", 64), mtu=1400),
    "primary": network(
        "Layer2",
        {
            **PRIMARY,
            "reservedSubnets": ["10.9.0.0/28"],
            "infrastructureSubnets": ["10.9.0.16/28"],
            "defaultGatewayIPs": ["10.9.0.17"],
            "joinSubnets": ["100.65.0.0/16"],
        },
    ),
}
INVALID = {
    "no topology": ({"layer2": LAYER2}, "spec.topology"),
    "topology": (network("Flat", LAYER2), "spec.topology"),
    "no field of the topology": ({"topology": "Layer2"}, "layer2 is required with topology"),
    "field of another": (
        {**two(), "layer3": LAYER3},
        "layer3 is required with topology Layer3, and goes with no other",
    ),
    "no role": (network("Layer2", {"subnets": [FOUR]}), "spec.layer2.role"),
    "role": (two(role="Third"), "spec.layer2.role"),
    "no subnets": (network("Layer2", {"role": "Secondary"}), "subnets are required unless"),
    "subnets without addresses": (two(ipam={"mode": "Disabled"}), "subnets must be absent"),
    "no subnet": (two(subnets=["10.9.0.0"]), "must be a subnet such as"),
    "three subnets": (two(subnets=[FOUR, SIX, "10.8.0.0/24"]), "must have at most 2 items"),
    "one family twice": (two(subnets=[FOUR, "10.8.0.0/24"]), "different address families"),
    "ipam": (two(ipam={}), "spec.layer2.ipam"),
    "lifecycle": (two(ipam={"lifecycle": "Brief"}), "spec.layer2.ipam.lifecycle"),
    "lifecycle without addresses": (
        two(ipam={"mode": "Disabled", "lifecycle": "Persistent"}),
        "lifecycle Persistent needs mode Enabled",
    ),
    "small MTU": (two(mtu=575), "spec.layer2.mtu"),
    "large MTU": (two(mtu=65537), "spec.layer2.mtu"),
    "MTU of IPv6": (two(mtu=1279), "mtu must be at least 1280"),
    "join subnets": (two(joinSubnets=["100.65.0.0/16"]), "joinSubnets is for role Primary"),
    "reserved subnets": (
        two(reservedSubnets=["10.9.0.0/28"]),
        "reservedSubnets is for role",
    ),
    "gateway": (two(defaultGatewayIPs=["10.9.0.1", "fd00:9::1"]), "defaultGatewayIPs is for role"),
    "gateway outside": (
        network("Layer2", {**PRIMARY, "defaultGatewayIPs": ["10.8.0.1"]}),
        "defaultGatewayIPs must lie in subnets",
    ),
    "reserved outside": (
        network("Layer2", {**PRIMARY, "reservedSubnets": ["10.8.0.0/28"]}),
        "reservedSubnets must lie in subnets",
    ),
    "reserved with host bits": (
        network("Layer2", {**PRIMARY, "reservedSubnets": ["10.9.0.1/28"]}),
        "reservedSubnets must have no bits set",
    ),
    "primary without addresses": (
        network("Layer2", {"role": "Primary", "ipam": {"mode": "Disabled"}}),
        "ipam.mode Disabled is for role Secondary",
    ),
    "routed without subnets": (network("Layer3", {"role": "Secondary"}), "spec.layer3.subnets"),
    "short node subnet": (routed(part("10.64.0.0/16", 16)), "hostSubnet must be longer"),
    "long node subnet": (routed(part("10.64.0.0/16", 32)), "must be less than 32"),
    "three routed": (
        routed(part("10.64.0.0/16"), part("fd00::/48"), part("10.65.0.0/16")),
        "at most two subnets",
    ),
    "routed of one family": (
        routed(part("10.64.0.0/16", 24), part("10.65.0.0/16", 24)),
        "must be of different address families",
    ),
    "routed overlap": (
        routed(part("10.64.0.0/16", 24), part("10.64.1.0/24", 28), role="Primary"),
        "subnets must not overlap",
    ),
    "routed MTU of IPv6": (routed(part("fd00::/48"), mtu=1279), "mtu must be at least 1280"),
    "localnet of a namespace": (physical(), "spec.topology"),
}
CLUSTER_INVALID = {
    "primary localnet": (physical(role="Primary"), "spec.network.localnet.role"),
    "physical network": (physical(physicalNetworkName="a:b"), "must have no comma and no colon"),
    "no physical network": (physical(physicalNetworkName=""), "physicalNetworkName"),
    "excluded outside": (physical(excludeSubnets=["10.8.0.1/32"]), "must lie in subnets"),
    "excluded of none": (
        network(
            "Localnet",
            {
                **{key: LOCALNET[key] for key in ("role", "physicalNetworkName")},
                "excludeSubnets": ["10.9.0.1/32"],
                "ipam": {"mode": "Disabled"},
            },
        ),
        "excludeSubnets need subnets",
    ),
    "26 excluded": (
        physical(excludeSubnets=[f"10.9.0.{n}/32" for n in range(26)]),
        "must have at most 25 items",
    ),
    "VLAN": (physical(vlan={"mode": "Access", "access": {"id": 4095}}), "vlan.access.id"),
    "VLAN without a number": (physical(vlan={"mode": "Access"}), "access is required with mode"),
    "transport of secondary": (
        {**two(), "transport": "EVPN"},
        "transport EVPN is for role",
    ),
}


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Client, Path]]:
    async with (
        apiserver.running(folder) as server,
        Client.from_kubeconfig(str(server.kubeconfig)) as client,
    ):
        yield client, server.kubeconfig


async def test_what_the_api_server_takes(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, _):
        for number, (case, spec) in enumerate(VALID.items()):
            kept = await api.create(UDNS, udn(spec, f"n{number}"))
            assert kept["spec"] == spec, case
            kept = await api.create(CUDNS, cudn(spec, f"n{number}"))
            assert kept["spec"]["network"] == spec, case
        kept = await api.create(CUDNS, cudn(physical(), "local"))
        assert kept["spec"]["network"] == physical()


async def test_what_the_api_server_refuses_and_why(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, _):
        for case, (spec, reason) in INVALID.items():
            with pytest.raises(Invalid) as refusal:
                await api.create(UDNS, udn(spec))
            assert reason in str(refusal.value), case
        for case, (spec, reason) in CLUSTER_INVALID.items():
            with pytest.raises(Invalid) as refusal:
                await api.create(CUDNS, cudn(spec))
            assert reason in str(refusal.value), case


async def test_what_cannot_be_changed(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, _):
        await api.create(UDNS, udn(two(), "two"))
        await api.create(UDNS, udn(routed(), "routed"))
        await api.create(CUDNS, cudn(physical(), "local", team="a"))
        for res, name, spec, reason in (
            (UDNS, "two", {"layer2": {"mtu": 1300}}, "layer2 cannot be changed"),
            (UDNS, "routed", {"layer3": {"subnets": [part("10.65.0.0/16")]}}, "cannot be changed"),
            (UDNS, "routed", {"layer3": {"role": "Primary"}}, "role cannot be changed"),
            (
                *(UDNS, "two", {"topology": "Layer3", "layer2": None, "layer3": LAYER3}),
                "topology cannot be changed",
            ),
            (
                *(CUDNS, "local", {"network": {"localnet": {"mtu": 9000}}}),
                "localnet cannot be changed",
            ),
        ):
            namespace = "default" if res is UDNS else ""
            with pytest.raises(Invalid, match=reason):
                await api.patch(res, name, namespace, {"spec": spec})
        other = {"spec": {"namespaceSelector": {"matchLabels": {"team": "b"}}}}
        kept = await api.patch(CUDNS, "local", "", other)
        assert kept["spec"]["namespaceSelector"] == {"matchLabels": {"team": "b"}}


async def until(
    api: Client, res: Resource, name: str, holds: Callable[[Object], object], namespace: str = ""
) -> Object:
    """The object, when it is as a test asks for."""
    listing = await api.list(res, namespace)
    async with asyncio.timeout(PATIENCE):
        for obj in listing:
            if obj["metadata"]["name"] == name and holds(obj):
                return obj
        while True:
            async for _, obj in api.watch(res, listing.resource_version, namespace):
                if obj["metadata"]["name"] == name and holds(obj):
                    return obj


async def gone(api: Client, res: Resource, name: str, namespace: str = "") -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            listing = await api.list(res, namespace)
            if all(obj["metadata"]["name"] != name for obj in listing):
                return
            async for event, obj in api.watch(res, listing.resource_version, namespace):
                if event == "DELETED" and obj["metadata"]["name"] == name:
                    return


def condition(obj: Object, type: str = "NetworkCreated") -> Object:
    listed = (obj.get("status") or {}).get("conditions") or ()
    found: Object = next((each for each in listed if each["type"] == type), {})
    return found


def is_created(obj: Object) -> bool:
    return condition(obj).get("status") == "True"


def is_allocated(obj: Object) -> bool:
    return names.POD_NETWORKS in (obj["metadata"].get("annotations") or {})


async def make_namespace(api: Client, name: str, **labels: str) -> None:
    made = objects.namespace(name, **labels)
    await api.create(NAMESPACES, made)


async def test_a_network_lives_through_the_deaths_of_its_managers(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, kubeconfig):
        for name in ("a", "b"):
            await make_namespace(api, name, team="pay")
        await make_namespace(api, "c")
        async with cluster_manager.running(kubeconfig) as manager:
            await api.create(UDNS, udn(two()))
            await api.create(CUDNS, cudn(two(), team="pay"))
            await until(api, UDNS, "db", is_created, "default")
            await until(api, CUDNS, "pay", lambda obj: "a, b" in condition(obj).get("message", ""))
            await api.create(PODS, objects.pod("p", "pay", namespace="a", node="node1"))
            await until(api, PODS, "p", is_allocated, "a")
            await manager.kill()
        # What happens while none runs is done by the next.
        await api.patch(NAMESPACES, "a", "", {"metadata": {"labels": {"team": None}}})
        await api.patch(NAMESPACES, "c", "", {"metadata": {"labels": {"team": "pay"}}})
        await api.patch(NADS, "db", "default", {"spec": {"config": "{}"}})
        async with cluster_manager.running(kubeconfig) as manager:
            waiting = await until(
                api, CUDNS, "pay", lambda obj: "Pod a/p" in condition(obj).get("message", "")
            )
            assert condition(waiting)["reason"] == "NetworkAttachmentDefinitionSyncError"
            await until(api, NADS, "pay", lambda obj: True, "c")
            await until(
                api, NADS, "db", lambda obj: "default_db" in obj["spec"]["config"], "default"
            )
            await api.delete(UDNS, "db", "default")
            await api.delete(CUDNS, "pay")
            await manager.kill()
        async with cluster_manager.running(kubeconfig):
            await gone(api, UDNS, "db", "default")
            await gone(api, NADS, "db", "default")
            kept = await api.get(PODS, "p", "a")
            assert is_allocated(kept)
            await api.delete(PODS, "p", "a", grace=0)
            await gone(api, CUDNS, "pay")
            for namespace in ("a", "b", "c"):
                with pytest.raises(NotFound):
                    await api.get(NADS, "pay", namespace)


async def test_a_nad_of_the_name_is_left_alone_and_reported(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, kubeconfig), cluster_manager.running(kubeconfig):
        foreign = await api.create(NADS, objects.nad("db", namespace="default"))
        await api.create(UDNS, udn(two()))
        refused = await until(
            api, UDNS, "db", lambda obj: condition(obj).get("status") == "False", "default"
        )
        assert condition(refused)["reason"] == "SyncError"
        assert "foreign NetworkAttachmentDefinition default/db" in condition(refused)["message"]
        kept = await api.get(NADS, "db", "default")
        assert kept["spec"] == foreign["spec"]
        assert "ownerReferences" not in kept["metadata"]
        await api.delete(NADS, "db", "default")
        await until(api, UDNS, "db", is_created, "default")


async def test_a_namespace_that_is_deleted_ends_with_its_networks(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, kubeconfig), cluster_manager.running(kubeconfig):
        await make_namespace(api, "a", team="pay")
        made = udn(two())
        made["metadata"]["namespace"] = "a"
        await api.create(UDNS, made)
        await api.create(CUDNS, cudn(two(), team="pay"))
        await until(api, UDNS, "db", is_created, "a")
        await until(api, CUDNS, "pay", lambda obj: ": a" in condition(obj).get("message", ""))
        await api.delete(NAMESPACES, "a")
        await gone(api, NAMESPACES, "a")
        await until(api, CUDNS, "pay", lambda obj: "in 0 namespaces" in condition(obj)["message"])


async def test_the_examples_apply_and_what_is_wrong_is_reported(tmp_path: Path) -> None:
    async with served(tmp_path) as (api, kubeconfig), cluster_manager.running(kubeconfig):
        for name in ("red", "blue"):
            await make_namespace(api, name, **{"kubernetes.io/metadata.name": name})
        for path in sorted(EXAMPLES.glob("*.yaml")):
            for obj in yaml.safe_load_all(path.read_text()):
                res = UDNS if obj["kind"] == UDNS.kind else CUDNS
                await api.create(res, obj)
        for name in ("db-net", "routed"):
            await until(api, UDNS, name, is_created, "red")
        for name in ("shared-flat", "test-net"):
            await until(api, CUDNS, name, is_created)
        primary = await until(api, UDNS, "blue-network", condition, "blue")
        assert "belongs to the cluster's primary CNI" in condition(primary)["message"]
        nad = await until(api, NADS, "test-net", lambda obj: True, "blue")
        assert '"vlanID": 200' in nad["spec"]["config"]
