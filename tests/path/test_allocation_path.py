"""From manifests to the annotation, as pure calls: what the cluster manager decides, without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from weft import errors, model, names
from weft.alloc import ids, ledger
from weft.api import nad, podnetworks, selection

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(EXAMPLES.rglob("*.yaml"))


def objects(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    for obj in yaml.safe_load_all(path.read_text()):
        if obj and obj["kind"] == kind:
            yield obj


class Cluster:
    """Definitions and ledgers by network, as the cluster manager would have them."""

    def __init__(self, *definitions: dict[str, Any]) -> None:
        self.network_of: dict[str, str] = {}
        self.ledgers: dict[str, ledger.Ledger] = {}
        numbers = ids.NetworkIds()
        for definition in definitions:
            spec = nad.parse(definition)
            assert spec is not None
            metadata = definition["metadata"]
            self.network_of[f"{metadata['namespace']}/{metadata['name']}"] = spec.name
            if spec.name in self.ledgers:
                assert nad.difference(self.ledgers[spec.name].network.spec, spec) is None
                continue
            network = model.Network(spec, numbers.allocate(spec.name))
            self.ledgers[spec.name] = ledger.Ledger(network)

    def annotate(self, pod: dict[str, Any]) -> str:
        metadata = pod["metadata"]
        uid = metadata.get("uid", metadata["name"])
        label = f"Pod {metadata['namespace']}/{metadata['name']}"
        decided = {}
        for attachment in selection.parse(pod):
            book = self.ledgers[self.network_of[attachment.nad]]
            decided[attachment.key] = book.allocate(
                f"{attachment.key}/{uid}", attachment, label=label
            )
        text = podnetworks.render(decided)
        metadata.setdefault("annotations", {})[names.POD_NETWORKS] = text
        return text


def pod(name: str, networks: str, namespace: str = "default") -> dict[str, Any]:
    annotations = {names.NETWORKS: networks}
    return {"metadata": {"namespace": namespace, "name": name, "annotations": annotations}}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_example_is_good(path: Path) -> None:
    for definition in objects(path, "NetworkAttachmentDefinition"):
        assert nad.problems(definition) == []
        assert nad.ignored_keys(definition) == []
    for each in objects(path, "Pod"):
        assert selection.problems(each) == []


def test_one_network_in_two_namespaces() -> None:
    cluster = Cluster(*objects(EXAMPLES / "networks/demo.yaml", "NetworkAttachmentDefinition"))
    assert list(cluster.ledgers) == ["backplane"]
    assert cluster.annotate(pod("a", "backplane")) == (
        '{"default/backplane":{"ip_addresses":["10.20.0.16/24"],"mac_address":"0a:58:0a:14:00:10",'
        '"ip_address":"10.20.0.16/24","tunnel_id":10,"role":"secondary"}}'
    )
    assert cluster.annotate(pod("a", "backplane", "shop")) == (
        '{"shop/backplane":{"ip_addresses":["10.20.0.17/24"],"mac_address":"0a:58:0a:14:00:11",'
        '"ip_address":"10.20.0.17/24","tunnel_id":11,"role":"secondary"}}'
    )


def pods_of(name: str) -> tuple[Cluster, dict[str, dict[str, model.Allocation]]]:
    path = EXAMPLES / "networks" / name
    cluster = Cluster(*objects(path, "NetworkAttachmentDefinition"))
    decided = {}
    for each in objects(path, "Pod"):
        cluster.annotate(each)
        decided[each["metadata"]["name"]] = podnetworks.parse(each)
    return cluster, decided


def addresses(allocation: model.Allocation) -> list[str]:
    return [str(address) for address in allocation.addresses]


def test_two_nics_on_a_network_without_subnets() -> None:
    _, decided = pods_of("flat.yaml")
    nics = decided["flat-client"]
    assert list(nics) == ["default/flat", "default/flat/1"]
    assert [addresses(nic) for nic in nics.values()] == [["192.0.2.10/24"], []]
    assert len({nic.mac for nic in nics.values()}) == 2
    assert [nic.tunnel_id for nic in nics.values()] == [10, 11]


def test_both_families_and_a_router_by_name() -> None:
    _, decided = pods_of("dual-stack.yaml")
    router = decided["campus-router"]["default/campus"]
    guest = decided["campus-guest"]["default/campus"]
    assert addresses(router) == ["10.30.0.1/16", "fd00:30::1:0/64"]
    assert addresses(guest) == ["10.30.0.2/16", "fd00:30::1:1/64"]


def test_fixed_address_and_mac() -> None:
    cluster, decided = pods_of("static.yaml")
    printer = decided["printer"]["default/office"]
    assert (printer.mac, addresses(printer)) == ("02:00:00:00:00:10", ["10.40.0.10/24"])
    assert addresses(decided["clerk"]["default/office"]) == ["10.40.0.32/24"]
    with pytest.raises(errors.Conflict) as caught:
        cluster.annotate(pod("thief", '[{"name": "office", "ips": ["10.40.0.10"]}]'))
    assert str(caught.value) == (
        "Pod default/thief, attachment default/office to network office: "
        'ips "10.40.0.10": is held by Pod default/printer'
    )


def test_a_restarted_manager_knows_all_again() -> None:
    cluster, decided = pods_of("dual-stack.yaml")
    again = Cluster(*objects(EXAMPLES / "networks/dual-stack.yaml", "NetworkAttachmentDefinition"))
    for name, nics in reversed(decided.items()):
        for key, allocation in nics.items():
            again.ledgers["campus"].reserve(
                f"{key}/{name}", allocation, label=f"Pod default/{name}"
            )
    assert again.ledgers["campus"].holdings() == cluster.ledgers["campus"].holdings()
    newcomer = pod("late", "campus")
    assert again.annotate(newcomer) == cluster.annotate(pod("late", "campus"))
